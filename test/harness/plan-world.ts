/** Worlds for tests of the controllers' decisions: each step of a builder reads like the sentence it tests. */
import {
  loadedAnnotation,
  loadLabel,
  MODULE_NAME_LABEL,
  ROLE_LABEL,
  type Role,
  readyLabel,
} from '../../src/api/labels.ts';
import type { Module } from '../../src/api/module.ts';
import { type NormalizedModule, normalize } from '../../src/api/normalize.ts';
import { GENERATION_ANNOTATION, INPUTS_ANNOTATION } from '../../src/controllers/identity.ts';
import { formatLoadedRecord, type LoadedRecord } from '../../src/controllers/module/loaded-record.ts';
import { planKernels } from '../../src/controllers/module/plan-kernels.ts';
import type {
  BuildsWorld,
  ModuleOptions,
  ModuleSnapshot,
  NodeKeys,
  SelectorMemory,
} from '../../src/controllers/module/snapshot.ts';
import type { ContainerRecord, DaemonSetRecord, PodRecord, RefusalRecord } from '../../src/controllers/records.ts';
import { kernelKey } from '../../src/kernel/grouping.ts';
import { labelSafe } from '../../src/kernel/names.ts';
import type { Node, Taint, TaintEffect } from '../../src/kube/core.ts';
import type { ModuleBuilder } from './modules.ts';

/** The moment of every snapshot that is not told another, milliseconds since the epoch. */
export const NOW = Date.parse('2026-03-01T12:00:00Z');
export const MINUTE = 60_000;
export const NAMESPACE = 'kmm-test';

/** Architecture of a node that is not told another. */
const ARCH = 'amd64';

/** A Module as the API server would have stored it: with uid, generation and namespace. */
export function stored(builder: ModuleBuilder, extra: Partial<Module> = {}): Module {
  const module = builder.build();
  return {
    ...module,
    ...extra,
    metadata: {
      namespace: NAMESPACE,
      uid: `uid-of-${module.metadata.name}`,
      resourceVersion: '1',
      generation: 1,
      ...module.metadata,
      ...extra.metadata,
    },
  };
}

/** The internal form of a Module that is in the form this release acts on. */
export function specOf(module: Pick<Module, 'spec'>): NormalizedModule {
  const normalization = normalize(module);
  if (!normalization.supported) throw new Error(`the test's Module is not supported: ${normalization.message}`);
  return normalization.spec;
}

export function keysOf({ metadata }: Module): NodeKeys {
  const name = { namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
  return { load: loadLabel(name), ready: readyLabel(name), loaded: loadedAnnotation(name) };
}

/** The kernel key of a release on the nodes' usual architecture. */
export function keyOf(kernel: string, arch = ARCH): string {
  return kernelKey(kernel, arch);
}

type NodeInfo = NonNullable<NonNullable<Node['status']>['nodeInfo']>;

/** A node that is Ready, has no taints and has not reported a kernel; its first boot is `<name>-boot-1`. */
export function aNode(name: string): NodeBuilder {
  return new NodeBuilder({
    metadata: { name, uid: `uid-of-${name}`, resourceVersion: '1', labels: {} },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  });
}

/** Every step gives a new builder. */
export class NodeBuilder {
  readonly #node: Node;

  constructor(node: Node) {
    this.#node = node;
  }

  running(kernelVersion: string, arch = ARCH): NodeBuilder {
    const bootID = this.#node.status?.nodeInfo?.bootID ?? `${this.#node.metadata.name}-boot-1`;
    return this.#withInfo({ kernelVersion, architecture: arch, bootID });
  }

  booted(bootID: string): NodeBuilder {
    const info = this.#node.status?.nodeInfo ?? { kernelVersion: '', architecture: ARCH };
    return this.#withInfo({ ...info, bootID });
  }

  withLabel(key: string, value = ''): NodeBuilder {
    return this.withLabels({ [key]: value });
  }

  withLabels(labels: Readonly<Record<string, string>>): NodeBuilder {
    const { metadata } = this.#node;
    return new NodeBuilder({ ...this.#node, metadata: { ...metadata, labels: { ...metadata.labels, ...labels } } });
  }

  withAnnotation(key: string, value: string): NodeBuilder {
    const { metadata } = this.#node;
    const annotations = { ...metadata.annotations, [key]: value };
    return new NodeBuilder({ ...this.#node, metadata: { ...metadata, annotations } });
  }

  tainted(key: string, effect: TaintEffect = 'NoSchedule', value?: string): NodeBuilder {
    const taint: Taint = { key, effect, ...(value === undefined ? {} : { value }) };
    const taints = [...(this.#node.spec?.taints ?? []), taint];
    return new NodeBuilder({ ...this.#node, spec: { ...this.#node.spec, taints } });
  }

  /** As `kubectl cordon` does it. */
  cordoned(): NodeBuilder {
    return this.tainted('node.kubernetes.io/unschedulable');
  }

  /** As the node controller marks a node whose kubelet does not answer. */
  notReady(status: 'False' | 'Unknown' = 'Unknown'): NodeBuilder {
    const key = `node.kubernetes.io/${status === 'Unknown' ? 'unreachable' : 'not-ready'}`;
    const { taints: _before, ...spec } = this.#node.spec ?? {};
    return new NodeBuilder({
      ...this.#node,
      spec: { ...spec, taints: [...(this.#node.spec?.taints ?? []), { key, effect: 'NoExecute' }] },
      status: { ...this.#node.status, conditions: [{ type: 'Ready', status }] },
    });
  }

  /** Carries the load label of `kernel`, by default of the kernel it runs. */
  holding(keys: NodeKeys, kernel = this.#node.status?.nodeInfo?.kernelVersion ?? ''): NodeBuilder {
    return this.withLabel(keys.load, keyOf(kernel, this.#node.status?.nodeInfo?.architecture));
  }

  /** Holding, with the ready label, and seen loaded by container `instance` in its present boot or in `bootID`. */
  loaded(keys: NodeKeys, instance: string, record: Partial<LoadedRecord> = {}): NodeBuilder {
    return this.holding(keys)
      .withLabel(keys.ready)
      .recorded(keys, { instance, ...record });
  }

  /** With the annotation in which it stands when the module was seen loaded. */
  recorded(keys: NodeKeys, record: Partial<LoadedRecord> & { readonly instance: string }): NodeBuilder {
    const bootID = this.#node.status?.nodeInfo?.bootID ?? '';
    return this.withAnnotation(keys.loaded, formatLoadedRecord({ bootID, ...record }));
  }

  build(): Node {
    return this.#node;
  }

  #withInfo(nodeInfo: NodeInfo): NodeBuilder {
    return new NodeBuilder({ ...this.#node, status: { ...this.#node.status, nodeInfo } });
  }
}

const READY_CONTAINER: ContainerRecord = {
  instance: 'first',
  running: true,
  startedAt: new Date(NOW - MINUTE).toISOString(),
  ready: true,
  restarts: 0,
};

/** A loader pod of `kernel` on `node`, just created: Pending, no container yet. */
export function aLoaderPod(node: string, kernel: string, arch = ARCH): PodBuilder {
  return new PodBuilder({ ...aPod('module-loader', node), kernelKey: keyOf(kernel, arch) });
}

/** A device-plugin pod on `node`, just created. */
export function aPluginPod(node: string): PodBuilder {
  return new PodBuilder(aPod('device-plugin', node));
}

function aPod(role: Role, node: string): PodRecord {
  const name = `${role}-on-${node}`;
  return {
    metadata: {
      name,
      namespace: NAMESPACE,
      uid: `uid-of-${name}`,
      resourceVersion: '1',
      creationTimestamp: new Date(NOW - 1_000).toISOString(),
    },
    role,
    moduleLabel: '',
    node,
    kernelKey: '',
    inputs: UNTOLD,
    phase: 'Pending',
    ready: false,
  };
}

/** Every step gives a new builder. */
export class PodBuilder {
  readonly #pod: PodRecord;

  constructor(pod: PodRecord) {
    this.#pod = pod;
  }

  named(name: string): PodBuilder {
    return this.#with({ metadata: { ...this.#pod.metadata, name, uid: `uid-of-${name}` } });
  }

  /** It was created at `ms`, milliseconds since the epoch. */
  createdAt(ms: number): PodBuilder {
    return this.#with({ metadata: { ...this.#pod.metadata, creationTimestamp: new Date(ms).toISOString() } });
  }

  madeFrom(inputs: string): PodBuilder {
    return this.#with({ inputs });
  }

  /** Its container runs and is Ready. */
  ready(instance = READY_CONTAINER.instance): PodBuilder {
    return this.#with({ phase: 'Running', ready: true, container: { ...READY_CONTAINER, instance } });
  }

  /** Its container runs and its readiness probe fails. */
  running(instance = READY_CONTAINER.instance): PodBuilder {
    return this.#with({ phase: 'Running', ready: false, container: { ...READY_CONTAINER, instance, ready: false } });
  }

  /** Its container waits for `reason`, after `restarts` starts. */
  waiting(reason: string, message = '', restarts = 0): PodBuilder {
    const { startedAt: _gone, ...container } = READY_CONTAINER;
    return this.#with({
      ready: false,
      container: { ...container, running: false, ready: false, restarts, waiting: { reason, message } },
    });
  }

  withContainer(fields: Partial<ContainerRecord>): PodBuilder {
    return this.#with({ container: { ...READY_CONTAINER, ...this.#pod.container, ...fields } });
  }

  blocked(blocked: string): PodBuilder {
    return this.#with({ blocked });
  }

  phase(phase: string): PodBuilder {
    return this.#with({ phase });
  }

  terminating(since = '2026-03-01T12:02:00Z'): PodBuilder {
    return this.#with({ metadata: { ...this.#pod.metadata, deletionTimestamp: since } });
  }

  build(): PodRecord {
    return this.#pod;
  }

  #with(fields: Partial<PodRecord>): PodBuilder {
    return new PodBuilder({ ...this.#pod, ...fields });
  }
}

/** The loader DaemonSet of `kernel`, as our last write left it and seen by its controller. */
export function aLoaderDaemonSet(module: Module, kernel: string, arch = ARCH): DaemonSetBuilder {
  const key = keyOf(kernel, arch);
  return new DaemonSetBuilder({
    ...aDaemonSet(module, 'module-loader', `loader-${key}`),
    kernelKey: key,
    nodeSelectorKeys: [keysOf(module).load],
  });
}

export function aPluginDaemonSet(module: Module, name = 'device-plugin'): DaemonSetBuilder {
  return new DaemonSetBuilder({
    ...aDaemonSet(module, 'device-plugin', name),
    nodeSelectorKeys: [keysOf(module).ready],
  });
}

function aDaemonSet({ metadata }: Module, role: Role, name: string): DaemonSetRecord {
  const moduleLabel = labelSafe(metadata.name ?? '');
  const matchLabels = { [MODULE_NAME_LABEL]: moduleLabel, [ROLE_LABEL]: role };
  return {
    metadata: {
      name,
      namespace: metadata.namespace,
      uid: `uid-of-${name}`,
      resourceVersion: '1',
      generation: 1,
      labels: matchLabels,
      annotations: { [INPUTS_ANNOTATION]: UNTOLD, [GENERATION_ANNOTATION]: '1' },
      ownerReferences: [
        { apiVersion: 'kmm.sigs.x-k8s.io/v1beta1', kind: 'Module', name: metadata.name ?? '', uid: metadata.uid ?? '' },
      ],
    },
    role,
    moduleLabel,
    kernelKey: '',
    nodeSelectorKeys: [],
    matchLabels,
    inputs: UNTOLD,
    observedGeneration: 1,
  };
}

/** Every step gives a new builder. */
export class DaemonSetBuilder {
  readonly #record: DaemonSetRecord;

  constructor(record: DaemonSetRecord) {
    this.#record = record;
  }

  /** Its template is made from these inputs, and its annotation says so. */
  madeFrom(inputs: string): DaemonSetBuilder {
    return this.#with({ inputs }).withMetadata({
      annotations: { ...this.#record.metadata.annotations, [INPUTS_ANNOTATION]: inputs },
    });
  }

  /** Written at `generation`, which its controller has not seen if `observed` is less. */
  atGeneration(generation: number, observed = generation): DaemonSetBuilder {
    return this.#with({ observedGeneration: observed }).withMetadata({
      generation,
      annotations: { ...this.#record.metadata.annotations, [GENERATION_ANNOTATION]: String(generation) },
    });
  }

  deleting(): DaemonSetBuilder {
    return this.withMetadata({ deletionTimestamp: '2026-03-01T12:00:00Z' });
  }

  withMetadata(fields: DaemonSetRecord['metadata']): DaemonSetBuilder {
    return this.#with({ metadata: { ...this.#record.metadata, ...fields } });
  }

  with(fields: Partial<DaemonSetRecord>): DaemonSetBuilder {
    return this.#with(fields);
  }

  build(): DaemonSetRecord {
    return this.#record;
  }

  #with(fields: Partial<DaemonSetRecord>): DaemonSetBuilder {
    return new DaemonSetBuilder({ ...this.#record, ...fields });
  }
}

/** What loaders and DaemonSets are made from that are not told anything else. */
const UNTOLD = 'inputs';

/** The same world, in which loaders and DaemonSets that are not told anything else are made from what the Module says now. */
export function upToDate(snapshot: ModuleSnapshot): ModuleSnapshot {
  const kernels = planKernels(snapshot, snapshot.nodes);
  const made = <T extends PodRecord | DaemonSetRecord>(record: T): T =>
    record.inputs === UNTOLD ? { ...record, inputs: kernels.get(record.kernelKey)?.inputs ?? UNTOLD } : record;
  return {
    ...snapshot,
    loaderPods: snapshot.loaderPods.map(made),
    loaderDaemonSets: snapshot.loaderDaemonSets.map(made),
  };
}

type Built<T> = T | { build(): T };

function built<T extends object>(item: Built<T>): T {
  return 'build' in item ? item.build() : item;
}

const OPTIONS: ModuleOptions = { selectorGracePeriodMs: 10 * MINUTE, priorityClassName: 'system-node-critical' };

/** Nobody has built anything, and no ConfigMap is there. */
export const NOTHING_BUILT: BuildsWorld = {
  records: [],
  configMap: () => ({ state: 'missing' }),
  registryProblem: undefined,
  refusal: () => undefined,
  retry: { attempts: 3, backoffMs: 30_000 },
};

/** What one decision about `module` is made from: at first a cluster without a node. */
export function aSnapshot(module: Module): SnapshotBuilder {
  const spec = specOf(module);
  return new SnapshotBuilder({
    nowMs: NOW,
    module,
    spec,
    keys: keysOf(module),
    nodes: [],
    loaderDaemonSets: [],
    pluginDaemonSets: [],
    loaderPods: [],
    pluginPods: [],
    refusals: new Map(),
    selectorMemory: { selector: spec.selector, unmatched: new Map() },
    marksAsked: new Set(),
    nodeRefusals: new Map(),
    builds: NOTHING_BUILT,
    options: OPTIONS,
  });
}

/** Every step gives a new builder. */
export class SnapshotBuilder {
  readonly #snapshot: ModuleSnapshot;

  constructor(snapshot: ModuleSnapshot) {
    this.#snapshot = snapshot;
  }

  at(nowMs: number): SnapshotBuilder {
    return this.with({ nowMs });
  }

  withNodes(...nodes: readonly Built<Node>[]): SnapshotBuilder {
    return this.with({ nodes: [...this.#snapshot.nodes, ...nodes.map(built<Node>)] });
  }

  withLoaderDaemonSets(...daemonSets: readonly Built<DaemonSetRecord>[]): SnapshotBuilder {
    const loaderDaemonSets = [...this.#snapshot.loaderDaemonSets, ...daemonSets.map(built<DaemonSetRecord>)];
    return this.with({ loaderDaemonSets });
  }

  withPluginDaemonSets(...daemonSets: readonly Built<DaemonSetRecord>[]): SnapshotBuilder {
    const pluginDaemonSets = [...this.#snapshot.pluginDaemonSets, ...daemonSets.map(built<DaemonSetRecord>)];
    return this.with({ pluginDaemonSets });
  }

  withLoaderPods(...pods: readonly Built<PodRecord>[]): SnapshotBuilder {
    return this.with({ loaderPods: [...this.#snapshot.loaderPods, ...pods.map(built<PodRecord>)] });
  }

  withPluginPods(...pods: readonly Built<PodRecord>[]): SnapshotBuilder {
    return this.with({ pluginPods: [...this.#snapshot.pluginPods, ...pods.map(built<PodRecord>)] });
  }

  /** The API server refuses the pods of the DaemonSet with this uid. */
  withRefusal(daemonSetUID: string, message: string): SnapshotBuilder {
    const refusal: RefusalRecord = { metadata: { name: 'refusal' }, daemonSetUID, message, at: '' };
    return this.with({ refusals: new Map([...this.#snapshot.refusals, [daemonSetUID, refusal]]) });
  }

  /** What is due on the node is refused in these words. */
  withNodeRefusal(node: string, sentence: string): SnapshotBuilder {
    return this.with({ nodeRefusals: new Map([[node, sentence]]) });
  }

  /** Nodes whose replacement the plan before asked for. */
  withMarksAsked(...nodes: readonly string[]): SnapshotBuilder {
    return this.with({ marksAsked: new Set(nodes) });
  }

  remembering(selectorMemory: SelectorMemory): SnapshotBuilder {
    return this.with({ selectorMemory });
  }

  with(fields: Partial<ModuleSnapshot>): SnapshotBuilder {
    return new SnapshotBuilder({ ...this.#snapshot, ...fields });
  }

  build(): ModuleSnapshot {
    return this.#snapshot;
  }
}
