/** The invariants, judged at every write of the operator and after everything that happens. What is wrong is thrown, in a sentence. */
import { isAlive } from '../../src/controllers/module/plan-placement.ts';
import type { DaemonSet, Node, Pod } from '../../src/kube/core.ts';
import { keyOf, NOW } from '../harness/plan-world.ts';
import type { SimulatedCluster, WriteObserver } from './cluster.ts';
import { KEYS, type Memory, madeFrom, recordOf } from './memory.ts';
import type { Planned } from './operator.ts';
import { daemonSetRecord, podRecord } from './records.ts';
import { isSelectedBy, KERNELS, kernelOf, loaderOf, NODES, type Wish } from './wish.ts';

export class Judge implements WriteObserver {
  readonly #cluster: SimulatedCluster;
  readonly #memory: Memory;
  readonly #planned: () => Planned | undefined;
  readonly #graceMs: number;

  constructor(cluster: SimulatedCluster, memory: Memory, planned: () => Planned | undefined, graceMs: number) {
    this.#cluster = cluster;
    this.#memory = memory;
    this.#planned = planned;
    this.#graceMs = graceMs;
  }

  nodePatched(before: Node, after: Node): void {
    const memory = this.#memory;
    const name = before.metadata.name ?? '';
    memory.look();
    const given = after.metadata.labels?.[KEYS.load];
    const had = before.metadata.labels?.[KEYS.load];
    if (had !== undefined && given !== had) {
      this.#mayTake(name, had);
      this.#usersAreGone(before, had);
      if (this.#unloads()) this.#loadersAreGone(before);
    }
    if (given !== undefined && given !== had) {
      memory.holdings.set(name, {
        wishIndex: this.#plannedIndex(),
        kernels: new Set([after.status?.nodeInfo?.kernelVersion ?? '']),
        drivers: new Set([memory.driverOf(name)]),
      });
    }
    if (before.metadata.labels?.[KEYS.ready] === undefined && after.metadata.labels?.[KEYS.ready] !== undefined) {
      this.#mayBeReady(after);
    }
    if (recordOf(before)?.replacingSince === undefined && recordOf(after)?.replacingSince !== undefined) {
      this.#mayReplace(name);
    }
  }

  /** Index of the wish for which labels lie on the operator's desk: every edit is one generation. */
  #plannedIndex(): number {
    return (this.#planned()?.generation ?? 1) - 1;
  }

  #plannedWish(): Wish {
    return this.#memory.wishes[this.#plannedIndex()] ?? this.#memory.wish;
  }

  /** Whether what the operator carries out was planned for a Module that is being deleted. What it hears later, it has yet to plan for. */
  #unloads(): boolean {
    return this.#planned()?.deleting ?? false;
  }

  /** I1: the load label goes only for a reason that a person, or a kernel, gave. */
  #mayTake(name: string, had: string): void {
    const memory = this.#memory;
    const holding = memory.holdings.get(name);
    if (this.#unloads() || holding === undefined) return;
    if ([...holding.kernels].some((release) => keyOf(release) !== had)) return;
    const since = memory.wishes.slice(holding.wishIndex);
    const kernel = KERNELS.find((release) => keyOf(release) === had);
    if (kernel !== undefined && since.some(({ images }) => images[kernel] === undefined)) return;
    const edited = since.filter(({ driver }, index) => index > 0 && driver !== since[index - 1]?.driver);
    if (edited.some(({ driver }) => [...holding.drivers].some((value) => driver !== undefined && value !== driver)))
      return;
    const unmatchedMs = this.#cluster.nowMs - (memory.matchedAtMs.get(name) ?? NOW);
    // A label or a selector that is changed at the end of the grace may have been planned for before.
    const seen = this.#planned()?.nodes.get(name)?.metadata.labels?.['driver'];
    if (!isSelectedBy(this.#plannedWish(), seen) && unmatchedMs >= this.#graceMs) return;
    throw new Error(`I1: the load label ${had} was taken from ${name} for no allowed reason`);
  }

  /** The device plugin uses the module: it goes first, as far as the operator knew when it planned. */
  #usersAreGone(before: Node, had: string): void {
    const name = before.metadata.name ?? '';
    const sameKernel = keyOf(before.status?.nodeInfo?.kernelVersion ?? '') === had;
    if (!sameKernel || !this.#isUp(name)) return;
    if (this.#knownPluginsOn(name).length > 0) throw new Error(`${name} lost its load label under its device plugin`);
  }

  /** I5: of a Module that is deleted, labels go last, as far as the operator knew of pods when it planned. */
  #loadersAreGone({ metadata }: Node): void {
    const { name = '' } = metadata;
    if (!this.#isUp(name) || this.#cluster.module === undefined) return;
    const left = this.#knownPodsOn(name);
    if (left.length > 0) throw new Error(`I5: ${name} lost its label before pod ${left[0]?.metadata.name} was gone`);
  }

  /** The ready label is about a container that was started in the boot of the record, or in a later one that the API is yet to learn of. */
  #mayBeReady(after: Node): void {
    const name = after.metadata.name ?? '';
    const record = recordOf(after);
    const started = this.#memory.bootOfInstance.get(record?.instance ?? '');
    if (record === undefined || started === undefined) throw new Error(`${name} is ready without a container`);
    if (this.#memory.unrecorded.has(started.id)) return;
    const boot = Number(record.bootID.split('-').at(-1));
    if (started.boot < boot) throw new Error(`${name} is ready in boot ${boot} by a container of boot ${started.boot}`);
  }

  /**
   * A replacement begins within the budget of the Module that it was planned for. What is under way already, for a higher budget, goes on
   * and uses up the lower one. Nodes that the operator saw NotReady or on their way out when it planned do not count.
   */
  #mayReplace(name: string): void {
    const planned = this.#planned();
    const wish = this.#plannedWish();
    const replaced = NODES.filter(
      (each) =>
        recordOf(this.#cluster.nodes.get(each))?.replacingSince !== undefined &&
        countsAsReplaced(planned?.nodes.get(each), wish),
    );
    if (replaced.length <= wish.maxUnavailable) return;
    throw new Error(
      `${replaced.join(', ')} are replaced at once (${name} is the last) where ${wish.maxUnavailable} may be`,
    );
  }

  /** I1: the operator deletes a loader only when its Module goes, or because a person asked for another; users of it go first. */
  podDeleted(pod: Pod): void {
    const memory = this.#memory;
    memory.look();
    const { role, node, kernelKey } = podRecord(pod);
    const uid = pod.metadata.uid ?? '';
    const name = `${role} pod ${pod.metadata.name} on ${node}`;
    if (this.#unloads()) return;
    if (role !== 'module-loader') throw new Error(`I1: ${name} was deleted`);
    const since = memory.wishes.slice(memory.podWishes.get(uid) ?? 0);
    const kernel = KERNELS.find((release) => keyOf(release) === kernelKey);
    const asked = since.some((wish) => {
      const other = kernel === undefined ? undefined : loaderOf(wish, kernel);
      return other !== undefined && other !== madeFrom(pod);
    });
    if (!asked) throw new Error(`I1: ${name} was deleted although nobody asked for another`);
    if (!this.#cluster.isRunning(uid)) return;
    const ready = this.#cluster.nodes.get(node)?.metadata.labels?.[KEYS.ready] !== undefined;
    if (ready && this.#cluster.containers.get(uid)?.ready === true) {
      throw new Error(`I1: ${name} was deleted under the ready label`);
    }
    if (this.#knownPluginsOn(node).length > 0) throw new Error(`I1: ${name} was deleted under its device plugin`);
  }

  /** I1: nothing but the operator and the DaemonSet controller ends a pod; a taint is tolerated. */
  podEvicted(pod: Pod): void {
    throw new Error(`I1: a taint evicted pod ${pod.metadata.name} from ${pod.spec?.nodeName}`);
  }

  /** A DaemonSet goes only when none of its pods is wanted; with its Module, only after the device plugin. */
  daemonSetDeleted(daemonSet: DaemonSet): void {
    if (daemonSetRecord(daemonSet).role !== 'module-loader') return;
    const name = `DaemonSet ${daemonSet.metadata.name}`;
    if (this.#unloads()) {
      const used = NODES.filter((each) => this.#isUp(each) && this.#knownPluginsOn(each).length > 0);
      if (used.length > 0) throw new Error(`I5: ${name} was deleted under the device plugin of ${used.join(', ')}`);
      return;
    }
    for (const pod of this.#cluster.pods.values()) {
      if (pod.metadata.ownerReferences?.[0]?.uid !== daemonSet.metadata.uid) continue;
      const label = this.#cluster.nodes.get(pod.spec?.nodeName ?? '')?.metadata.labels?.[KEYS.load];
      if (label === podRecord(pod).kernelKey) throw new Error(`I1: ${name} was deleted in use`);
    }
  }

  /** Whether the node is up with the kernel of its load label, and was when the operator planned. */
  #isUp(name: string): boolean {
    const seen = this.#planned()?.nodes.get(name);
    if (seen === undefined || !isAlive(seen) || !this.#cluster.isReady(name)) return false;
    return keyOf(seen.status?.nodeInfo?.kernelVersion ?? '') === seen.metadata.labels?.[KEYS.load];
  }

  /** Pods that are on the node, and that the operator knew of when it planned. */
  #knownPodsOn(name: string): Pod[] {
    const known = this.#planned()?.pods;
    return [...this.#cluster.pods.values()].filter(
      ({ metadata: { uid = '' }, spec }) => spec?.nodeName === name && known?.has(uid) === true,
    );
  }

  #knownPluginsOn(name: string): Pod[] {
    return this.#knownPodsOn(name).filter((pod) => podRecord(pod).role === 'device-plugin');
  }

  /** The preStop of the old kernel's loader would unload the new kernel's module. */
  neverTwoLoaders(): void {
    const running = new Map<string, string>();
    for (const [uid, pod] of this.#cluster.pods) {
      const { role, node, kernelKey } = podRecord(pod);
      if (role !== 'module-loader' || !this.#cluster.isRunning(uid)) continue;
      const other = running.get(node);
      if (other !== undefined && other !== kernelKey) {
        throw new Error(`I1: loaders of ${other} and ${kernelKey} run on ${node}`);
      }
      running.set(node, kernelKey);
    }
  }
}

/** Whether a node that carries the mark of a replacement uses the budget, as the operator saw the node. */
function countsAsReplaced(seen: Node | undefined, wish: Wish): boolean {
  if (seen === undefined) return true;
  const kernel = kernelOf(seen.status?.nodeInfo?.kernelVersion);
  const stays =
    kernel !== undefined && wish.images[kernel] !== undefined && seen.metadata.labels?.[KEYS.load] === keyOf(kernel);
  return isAlive(seen) && stays && isSelectedBy(wish, seen.metadata.labels?.['driver']);
}
