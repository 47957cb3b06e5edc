/** A control plane of a test file's own with the operator in it: what the tests of the controllers stand on. */
import { afterAll, beforeAll, expect } from 'vitest';

import {
  loadedAnnotation,
  loadLabel,
  MODULE_NAME_LABEL,
  ROLE_LABEL,
  type Role,
  readyLabel,
} from '../../src/api/labels.ts';
import { MODULES, type Module } from '../../src/api/module.ts';
import { DAEMONSETS, type DaemonSet, EVENTS, type Event, NODES, type Node, type Pod } from '../../src/kube/core.ts';
import type { Condition } from '../../src/kube/objects.ts';
import { isNotFound, type Ref } from './admin.ts';
import { type AuditEvent, writes } from './audit.ts';
import { type Cluster, clusterAround } from './cluster.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';
import type { ModuleBuilder } from './modules.ts';
import { inParallel } from './nodes.ts';
import {
  installOperator,
  OPERATOR_USER,
  type OperatorOptions,
  type OperatorProcess,
  spawnOperator,
} from './operator.ts';

export type ModuleRef = Required<Ref>;

/** Flags under which the operator's own waiting is short enough for a test. */
const TEST_FLAGS = [
  '--status-interval=100ms',
  '--leader-elect-lease-duration=3s',
  '--leader-elect-renew-deadline=2s',
  '--leader-elect-retry-period=200ms',
];

export interface OperatedClusterOptions extends OperatorOptions {
  readonly controlPlane?: ControlPlaneOptions;
  /** Installs the operator and says how it is started; config/crd and config/rbac unless given. */
  readonly install?: (controlPlane: ControlPlane) => Promise<OperatorOptions>;
}

/** Starts a control plane and an operator before the file's tests and ends both after them. Call it at the top level. */
export function useOperatedCluster(name: string, options: OperatedClusterOptions = {}): OperatedCluster {
  const operated = new OperatedCluster(options);
  beforeAll(() => operated.start(name));
  afterAll(() => operated.stop());
  return operated;
}

export class OperatedCluster {
  readonly #options: OperatedClusterOptions;
  #parts: { readonly controlPlane: ControlPlane; readonly cluster: Cluster } | undefined;
  #operator: OperatorProcess | undefined;
  #installed: OperatorOptions = {};

  constructor(options: OperatedClusterOptions) {
    this.#options = options;
  }

  async start(name: string): Promise<void> {
    const controlPlane = await startControlPlane({ name, ...this.#options.controlPlane });
    this.#parts = { controlPlane, cluster: await clusterAround(controlPlane) };
    await this.install(this.#options.install ?? installByKustomize);
    await this.startOperator();
  }

  /** Installs the operator, or what is to be there in its place; the next one that is started is started so. */
  async install(install: (controlPlane: ControlPlane) => Promise<OperatorOptions>): Promise<void> {
    this.#installed = await install(this.controlPlane);
  }

  async stop(): Promise<void> {
    await this.#parts?.controlPlane.stop();
    await this.#parts?.cluster.admin.close();
  }

  get controlPlane(): ControlPlane {
    return this.#started().controlPlane;
  }

  get cluster(): Cluster {
    return this.#started().cluster;
  }

  get operator(): OperatorProcess {
    if (this.#operator === undefined) throw new Error('the operator has not been started');
    return this.#operator;
  }

  /** Starts the operator: the first one, or the next after one that was killed or stopped. */
  async startOperator(flags: readonly string[] = []): Promise<OperatorProcess> {
    const operator = await this.spawnOperator(flags);
    await operator.waitUntilReady();
    return operator;
  }

  /** As startOperator, for one that is not to become ready yet. */
  async spawnOperator(flags: readonly string[] = []): Promise<OperatorProcess> {
    const all = [...TEST_FLAGS, ...(this.#installed.flags ?? []), ...(this.#options.flags ?? []), ...flags];
    this.#operator = await spawnOperator(this.controlPlane, { ...this.#installed, ...this.#options, flags: all });
    return this.#operator;
  }

  async apply(module: ModuleBuilder): Promise<ModuleRef> {
    const { metadata } = await this.cluster.admin.create(MODULES, module.build());
    return { name: metadata.name ?? '', namespace: metadata.namespace ?? '' };
  }

  module(ref: ModuleRef): Promise<Module> {
    return this.cluster.admin.get(MODULES, ref);
  }

  /** A merge patch of spec. */
  async edit(ref: ModuleRef, spec: unknown): Promise<void> {
    await this.cluster.admin.patch(MODULES, ref, { spec });
  }

  async deleteModule(ref: ModuleRef): Promise<void> {
    await this.cluster.admin.delete(MODULES, ref);
  }

  async untilGone(ref: ModuleRef): Promise<void> {
    await eventually(
      async () => {
        try {
          const { metadata, status } = await this.module(ref);
          throw new Error(
            `its finalizers are ${metadata.finalizers?.join()}; ${JSON.stringify(status?.conditions?.[0])}`,
          );
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      },
      { what: `Module ${ref.name} to be gone` },
    );
  }

  /** The Module once its condition is as expected, and is about its present generation. */
  untilCondition(ref: ModuleRef, expected: Partial<Condition> & Pick<Condition, 'type'>): Promise<Module> {
    return eventually(
      async () => {
        const module = await this.module(ref);
        const found = module.status?.conditions?.find(({ type }) => type === expected.type);
        expect(found).toMatchObject({ ...expected, observedGeneration: module.metadata.generation });
        return module;
      },
      { what: `Module ${ref.name} to be ${JSON.stringify(expected)}` },
    );
  }

  /** The Module once `nodes` nodes have it and nothing is in progress. */
  async untilLoaded(ref: ModuleRef, nodes: number): Promise<Module> {
    return eventually(
      async () => {
        const module = await this.module(ref);
        expect(module.status).toMatchObject({
          observedGeneration: module.metadata.generation,
          loaded: `${nodes}/${nodes}`,
          conditions: expect.arrayContaining([
            expect.objectContaining({ type: 'Ready', status: 'True' }),
            expect.objectContaining({ type: 'Progressing', status: 'False' }),
          ]),
        });
        return module;
      },
      { what: `Module ${ref.name} to be loaded on ${nodes} nodes` },
    );
  }

  daemonSets(ref: ModuleRef, role?: Role): Promise<readonly DaemonSet[]> {
    return this.cluster.admin.list(DAEMONSETS, { namespace: ref.namespace, labelSelector: selectorOf(ref, role) });
  }

  async pods(ref: ModuleRef, role: Role): Promise<readonly Pod[]> {
    return this.cluster.pods.list(ref.namespace, { [MODULE_NAME_LABEL]: ref.name, [ROLE_LABEL]: role });
  }

  /** The one pod of that role on the node, terminating ones not counted; undefined when there is none. */
  async podOn(ref: ModuleRef, role: Role, node: string): Promise<Pod | undefined> {
    const found = (await this.pods(ref, role)).filter(
      ({ metadata, spec }) => spec?.nodeName === node && metadata.deletionTimestamp === undefined,
    );
    if (found.length > 1) throw new Error(`${found.length} ${role} pods on ${node}`);
    return found[0];
  }

  /** The running loader pod of a node, once there is one. */
  untilLoaderOn(ref: ModuleRef, node: string, matches: (pod: Pod) => boolean = () => true): Promise<Pod> {
    return eventually(
      async () => {
        const pod = await this.podOn(ref, 'module-loader', node);
        if (pod === undefined || pod.status?.containerStatuses === undefined) throw new Error('there is none');
        if (!matches(pod)) throw new Error(`it is ${JSON.stringify(pod.spec?.containers[0]?.image)}`);
        return pod;
      },
      { what: `a loader of ${ref.name} on ${node}` },
    );
  }

  /** What the Module has on a node: values of the load and ready labels and of the loaded annotation. */
  async marks(ref: ModuleRef, node: string): Promise<{ load?: string; ready?: string; loaded?: string }> {
    return marksOf(ref, await this.cluster.nodes.get(node));
  }

  nodes(): Promise<readonly Node[]> {
    return this.cluster.admin.list(NODES);
  }

  events(ref: ModuleRef): Promise<readonly Event[]> {
    const fieldSelector = `involvedObject.kind=Module,involvedObject.name=${ref.name}`;
    return this.cluster.admin.list(EVENTS, { namespace: ref.namespace, fieldSelector });
  }

  untilEvent(ref: ModuleRef, expected: Partial<Event>): Promise<void> {
    return eventually(async () => expect(await this.events(ref)).toContainEqual(expect.objectContaining(expected)), {
      what: `an event ${JSON.stringify(expected)} on ${ref.name}`,
    });
  }

  /** What the operator wrote since a mark of the audit log, Leases left out. */
  async operatorWrites(since: number): Promise<readonly AuditEvent[]> {
    return writes((await this.controlPlane.auditEvents(since)).filter(({ user }) => user === OPERATOR_USER));
  }

  /**
   * Returns when the operator has nothing to do: its queues are empty, nothing runs, and no reconcile began between two looks that are
   * further apart than the time it gathers changes for.
   */
  async untilIdle(operator: OperatorProcess = this.operator): Promise<void> {
    let before = -1;
    await eventually(
      async () => {
        const text = await operator.metrics();
        const busy = sumOf(text, 'workqueue_depth') + sumOf(text, 'controller_runtime_active_workers');
        const done = sumOf(text, 'controller_runtime_reconcile_total');
        const [last, now] = [before, done];
        before = done;
        if (busy > 0 || last !== now)
          throw new Error(`${busy} keys under way, ${now - last} reconciles since the last look`);
      },
      { what: 'the operator to be idle', intervalMs: 300, timeoutMs: 60_000 },
    );
  }

  /** Creates nodes that carry `labels`, named `<prefix>-<n>`, one for each kernel. */
  async addNodes(
    prefix: string,
    labels: Readonly<Record<string, string>>,
    ...kernels: readonly string[]
  ): Promise<readonly string[]> {
    const nodes = kernels.map((kernel, index) => ({ name: `${prefix}-${index}`, kernel, labels }));
    await this.cluster.nodes.create(...nodes);
    return nodes.map(({ name }) => name);
  }

  /** Takes the nodes away again: other tests of the file must not meet them. */
  async removeNodes(...names: readonly string[]): Promise<void> {
    await inParallel(names, 16, (name) => this.cluster.nodes.delete(name));
  }

  #started(): { readonly controlPlane: ControlPlane; readonly cluster: Cluster } {
    if (this.#parts === undefined) throw new Error('the cluster is started before the first test, not before');
    return this.#parts;
  }
}

async function installByKustomize(controlPlane: ControlPlane): Promise<OperatorOptions> {
  await installOperator(controlPlane);
  return {};
}

function marksOf(ref: ModuleRef, node: Node): { load?: string; ready?: string; loaded?: string } {
  return {
    load: node.metadata.labels?.[loadLabel(ref)],
    ready: node.metadata.labels?.[readyLabel(ref)],
    loaded: node.metadata.annotations?.[loadedAnnotation(ref)],
  };
}

function selectorOf(ref: ModuleRef, role: Role | undefined): string {
  return `${MODULE_NAME_LABEL}=${ref.name}${role === undefined ? '' : `,${ROLE_LABEL}=${role}`}`;
}

function sumOf(metrics: string, name: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
