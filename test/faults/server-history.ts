/** A random history of one Module on the real API server: what may happen to it and its two nodes, and what must be true in the end. */
import { expect } from 'vitest';

import { MODULES } from '../../src/api/module.ts';
import { STALE_STATUS_MS } from '../../src/controllers/module/plan-ready.ts';
import { DAEMONSETS } from '../../src/kube/core.ts';
import { refOf } from '../../src/kube/paths.ts';
import { isNotFound } from '../harness/admin.ts';
import { expectReasons } from '../harness/conditions.ts';
import { eventually } from '../harness/eventually.ts';
import { aModule, nodesOf } from '../harness/modules.ts';
import type { ModuleRef, OperatedCluster } from '../harness/operated-cluster.ts';
import { QUOTAS } from '../harness/quotas.ts';
import { pick, randomFrom } from './random.ts';

const KERNELS = ['6.1.0', '6.12.1', '5.4.0-1054-gke'] as const;
const GOOD_IMAGES = 'registry.test/kmod:';
/** Its loaders end with an error (stages.ts). */
const BROKEN_IMAGE = 'registry.test/sim-crash:1';
const TAINT = { key: 'faults.test/taint', effect: 'NoExecute' } as const;

/** A container that the operator heard of before it heard of the boot it was started in is believed only after a while. */
const LONGEST_WAIT_MS = STALE_STATUS_MS + 120_000;

type Step = readonly [name: string, run: (history: ServerHistory, node: string) => Promise<void>];
type Steps = readonly [Step, ...Step[]];

/** What happens and neither unloads nor replaces a loader. */
const KEEPING_STEPS: Steps = [
  ['cordon', ({ kmm }, node) => kmm.cluster.nodes.cordon(node)],
  ['taint', ({ kmm }, node) => kmm.cluster.nodes.taint(node, TAINT)],
  ['notReady', ({ kmm }, node) => kmm.cluster.nodes.setReady(node, 'Unknown')],
  ['ready', ({ kmm }, node) => kmm.cluster.nodes.setReady(node, true)],
  ['reboot', ({ kmm }, node) => kmm.cluster.nodes.reboot(node)],
  ['labelGone', (history, node) => history.labelNode(node, false)],
  ['labelBack', (history, node) => history.labelNode(node, true)],
  ['quota', (history) => history.refusePods()],
  ['kill', (history) => history.killOperator()],
  ['plugin', (history) => history.edit({ devicePlugin: { args: [`${history.random()}`] } })],
];

/** All that happens: after some of it, other loader pods are as they should be. */
const ALL_STEPS: Steps = [
  ...KEEPING_STEPS,
  ['kernel', (history, node) => history.anotherKernel(node)],
  ['image', (history) => history.editImage()],
  ['breakKernel', (history) => history.breakKernel()],
];

class ServerHistory {
  readonly kmm: OperatedCluster;
  readonly name: string;
  readonly random: () => number;
  readonly killOperator: () => Promise<void>;
  readonly told: string[] = [];
  #image = `${GOOD_IMAGES}0`;
  #broken: string | undefined;
  #refused = false;
  #ref: ModuleRef | undefined;

  /** @param killOperator kills whoever operates the cluster; somebody else starts it again */
  constructor(kmm: OperatedCluster, seed: number, killOperator: () => Promise<void>) {
    this.kmm = kmm;
    this.name = `history-${seed}`;
    this.random = randomFrom(seed);
    this.killOperator = killOperator;
  }

  get #nodes(): readonly [string, string] {
    return [`${this.name}-0`, `${this.name}-1`];
  }

  /** @throws Error with the steps of the history when it does not come to a good end */
  async play(steps: number): Promise<void> {
    try {
      await this.#begin();
      const before = await this.#loaders();
      const keeps = this.random() < 0.5;
      for (let step = 0; step < steps; step += 1) {
        const [name, run] = pick(this.random, keeps ? KEEPING_STEPS : ALL_STEPS);
        const node = pick(this.random, this.#nodes);
        this.told.push(`${name} ${node}`);
        await run(this, node);
        if (this.random() < 0.3) await this.#pause();
      }
      await this.#heal();
      if (this.#broken !== undefined) {
        await this.#expectOthersLoaded(this.#broken);
        this.#broken = undefined;
        await this.edit(this.#mappings());
      }
      await this.#expectLoaded();
      // I1: nobody asked for another loader, so they are the same pods.
      if (keeps) expect(await this.#loaders(), 'I1: the loader pods').toEqual(before);
      if (this.random() < 0.5) await this.#expectDeleted();
    } catch (error) {
      const told = `${this.name}, after ${this.told.join(', ')}: ${String(error)}`;
      throw new Error(`${told}\n${await this.#scene()}`, { cause: error });
    }
  }

  /** What a person would look at. */
  async #scene(): Promise<string> {
    if (this.#ref === undefined) return '';
    const selector = Object.entries(nodesOf(this.name)).map((pair) => pair.join('='));
    const said = [
      ['get', 'daemonsets,pods,events', `--namespace=${this.#ref.namespace}`, '--output=wide'],
      ['get', 'nodes', `--selector=${selector.join()}`, '--output=yaml'],
    ].map((command) => this.kmm.controlPlane.kubectl(command).catch(String));
    return (await Promise.all(said)).join('\n');
  }

  async labelNode(node: string, present: boolean): Promise<void> {
    const labels = Object.keys(nodesOf(this.name)).map((key) => [key, present ? this.name : null] as const);
    await this.kmm.cluster.nodes.label(node, Object.fromEntries(labels));
  }

  async refusePods(): Promise<void> {
    this.#refused = true;
    const quota = { metadata: { name: 'none', namespace: this.#module.namespace }, spec: { hard: { pods: '0' } } };
    await this.kmm.cluster.admin.delete(QUOTAS, quota.metadata);
    await this.kmm.cluster.admin.create(QUOTAS, quota);
  }

  async anotherKernel(node: string): Promise<void> {
    await this.kmm.cluster.nodes.reboot(node, { kernel: pick(this.random, KERNELS) });
  }

  async editImage(): Promise<void> {
    this.#image = `${GOOD_IMAGES}${Math.floor(this.random() * 1_000)}`;
    await this.edit(this.#mappings());
  }

  /** From now on the loaders of one kernel fail. */
  async breakKernel(): Promise<void> {
    this.#broken = pick(this.random, KERNELS);
    await this.edit(this.#mappings());
  }

  async edit(spec: unknown): Promise<void> {
    await this.kmm.edit(this.#module, spec);
  }

  get #module(): ModuleRef {
    if (this.#ref === undefined) throw new Error('the history has not begun');
    return this.#ref;
  }

  #mappings() {
    const broken = this.#broken === undefined ? [] : [{ literal: this.#broken, containerImage: BROKEN_IMAGE }];
    return { kernelMappings: [...broken, { regexp: '.', containerImage: this.#image }] };
  }

  async #begin(): Promise<void> {
    const namespace = await this.kmm.cluster.freshNamespace(this.name);
    await this.kmm.addNodes(this.name, nodesOf(this.name), KERNELS[0], KERNELS[1]);
    this.#ref = await this.kmm.apply(
      aModule(this.name).inNamespace(namespace).withDevicePlugin().withSpec(this.#mappings()),
    );
    await this.#expectLoaded();
  }

  /** Something has come of what happened so far: another status, or none is due. */
  async #pause(): Promise<void> {
    const { namespace, name } = this.#module;
    const { metadata } = await this.kmm.module({ namespace, name });
    await eventually(
      async () => {
        const { status } = await this.kmm.module(this.#module);
        expect(status?.observedGeneration).toBe(metadata.generation);
        expectReasons(status?.conditions);
      },
      { what: `status of ${name} to be about generation ${metadata.generation}`, timeoutMs: 120_000 },
    );
  }

  async #heal(): Promise<void> {
    const { nodes } = this.kmm.cluster;
    if (this.#refused) await this.#allowPods();
    for (const node of this.#nodes) {
      await nodes.uncordon(node);
      await nodes.setReady(node, true);
      await nodes.untaint(node, TAINT.key);
      await this.labelNode(node, true);
    }
  }

  /**
   * Takes the quota away, and wakes the DaemonSet controller when the API server knows of it: it comes back to what was refused after up to
   * 1,000 s, or when the DaemonSet changes. That wait is not ours.
   */
  async #allowPods(): Promise<void> {
    const { namespace } = this.#module;
    await this.kmm.cluster.admin.delete(QUOTAS, { name: 'none', namespace });
    const aPod = ['run', 'probe', '-n', namespace, '--image=registry.test/probe:1', '--dry-run=server'];
    await eventually(() => this.kmm.controlPlane.kubectl(aPod), { what: 'pods to be allowed', timeoutMs: 60_000 });
    for (const daemonSet of await this.kmm.daemonSets(this.#module)) {
      const annotations = { 'faults.test/woken': daemonSet.metadata.resourceVersion };
      try {
        await this.kmm.cluster.admin.patch(DAEMONSETS, refOf(daemonSet), { metadata: { annotations } });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  async #loaders(): Promise<readonly string[]> {
    const pods = await this.kmm.pods(this.#module, 'module-loader');
    return pods.map(({ metadata }) => metadata.uid ?? '').toSorted();
  }

  async #expectLoaded(): Promise<void> {
    await eventually(
      async () => {
        await this.kmm.cluster.pods.reconcileReady(this.#module.namespace);
        const { metadata, status } = await this.kmm.module(this.#module);
        expect(status, JSON.stringify(status)).toMatchObject({
          observedGeneration: metadata.generation,
          loaded: '2/2',
          devicePlugin: { availableNumber: 2 },
          conditions: [
            { type: 'Ready', status: 'True' },
            { type: 'Progressing', status: 'False' },
            { type: 'Degraded', status: 'False' },
          ],
        });
        for (const node of this.#nodes) {
          const { status: nodeStatus } = await this.kmm.cluster.nodes.get(node);
          const { ready, loaded } = await this.kmm.marks(this.#module, node);
          expect({ ready, loaded }).toMatchObject({
            ready: '',
            loaded: expect.stringContaining(`boot=${nodeStatus?.nodeInfo?.bootID},`),
          });
          const pod = await this.kmm.podOn(this.#module, 'module-loader', node);
          expect(pod?.spec?.containers[0]?.image).toBe(this.#image);
        }
      },
      { what: `${this.name} to be loaded`, timeoutMs: LONGEST_WAIT_MS, intervalMs: 500 },
    );
  }

  /** I3 and I4: the nodes of other kernels have the module, and status says what is wrong with the broken one. */
  async #expectOthersLoaded(broken: string): Promise<void> {
    await eventually(
      async () => {
        await this.kmm.cluster.pods.reconcileReady(this.#module.namespace);
        const { metadata, status } = await this.kmm.module(this.#module);
        expect(status?.observedGeneration).toBe(metadata.generation);
        let isMet = false;
        for (const node of this.#nodes) {
          const { status: nodeStatus } = await this.kmm.cluster.nodes.get(node);
          const pod = await this.kmm.podOn(this.#module, 'module-loader', node);
          if (nodeStatus?.nodeInfo?.kernelVersion === broken) isMet = true;
          else {
            const { ready } = await this.kmm.marks(this.#module, node);
            // Perhaps an older image: a node that does not come back uses up what may be unavailable.
            const image = pod?.spec?.containers[0]?.image;
            if (ready !== '' || image?.startsWith(GOOD_IMAGES) !== true) {
              throw new Error(
                `I3: ${node} with kernel ${nodeStatus?.nodeInfo?.kernelVersion} is ${ready}, from ${image}: ${JSON.stringify(status)}`,
              );
            }
          }
        }
        expectReasons(status?.conditions);
        expect(status?.conditions, 'I4').toContainEqual(
          expect.objectContaining({
            type: 'Degraded',
            status: isMet ? 'True' : 'False',
            ...(isMet ? { message: expect.stringContaining(broken) } : {}),
          }),
        );
      },
      { what: `the nodes without ${broken} to be loaded`, timeoutMs: LONGEST_WAIT_MS, intervalMs: 500 },
    );
  }

  /** I5. */
  async #expectDeleted(): Promise<void> {
    this.told.push('delete');
    await this.kmm.deleteModule(this.#module);
    await eventually(
      async () => {
        await expect(this.kmm.module(this.#module)).rejects.toMatchObject({ status: 404 });
        for (const node of this.#nodes) expect(await this.kmm.marks(this.#module, node)).toEqual({});
        expect(await this.#loaders()).toEqual([]);
      },
      { what: `I5: nothing to be left of ${this.name}`, timeoutMs: 120_000, intervalMs: 500 },
    );
  }
}

/** `count` histories side by side, with the seeds from `seed` on. Every failure is told. */
export async function playTogether(
  kmm: OperatedCluster,
  { seed, count, steps }: { readonly seed: number; readonly count: number; readonly steps: number },
  killOperator: () => Promise<void>,
): Promise<void> {
  const ends = await Promise.allSettled(
    Array.from({ length: count }, (_, index) => new ServerHistory(kmm, seed + index, killOperator).play(steps)),
  );
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []));
  // Whole: a comparison of lists is cut short, and the history is what is needed to play it again.
  if (failures.length > 0)
    throw new Error(`of the histories of seeds ${seed} to ${seed + count - 1}:\n${failures.join('\n')}`);
}

/** Takes away the Modules that histories have left, and then the nodes, which a Module would otherwise miss for a minute. */
export async function clearAway({ cluster }: OperatedCluster): Promise<void> {
  const { admin, nodes } = cluster;
  // An API server that has just started answers for its CustomResourceDefinitions a moment later.
  await eventually(
    async () => {
      const left = await admin.list(MODULES);
      for (const module of left) await admin.delete(MODULES, refOf(module));
      expect(left).toEqual([]);
    },
    { what: 'the Modules of the histories to be gone', timeoutMs: 240_000, intervalMs: 500 },
  );
  await nodes.deleteAll();
}
