/** One control plane, N simulated nodes, the operator from its first start to its restart: and what that took. */
import { loadavg } from 'node:os';

import { KERNEL_LABEL } from '../../src/api/labels.ts';
import { MODULES, type Module } from '../../src/api/module.ts';
import { labelSafe } from '../../src/kernel/names.ts';
import { abortable } from '../../src/kube/abort.ts';
import { isReady } from '../../src/kube/conditions.ts';
import { DAEMONSETS, NODES } from '../../src/kube/core.ts';
import { type Cluster, clusterAround, NAMESPACES } from '../harness/cluster.ts';
import { type ControlPlane, startControlPlane } from '../harness/control-plane.ts';
import { eventually } from '../harness/eventually.ts';
import { installOperator, type OperatorProcess } from '../harness/operator.ts';
import { firstModuleAt, operatorRequests, type RequestCounts } from './audit-counts.ts';
import { median } from './median.ts';
import { type Identity, OperatorPods, type StartedOperator } from './pod.ts';
import { settledUsage, usageOf } from './process-usage.ts';
import {
  DAEMONSET_COUNT,
  hasEveryModule,
  KERNELS,
  MODULE_COUNT,
  modulesManifest,
  NAMESPACE,
  WORKER_LABEL,
} from './workload.ts';

/** One element of out/bench.json. Times are milliseconds, memory is in units of 1,048,576 bytes. */
export interface Measurement {
  readonly nodes: number;
  readonly modules: number;
  readonly kernels: number;
  /** All but Leases, from the first start until everything is loaded and reported. */
  readonly writesTotal: number;
  /** Those on Nodes, per node. */
  readonly writesPerNode: number;
  /** All but Leases. */
  readonly writesAfterRestart: number;
  readonly applyToLastDaemonSetMs: number;
  readonly kernelChangeToLabelMs: number;
  /** Of the restart, when every pod is there already: the longer one of the two starts. */
  readonly startToSyncedMs: number;
  /** The larger one of the two processes, before and after the restart. */
  readonly rssSettledMB: number;
  readonly rssPeakMB: number;
  /** Of the first process, until everything is loaded and reported. */
  readonly cpuSeconds: number;
  readonly details: Details;
}

export interface Details {
  readonly identity: Identity;
  readonly writesByKind: Readonly<Record<string, number>>;
  readonly eventWrites: number;
  readonly leaseWrites: number;
  /** On other objects than Nodes, per Module and kernel. */
  readonly fixedWritesPerModuleAndKernel: number;
  readonly reads: number;
  readonly writesAfterRestartByKind: Readonly<Record<string, number>>;
  /** Of applyToLastDaemonSetMs, what went by before the API server got the first Module. */
  readonly kubectlMs: number;
  readonly kernelChangeSamplesMs: readonly number[];
  /** From `kubectl apply` until the status of all Modules says that all nodes are loaded and all plugins are up. */
  readonly applyToAllReadyMs: number;
  readonly cpuSecondsAfterRestart: number;
  /** Of the machine, over the last minute, before and after. */
  readonly loadAverage: readonly [number, number];
}

export interface MeasureOptions {
  readonly nodes: number;
  /** Folder of the bundle. */
  readonly bundle: string;
  /** Arguments of Node itself. */
  readonly nodeOptions: readonly string[];
  readonly say: (step: string) => void;
  readonly signal: AbortSignal;
}

const KERNEL_CHANGES = 15;
/** Lease renewals, two seconds apart, in which nothing else may be written: more than the 5 s that a status may be put off. */
const QUIET_RENEWALS = 5;

export async function measure(options: MeasureOptions): Promise<Measurement> {
  const { nodes, say, signal } = options;
  const before = loadavg()[0] ?? 0;
  say(`${nodes} nodes: starting a control plane`);
  const controlPlane = await startControlPlane({
    name: 'bench',
    disableQpsLimits: true,
    // One kwok beats for thousands of hearts; while it starts their pods it is late, and no node is to be lost over that.
    nodeMonitorGracePeriod: '1h',
    signal,
  });
  try {
    const cluster = await clusterAround(controlPlane);
    const running = new Bench(options, controlPlane, cluster).run(before);
    const measurement = await abortable(running, signal);
    await cluster.admin.close();
    return measurement;
  } finally {
    say(`${nodes} nodes: stopping the control plane`);
    await controlPlane.stop();
  }
}

class Bench {
  readonly #options: MeasureOptions;
  readonly #controlPlane: ControlPlane;
  readonly #cluster: Cluster;

  constructor(options: MeasureOptions, controlPlane: ControlPlane, cluster: Cluster) {
    this.#options = options;
    this.#controlPlane = controlPlane;
    this.#cluster = cluster;
  }

  async run(loadBefore: number): Promise<Measurement> {
    const { nodes, bundle, nodeOptions } = this.#options;
    this.#say('installing the operator and creating nodes');
    await installOperator(this.#controlPlane);
    await this.#cluster.admin.create(NAMESPACES, { metadata: { name: NAMESPACE } });
    await this.#cluster.nodes.createMany(nodes, { prefix: 'bench', kernels: KERNELS, labels: WORKER_LABEL });
    const pods = await OperatorPods.prepare(this.#controlPlane, bundle);

    this.#say('starting the operator');
    const begin = await this.#controlPlane.auditMark();
    const first = await pods.start(nodeOptions);
    const firstSyncedMs = await this.#synced(first);
    await this.#nodesLabelled();

    this.#say('kubectl apply of the Modules');
    const applied = await this.#apply();
    this.#say('waiting for memory to settle');
    const settled = await settledUsage(first.process.pid, this.#options.signal);
    const requests = await this.#requestsSince(begin);

    this.#say('changing kernels');
    const samples = await this.#changeKernels();
    const firstEnd = await usageOf(first.process.pid);

    await this.#reported();
    this.#say('restarting the operator');
    await first.process.stop();
    const mark = await this.#controlPlane.auditMark();
    const second = await pods.start(nodeOptions);
    const secondSyncedMs = await this.#synced(second);
    await this.#reconciledOnce(second.process);
    await this.#renewals(mark);
    const settledAgain = await settledUsage(second.process.pid, this.#options.signal);
    const after = await this.#requestsSince(mark);
    await second.process.stop();

    const fixed = requests.writes - requests.nodeWrites;
    return {
      nodes,
      modules: MODULE_COUNT,
      kernels: KERNELS.length,
      writesTotal: requests.writes,
      writesPerNode: round(requests.nodeWrites / nodes, 3),
      writesAfterRestart: after.writes,
      applyToLastDaemonSetMs: Math.round(applied.lastDaemonSetMs),
      kernelChangeToLabelMs: Math.round(median(samples)),
      startToSyncedMs: Math.max(firstSyncedMs, secondSyncedMs),
      rssSettledMB: round(Math.max(settled.rssMB, settledAgain.rssMB), 1),
      rssPeakMB: round(Math.max(firstEnd.rssPeakMB, settledAgain.rssPeakMB), 1),
      cpuSeconds: round(settled.cpuSeconds, 2),
      details: {
        identity: pods.identity,
        writesByKind: requests.byKind,
        eventWrites: requests.eventWrites,
        leaseWrites: requests.leaseWrites,
        fixedWritesPerModuleAndKernel: round(fixed / (MODULE_COUNT * KERNELS.length), 2),
        reads: requests.reads,
        writesAfterRestartByKind: after.byKind,
        kubectlMs: Math.round(applied.kubectlMs),
        kernelChangeSamplesMs: samples.map(Math.round),
        applyToAllReadyMs: Math.round(applied.allReadyMs),
        cpuSecondsAfterRestart: round(settledAgain.cpuSeconds, 2),
        loadAverage: [round(loadBefore, 2), round(loadavg()[0] ?? 0, 2)],
      },
    };
  }

  #say(step: string): void {
    this.#options.say(`${this.#options.nodes} nodes: ${step}`);
  }

  /** Waits longer the more nodes there are: with 5,000 of them the bed gives about twenty pods a second. */
  #eventually<T>(what: string, attempt: () => Promise<T>, intervalMs = 50): Promise<T> {
    const timeoutMs = 60_000 + 480 * this.#options.nodes;
    return eventually(attempt, { what, intervalMs, timeoutMs, signal: this.#options.signal });
  }

  #requestsSince(mark: number): Promise<RequestCounts> {
    return this.#controlPlane.auditMark().then(() => operatorRequests(this.#controlPlane.auditLogFile, mark));
  }

  /** From the start of the process to its log line, milliseconds: that line comes after the Lease was taken and all caches are full. */
  async #synced({ process, startedAt }: StartedOperator): Promise<number> {
    await process.waitUntilReady();
    const at = await this.#eventually('the log to say that caches are synced', async () => {
      const line = (await process.log()).find(({ msg }) => msg === 'caches synced');
      if (line === undefined) throw new Error('it does not');
      return Date.parse(String(line['time']));
    });
    return at - startedAt;
  }

  async #nodesLabelled(): Promise<void> {
    await this.#eventually(
      'a kernel label on every node',
      async () => {
        const bare = await this.#cluster.admin.list(NODES, { labelSelector: `!${KERNEL_LABEL}` });
        if (bare.length > 0) throw new Error(`${bare.length} have none`);
      },
      200,
    );
  }

  async #apply(): Promise<{
    readonly lastDaemonSetMs: number;
    readonly kubectlMs: number;
    readonly allReadyMs: number;
  }> {
    const { admin } = this.#cluster;
    const mark = await this.#controlPlane.auditMark();
    const started = performance.now();
    const startedAt = Date.now();
    const applying = this.#controlPlane.kubectl(['apply', '-f', '-'], {
      input: modulesManifest(),
      signal: this.#options.signal,
    });
    const lastDaemonSet = this.#eventually(
      'all DaemonSets to be created',
      async () => {
        const found = await admin.list(DAEMONSETS, { namespace: NAMESPACE });
        if (found.length < DAEMONSET_COUNT) throw new Error(`${found.length} of ${DAEMONSET_COUNT} are`);
        return performance.now() - started;
      },
      10,
    );
    const [lastDaemonSetMs] = await Promise.all([lastDaemonSet, applying]);
    await this.#eventually(
      'every module to be loaded on every node',
      async () => {
        for (const module of await admin.list(MODULES, { namespace: NAMESPACE }))
          assertReady(module, this.#options.nodes);
      },
      200,
    );
    const allReadyMs = performance.now() - started;
    const kubectlMs = (await firstModuleAt(this.#controlPlane.auditLogFile, mark)) - startedAt;
    return { lastDaemonSetMs, kubectlMs, allReadyMs };
  }

  /** Boots nodes, one after the other, into another kernel; from each status patch to the label, milliseconds. */
  async #changeKernels(): Promise<readonly number[]> {
    const { admin } = this.#cluster;
    const samples: number[] = [];
    for (let count = 0; count < KERNEL_CHANGES; count++) {
      const name = `bench-${count}`;
      const kernel = KERNELS[(count + 1) % KERNELS.length] ?? '';
      const started = performance.now();
      await admin.patch(
        NODES,
        { name },
        { status: { nodeInfo: { kernelVersion: kernel, bootID: crypto.randomUUID() } } },
        { type: 'strategic', subresource: 'status' },
      );
      await this.#eventually(
        `the label of node ${name} to follow its kernel`,
        async () => {
          const { metadata } = await admin.get(NODES, { name });
          if (metadata.labels?.[KERNEL_LABEL] !== labelSafe(kernel))
            throw new Error(`it is ${metadata.labels?.[KERNEL_LABEL]}`);
        },
        5,
      );
      samples.push(performance.now() - started);
      await this.#eventually(`node ${name} to have its modules again`, async () => {
        if (!hasEveryModule(await admin.get(NODES, { name }))) throw new Error('it has not');
      });
    }
    return samples;
  }

  /** A status may be written up to five seconds late; what the first process still owes must not be counted for the second. */
  async #reported(): Promise<void> {
    const { admin } = this.#cluster;
    const nodes = await admin.list(NODES);
    await this.#eventually('every status to tell of the changed kernels', async () => {
      for (const module of await admin.list(MODULES, { namespace: NAMESPACE })) {
        assertReady(module, nodes.length);
        for (const { kernelVersion, nodes: told, loaded } of module.status?.kernels ?? []) {
          const running = nodes.filter(({ status }) => status?.nodeInfo?.kernelVersion === kernelVersion).length;
          if (told !== running || loaded !== running) {
            throw new Error(
              `${module.metadata.name} says ${loaded} of ${told} of ${running} nodes with ${kernelVersion}`,
            );
          }
        }
      }
    });
  }

  /** Every Module and every Node was looked at, and nothing is left to do now. */
  async #reconciledOnce(operator: OperatorProcess): Promise<void> {
    await this.#eventually('every Module and Node to be reconciled', async () => {
      const values = series(await operator.metrics());
      for (const [controller, least] of [
        ['module', MODULE_COUNT],
        ['node', this.#options.nodes],
      ] as const) {
        const done = sumOf(values, 'controller_runtime_reconcile_total', controller);
        const waiting = sumOf(values, 'workqueue_depth', controller);
        const active = sumOf(values, 'controller_runtime_active_workers', controller);
        if (done < least || waiting + active > 0) {
          throw new Error(`${controller}: ${done} of ${least} done, ${waiting} waiting, ${active} under way`);
        }
      }
    });
  }

  async #renewals(mark: number): Promise<void> {
    await this.#eventually(
      `the operator to renew its Lease ${QUIET_RENEWALS} times`,
      async () => {
        const { leaseWrites } = await this.#requestsSince(mark);
        if (leaseWrites <= QUIET_RENEWALS) throw new Error(`${leaseWrites} writes of it`);
      },
      1_000,
    );
  }
}

function assertReady(module: Module, nodes: number): void {
  const { metadata, status } = module;
  const all = [status?.moduleLoader, status?.devicePlugin].every((part) => part?.availableNumber === nodes);
  if (!all || !isReady(module)) {
    throw new Error(`${metadata.name}: ${status?.loaded} loaded, ${status?.devicePlugin?.availableNumber} plugins up`);
  }
}

/** Values by series of the Prometheus text format, as in `workqueue_depth{name="node",controller="node"}`. */
function series(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const space = line.lastIndexOf(' ');
      return line.startsWith('#') || space < 0 ? [] : [[line.slice(0, space), Number(line.slice(space + 1))]];
    }),
  );
}

function sumOf(values: ReadonlyMap<string, number>, metric: string, controller: string): number {
  let sum = 0;
  for (const [name, value] of values) {
    if (name.startsWith(`${metric}{`) && name.includes(`controller="${controller}"`)) sum += value;
  }
  return sum;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
