/**
 * A cluster in memory for the model of the plans: machines, and an API server that checks preconditions. Kubelets and controllers stand
 * beside it; each does one step when it is told to, so every order in which they can act can be tried.
 */

import type { Module } from '../../src/api/module.ts';
import { isAlive } from '../../src/controllers/module/plan-placement.ts';
import type { NodePatch } from '../../src/controllers/node/label-patch.ts';
import type { DaemonSet, Node, Pod, Taint } from '../../src/kube/core.ts';
import type { KubeObject } from '../../src/kube/objects.ts';

/** What is true of a node, whatever the API says of it. */
export interface Machine {
  readonly kernel: string;
  readonly boot: number;
  readonly up: boolean;
}

/** What is true of a pod's container. One that is not of its machine's present boot does not run. */
export interface SimulatedContainer {
  readonly id: string;
  readonly boot: number;
  readonly ready: boolean;
  readonly restarts: number;
  readonly crashed: boolean;
  readonly startedAtMs: number;
}

/** A write of the operator's as the API server carries it out, for whoever checks invariants. */
export interface WriteObserver {
  nodePatched(before: Node, after: Node): void;
  podDeleted(pod: Pod): void;
  daemonSetDeleted(daemonSet: DaemonSet): void;
}

/** A write that the server refuses because the object is another, or in another state, than the writer thinks. */
export class PreconditionFailed extends Error {}

export const UNREACHABLE: Taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' };

export class SimulatedCluster {
  nowMs: number;
  module: Module | undefined;
  readonly nodes = new Map<string, Node>();
  readonly machines = new Map<string, Machine>();
  readonly pods = new Map<string, Pod>();
  readonly containers = new Map<string, SimulatedContainer>();
  readonly daemonSets = new Map<string, DaemonSet>();
  /** Whether pods take their time to stop. */
  slowStops = false;
  /** Whether the API server refuses every new pod, as for a quota that is used up. */
  refusesPods = false;
  /** Uids of DaemonSets whose pods were refused: the DaemonSet controller's events. */
  readonly refusals = new Set<string>();
  /** Steps that a stop still takes, by uid of the pod. */
  readonly stopping = new Map<string, number>();
  observer: WriteObserver | undefined;
  #counter = 0;

  constructor(module: Module, nowMs: number) {
    this.module = module;
    this.nowMs = nowMs;
  }

  /** Grows with everything that changes. */
  get revision(): number {
    return this.#counter;
  }

  // Nodes and their machines.

  addNode(name: string, labels: Readonly<Record<string, string>>): void {
    this.nodes.set(name, { metadata: { name, uid: this.newID('node'), resourceVersion: this.newID(), labels } });
  }

  deleteNode(name: string): void {
    if (this.nodes.delete(name)) this.newID();
  }

  setNode(name: string, change: (node: Node) => Node): void {
    const node = this.nodes.get(name);
    if (node === undefined) return;
    const changed = change(node);
    if (JSON.stringify(changed) !== JSON.stringify(node)) this.nodes.set(name, this.#touched(changed));
  }

  setLabel(name: string, key: string, value: string | undefined): void {
    this.setNode(name, (node) => {
      const { [key]: _before, ...labels } = node.metadata.labels ?? {};
      return {
        ...node,
        metadata: { ...node.metadata, labels: value === undefined ? labels : { ...labels, [key]: value } },
      };
    });
  }

  setTaint(name: string, taint: Taint, present: boolean): void {
    this.setNode(name, (node) => {
      const standing = node.spec?.taints ?? [];
      if (standing.some(({ key }) => key === taint.key) === present) return node;
      const rest = standing.filter(({ key }) => key !== taint.key);
      return { ...node, spec: { taints: present ? [...rest, taint] : rest } };
    });
  }

  markNotReady(name: string): void {
    this.setNode(name, (node) => ({
      ...node,
      status: { ...node.status, conditions: [{ type: 'Ready', status: 'Unknown' }] },
    }));
    this.setTaint(name, UNREACHABLE, true);
    for (const pod of this.pods.values()) {
      if (pod.spec?.nodeName !== name) continue;
      this.putPod({ ...pod, status: { ...pod.status, conditions: [{ type: 'Ready', status: 'False' }] } });
    }
  }

  powerOff(name: string): void {
    const machine = this.machines.get(name);
    if (machine !== undefined) this.machines.set(name, { ...machine, up: false });
  }

  powerOn(name: string, kernel?: string): void {
    const machine = this.machines.get(name);
    if (machine === undefined || machine.up) return;
    this.machines.set(name, { kernel: kernel ?? machine.kernel, boot: machine.boot + 1, up: true });
  }

  crash(uid: string): void {
    const container = this.containers.get(uid);
    if (container !== undefined) this.containers.set(uid, { ...container, crashed: true, ready: false });
  }

  /** Whether the pod's container runs, truly. */
  isRunning(uid: string): boolean {
    const container = this.containers.get(uid);
    const machine = this.machines.get(this.pods.get(uid)?.spec?.nodeName ?? '');
    return (
      container !== undefined &&
      machine !== undefined &&
      machine.up &&
      !container.crashed &&
      container.boot === machine.boot
    );
  }

  // Writes of the operator.

  patchNode(name: string, uid: string | undefined, patch: NodePatch): Node | undefined {
    const before = this.nodes.get(name);
    if (before === undefined) return undefined;
    if (before.metadata.uid !== uid) throw new PreconditionFailed(`node ${name} is another`);
    const { metadata } = before;
    const after = this.#touched({
      ...before,
      metadata: {
        ...metadata,
        labels: merged(metadata.labels, patch.labels),
        annotations: merged(metadata.annotations, patch.annotations),
      },
    });
    this.nodes.set(name, after);
    this.observer?.nodePatched(before, after);
    return after;
  }

  /** Gives the DaemonSet that stands there instead where the name is taken. */
  createDaemonSet(desired: DaemonSet): { readonly created?: DaemonSet; readonly standing?: DaemonSet } {
    const name = desired.metadata.name ?? '';
    const standing = this.daemonSets.get(name);
    if (standing !== undefined) return { standing };
    const metadata = { ...desired.metadata, uid: this.newID('ds'), resourceVersion: this.newID(), generation: 1 };
    const created = { ...desired, metadata };
    this.daemonSets.set(name, created);
    return { created };
  }

  updateDaemonSet(desired: DaemonSet): DaemonSet {
    const name = desired.metadata.name ?? '';
    const standing = this.daemonSets.get(name);
    const { uid, resourceVersion, generation } = standing?.metadata ?? {};
    if (
      standing === undefined ||
      uid !== desired.metadata.uid ||
      resourceVersion !== desired.metadata.resourceVersion
    ) {
      throw new PreconditionFailed(`DaemonSet ${name} has changed`);
    }
    const edited = JSON.stringify(standing.spec) !== JSON.stringify(desired.spec);
    const updated = this.#touched({
      ...desired,
      metadata: { ...desired.metadata, generation: (generation ?? 0) + (edited ? 1 : 0) },
      status: standing.status,
    });
    this.daemonSets.set(name, updated);
    return updated;
  }

  deleteDaemonSet(name: string, uid: string | undefined, resourceVersion?: string): void {
    const standing = this.daemonSets.get(name);
    if (standing === undefined) return;
    const same = resourceVersion === undefined || standing.metadata.resourceVersion === resourceVersion;
    if (standing.metadata.uid !== uid || !same) throw new PreconditionFailed(`DaemonSet ${name} has changed`);
    this.daemonSets.delete(name);
    this.newID();
    this.observer?.daemonSetDeleted(standing);
  }

  deletePod(uid: string): void {
    const pod = this.pods.get(uid);
    if (pod === undefined) return;
    this.observer?.podDeleted(pod);
    this.terminate(pod);
  }

  patchModule(change: (module: Module) => Module): Module | undefined {
    if (this.module === undefined) return undefined;
    const changed = this.#touched(change(this.module));
    const gone = changed.metadata.deletionTimestamp !== undefined && (changed.metadata.finalizers ?? []).length === 0;
    this.module = gone ? undefined : changed;
    return changed;
  }

  /** A person edits the spec. */
  editModule(change: (spec: Module['spec']) => Module['spec']): void {
    this.patchModule((module) => ({
      ...module,
      metadata: { ...module.metadata, generation: (module.metadata.generation ?? 0) + 1 },
      spec: change(module.spec),
    }));
  }

  deleteModule(): void {
    const deletionTimestamp = new Date(this.nowMs).toISOString();
    this.patchModule((module) => ({ ...module, metadata: { ...module.metadata, deletionTimestamp } }));
    // Without a finalizer nothing holds it back: the garbage collector takes what it owns.
    if (this.module === undefined) this.clearDaemonSets();
  }

  isReady(name: string): boolean {
    const node = this.nodes.get(name);
    return node !== undefined && isAlive(node);
  }

  clearDaemonSets(): void {
    if (this.daemonSets.size > 0) this.newID();
    this.daemonSets.clear();
  }

  setDaemonSetStatus(daemonSet: DaemonSet, status: DaemonSet['status']): void {
    if (JSON.stringify(status) === JSON.stringify(daemonSet.status)) return;
    this.daemonSets.set(daemonSet.metadata.name ?? '', this.#touched({ ...daemonSet, status }));
  }

  refuse(daemonSetUID: string): void {
    if (!this.refusals.has(daemonSetUID)) this.newID();
    this.refusals.add(daemonSetUID);
  }

  // Pods.

  addPod(pod: Pod): void {
    const creationTimestamp = new Date(this.nowMs).toISOString();
    this.pods.set(pod.metadata.uid ?? '', this.#touched({ ...pod, metadata: { ...pod.metadata, creationTimestamp } }));
    // The first pod that it lets through ends what the events of refusals say.
    this.refusals.delete(pod.metadata.ownerReferences?.[0]?.uid ?? '');
  }

  terminate(pod: Pod): void {
    if (pod.metadata.deletionTimestamp !== undefined) return;
    const deletionTimestamp = new Date(this.nowMs).toISOString();
    this.pods.set(pod.metadata.uid ?? '', this.#touched({ ...pod, metadata: { ...pod.metadata, deletionTimestamp } }));
  }

  removePod(uid: string): void {
    if (this.pods.delete(uid)) this.newID();
    this.containers.delete(uid);
    this.stopping.delete(uid);
  }

  /** A new status. */
  putPod(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    if (JSON.stringify(this.pods.get(uid)?.status) === JSON.stringify(pod.status)) return;
    this.pods.set(uid, this.#touched(pod));
  }

  #touched<T extends KubeObject>(object: T): T {
    return { ...object, metadata: { ...object.metadata, resourceVersion: this.newID() } };
  }

  newID(prefix = ''): string {
    this.#counter += 1;
    return `${prefix}${this.#counter}`;
  }
}

function merged(
  before: Readonly<Record<string, string>> | undefined,
  patch: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const after: Record<string, string> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete after[key];
    else after[key] = value;
  }
  return after;
}
