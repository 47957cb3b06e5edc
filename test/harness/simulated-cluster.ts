/**
 * A cluster in memory for the model test of the plans: an API server that checks preconditions, a DaemonSet controller, a garbage
 * collector and kubelets, each of which does one step when it is told to. So every order in which they can act can be tried.
 */

import type { Module } from '../../src/api/module.ts';
import { isAlive } from '../../src/controllers/module/plan-placement.ts';
import type { NodePatch } from '../../src/controllers/node/label-patch.ts';
import { trimPod } from '../../src/controllers/records.ts';
import type { DaemonSet, Node, Pod, Taint } from '../../src/kube/core.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { matchesLabels } from '../../src/kube/selectors.ts';

/** What is true of a node, whatever the API says of it. */
interface Machine {
  readonly kernel: string;
  readonly boot: number;
  readonly up: boolean;
}

/** What is true of a pod's container. One that is not of its machine's present boot does not run. */
interface SimulatedContainer {
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

export const BROKEN_IMAGE = 'broken';

/** How many kubelet steps a slow stop takes more. */
const SLOW_STEPS = 2;

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
  observer: WriteObserver | undefined;
  #counter = 0;
  readonly #stopping = new Map<string, number>();

  constructor(module: Module, nowMs: number) {
    this.module = module;
    this.nowMs = nowMs;
  }

  // Nodes and their machines.

  addMachine(name: string, kernel: string, labels: Readonly<Record<string, string>>): void {
    this.machines.set(name, { kernel, boot: 1, up: true });
    this.register(name, labels);
  }

  /** The kubelet of a machine creates its Node. */
  register(name: string, labels: Readonly<Record<string, string>>): void {
    if (this.nodes.has(name)) return;
    this.nodes.set(name, { metadata: { name, uid: this.#next('node'), resourceVersion: this.#next(), labels } });
    this.kubeletReportsNode(name);
  }

  deleteNode(name: string): void {
    this.nodes.delete(name);
  }

  setNode(name: string, change: (node: Node) => Node): void {
    const node = this.nodes.get(name);
    if (node !== undefined) this.nodes.set(name, this.#touched(change(node)));
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
      const rest = (node.spec?.taints ?? []).filter(({ key }) => key !== taint.key);
      return { ...node, spec: { taints: present ? [...rest, taint] : rest } };
    });
  }

  /** The node controller's view: a machine that is down becomes NotReady some time; one that is up is Ready when its kubelet says so. */
  nodeControllerActs(): void {
    for (const [name, { up }] of this.machines) if (!up) this.markNotReady(name);
  }

  markNotReady(name: string): void {
    this.setNode(name, (node) => ({
      ...node,
      status: { ...node.status, conditions: [{ type: 'Ready', status: 'Unknown' }] },
    }));
    this.setTaint(name, { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }, true);
    for (const pod of this.pods.values()) {
      if (pod.spec?.nodeName !== name) continue;
      this.#putPod({ ...pod, status: { ...pod.status, conditions: [{ type: 'Ready', status: 'False' }] } });
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

  // Kubelets. What they report of the node and of its pods are two steps, as their order is not given.

  kubeletReportsNode(name: string): void {
    const machine = this.machines.get(name);
    const node = this.nodes.get(name);
    if (machine === undefined || node === undefined || !machine.up) return;
    const nodeInfo = { kernelVersion: machine.kernel, bootID: bootID(name, machine.boot), architecture: 'amd64' };
    this.setNode(name, (node) => ({ ...node, status: { nodeInfo, conditions: [{ type: 'Ready', status: 'True' }] } }));
    this.setTaint(name, { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }, false);
  }

  /** Stops what is to be stopped, starts what is to run, and reports; a start and its readiness are two steps. */
  kubeletActs(name: string): void {
    const machine = this.machines.get(name);
    if (machine === undefined || !machine.up || !this.nodes.has(name)) return;
    for (const [uid, pod] of this.pods) {
      if (pod.spec?.nodeName !== name) continue;
      if (pod.metadata.deletionTimestamp !== undefined) this.#stop(uid);
      else this.#advance(uid, pod, machine);
    }
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

  #stop(uid: string): void {
    const left = this.#stopping.get(uid) ?? (this.slowStops ? SLOW_STEPS : 0);
    this.#stopping.set(uid, left - 1);
    if (left <= 0) this.#removePod(uid);
  }

  #advance(uid: string, pod: Pod, { boot }: Machine): void {
    const container = this.containers.get(uid);
    const image = pod.spec?.containers[0]?.image ?? '';
    if (image.includes(BROKEN_IMAGE)) return this.#report(pod, undefined, 'ErrImagePull');
    if (container?.crashed === true && container.boot === boot && container.startedAtMs !== 0) {
      // A crash is seen once as such before the container is started again.
      this.containers.set(uid, { ...container, startedAtMs: 0 });
      return this.#report(pod, container, 'CrashLoopBackOff');
    }
    if (container === undefined || container.crashed || container.boot !== boot) {
      const restarts = container === undefined ? 0 : container.restarts + 1;
      const started = { id: this.#next('c'), boot, ready: false, restarts, crashed: false, startedAtMs: this.nowMs };
      this.containers.set(uid, started);
      return this.#report(pod, started, undefined, container?.crashed === true && container.boot === boot);
    }
    const ready = { ...container, ready: true };
    this.containers.set(uid, ready);
    this.#report(pod, ready, undefined, lastCrashed(pod));
  }

  #report(
    pod: Pod,
    container: SimulatedContainer | undefined,
    waiting: string | undefined,
    crashedBefore = false,
  ): void {
    const role = trimPod(pod).role ?? '';
    const terminated = { terminated: { exitCode: 1, reason: 'Error', message: 'crashed' } };
    const ready = waiting === undefined && container?.ready === true;
    this.#putPod({
      ...pod,
      status: {
        phase: container === undefined ? 'Pending' : 'Running',
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
        containerStatuses: [
          {
            name: role,
            ready,
            restartCount: container?.restarts ?? 0,
            ...(container === undefined ? {} : { containerID: container.id }),
            state:
              waiting === undefined
                ? { running: { startedAt: new Date(container?.startedAtMs ?? 0).toISOString() } }
                : { waiting: { reason: waiting } },
            ...(waiting === 'CrashLoopBackOff' || crashedBefore ? { lastState: terminated } : {}),
          },
        ],
      },
    });
  }

  // The DaemonSet controller and the garbage collector.

  daemonSetControllerActs(): void {
    for (const daemonSet of this.daemonSets.values()) this.#syncDaemonSet(daemonSet);
  }

  /** Deletes the DaemonSets of a Module that is gone, the pods of DaemonSets that are gone, and those of nodes that are gone. */
  garbageCollectorActs(): void {
    if (this.module === undefined) this.daemonSets.clear();
    const living = new Set([...this.daemonSets.values()].map(({ metadata }) => metadata.uid));
    for (const [uid, pod] of this.pods) {
      if (!this.nodes.has(pod.spec?.nodeName ?? '')) this.#removePod(uid);
      else if (!pod.metadata.ownerReferences?.some((owner) => living.has(owner.uid))) this.#terminate(pod);
    }
  }

  #syncDaemonSet(daemonSet: DaemonSet): void {
    const { template, updateStrategy } = daemonSet.spec;
    let desired = 0;
    let current = 0;
    let misscheduled = 0;
    let free = updateStrategy?.type === 'RollingUpdate' ? 1 : 0;
    for (const [name, node] of this.nodes) {
      const here = [...this.pods.values()].filter(
        ({ metadata, spec }) =>
          spec?.nodeName === name && metadata.ownerReferences?.[0]?.uid === daemonSet.metadata.uid,
      );
      const wanted = matchesLabels(template.spec.nodeSelector ?? {}, node.metadata.labels ?? {});
      if (wanted) desired += 1;
      if (wanted && here.length > 0) current += 1;
      if (!wanted && here.length > 0) misscheduled += 1;
      if (wanted && here.length === 0) this.#createPod(daemonSet, name);
      for (const pod of here) {
        const outdated =
          trimPod(pod).inputs !== (template.metadata?.annotations?.['kmm.node.kubernetes.io/inputs'] ?? '');
        if (!wanted) this.#terminate(pod);
        else if (outdated && free > 0) {
          free -= 1;
          this.#terminate(pod);
        }
      }
    }
    const status = {
      observedGeneration: daemonSet.metadata.generation,
      desiredNumberScheduled: desired,
      currentNumberScheduled: current,
      numberMisscheduled: misscheduled,
    };
    if (JSON.stringify(status) === JSON.stringify(daemonSet.status)) return;
    this.daemonSets.set(daemonSet.metadata.name ?? '', this.#touched({ ...daemonSet, status }));
  }

  #createPod({ metadata, spec }: DaemonSet, nodeName: string): void {
    const uid = this.#next('pod');
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      name: metadata.name ?? '',
      uid: metadata.uid ?? '',
      controller: true,
    };
    this.pods.set(uid, {
      metadata: {
        ...spec.template.metadata,
        name: `${metadata.name}-${uid}`,
        namespace: metadata.namespace,
        uid,
        resourceVersion: this.#next(),
        ownerReferences: [owner],
      },
      spec: { ...spec.template.spec, nodeName },
    });
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
    const metadata = { ...desired.metadata, uid: this.#next('ds'), resourceVersion: this.#next(), generation: 1 };
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
    this.observer?.daemonSetDeleted(standing);
  }

  deletePod(uid: string): void {
    const pod = this.pods.get(uid);
    if (pod === undefined) return;
    this.observer?.podDeleted(pod);
    this.#terminate(pod);
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
    if (this.module !== undefined) return;
    // Without a finalizer nothing holds it back: the garbage collector takes what it owns.
    this.daemonSets.clear();
  }

  isReady(name: string): boolean {
    const node = this.nodes.get(name);
    return node !== undefined && isAlive(node);
  }

  #terminate(pod: Pod): void {
    if (pod.metadata.deletionTimestamp !== undefined) return;
    const deletionTimestamp = new Date(this.nowMs).toISOString();
    this.#putPod({ ...pod, metadata: { ...pod.metadata, deletionTimestamp } });
  }

  #removePod(uid: string): void {
    this.pods.delete(uid);
    this.containers.delete(uid);
    this.#stopping.delete(uid);
  }

  #putPod(pod: Pod): void {
    if (JSON.stringify(this.pods.get(pod.metadata.uid ?? '')) === JSON.stringify(pod)) return;
    this.pods.set(pod.metadata.uid ?? '', this.#touched(pod));
  }

  #touched<T extends KubeObject>(object: T): T {
    return { ...object, metadata: { ...object.metadata, resourceVersion: this.#next() } };
  }

  #next(prefix = ''): string {
    this.#counter += 1;
    return `${prefix}${this.#counter}`;
  }
}

export function bootID(node: string, boot: number): string {
  return `${node}-boot-${boot}`;
}

function lastCrashed(pod: Pod): boolean {
  return pod.status?.containerStatuses?.[0]?.lastState?.terminated !== undefined;
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
