/**
 * What the controllers' shells do with plans, over a {@link SimulatedCluster}: caches that may be behind, a desk, memory, and writes
 * between any two of which the operator may crash.
 */

import { FINALIZER } from '../../src/api/labels.ts';
import type { Module } from '../../src/api/module.ts';
import { GENERATION_ANNOTATION } from '../../src/controllers/identity.ts';
import { planModule } from '../../src/controllers/module/plan.ts';
import { type DaemonSetAction, overLive } from '../../src/controllers/module/plan-daemonsets.ts';
import { planDeletion } from '../../src/controllers/module/plan-deletion.ts';
import { observeSelector } from '../../src/controllers/module/plan-selector.ts';
import type { ModuleOptions, ModuleSnapshot, SelectorMemory } from '../../src/controllers/module/snapshot.ts';
import { moduleStatus, unloadingStatus } from '../../src/controllers/module/status.ts';
import { statusWrite } from '../../src/controllers/module/status-write.ts';
import { LabelDesk } from '../../src/controllers/node/label-desk.ts';
import { planNodePatch } from '../../src/controllers/node/plan.ts';
import type { DaemonSetRecord, PodRecord, RefusalRecord } from '../../src/controllers/records.ts';
import type { DaemonSet, Node } from '../../src/kube/core.ts';
import { keysOf, NOTHING_BUILT, specOf } from '../harness/plan-world.ts';
import { PreconditionFailed, type SimulatedCluster } from './cluster.ts';
import { daemonSetRecord, moduleRecord, nodeRecord, podRecord, remembering } from './records.ts';

export type CacheKind = 'module' | 'nodes' | 'pods' | 'daemonSets';
export const CACHE_KINDS: readonly CacheKind[] = ['module', 'nodes', 'pods', 'daemonSets'];

/** Thrown in the place of a write: the process has ended before it. */
export class OperatorCrashed extends Error {}

/** The API server's words on a pod that it does not let through. */
export const REFUSAL = 'pods are forbidden: exceeded quota';

const MODULE_KEY = 'kmm-test/m';

const keysOfModule = remembering(keysOf);
const specOfModule = remembering(specOf);

/** What the operator knew when it last planned the Module: whoever judges a write asks for no more than that. */
export interface Planned {
  readonly generation: number;
  /** Whether it planned how to unload. */
  readonly deleting: boolean;
  readonly nodes: ReadonlyMap<string, Node>;
  /** By uid. */
  readonly pods: ReadonlyMap<string, PodRecord>;
}

export class SimulatedOperator {
  readonly #cluster: SimulatedCluster;
  readonly #options: ModuleOptions;
  readonly #desk = new LabelDesk(
    () => undefined,
    () => undefined,
  );
  readonly #deletingPods = new Set<string>();
  #module: Module | undefined;
  #nodes = new Map<string, Node>();
  #pods = new Map<string, PodRecord>();
  #daemonSets = new Map<string, DaemonSetRecord>();
  #refusals: ReadonlyMap<string, RefusalRecord> = new Map();
  #selector: SelectorMemory | undefined;
  #planned: Planned | undefined;
  /** Writes that it makes before it crashes. */
  writesLeft = Number.POSITIVE_INFINITY;
  writes = 0;

  constructor(cluster: SimulatedCluster, options: ModuleOptions) {
    this.#cluster = cluster;
    this.#options = options;
    for (const kind of CACHE_KINDS) this.sync(kind);
  }

  get planned(): Planned | undefined {
    return this.#planned;
  }

  /** What has happened to objects of this kind reaches the cache. */
  sync(kind: CacheKind): void {
    const { module, nodes, pods, daemonSets, refusals } = this.#cluster;
    switch (kind) {
      case 'module':
        this.#module = module === undefined ? undefined : moduleRecord(module);
        return;
      case 'nodes':
        this.#nodes = new Map([...nodes].map(([name, node]) => [name, nodeRecord(node)]));
        return;
      case 'pods':
        this.#pods = new Map([...pods].map(([uid, pod]) => [uid, podRecord(pod)]));
        return;
      case 'daemonSets':
        this.#daemonSets = new Map([...daemonSets].map(([name, daemonSet]) => [name, daemonSetRecord(daemonSet)]));
        this.#refusals = new Map([...refusals].map((uid) => [uid, refusalOf(uid)]));
    }
  }

  /** Order in which the cache gives nodes: any update changes it. */
  shuffleNodes(): void {
    this.#nodes = new Map([...this.#nodes].toReversed());
  }

  reconcileModule(): void {
    const module = this.#module;
    this.#planned = {
      generation: module?.metadata.generation ?? 0,
      deleting: module?.metadata.deletionTimestamp !== undefined,
      nodes: new Map(this.#nodes),
      pods: new Map(this.#pods),
    };
    if (module === undefined) this.#desk.publish(MODULE_KEY, new Map());
    else if (module.metadata.deletionTimestamp === undefined) this.#load(module);
    else this.#unload(module);
  }

  reconcileNode(name: string): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    const patch = planNodePatch(node, this.#desk.dueOn(node), (key) => !this.#isClaimed(key));
    if (patch === undefined) return;
    this.#write(() => {
      const after = this.#cluster.patchNode(name, node.metadata.uid, patch);
      if (after !== undefined) this.#nodes.set(name, nodeRecord(after));
    });
  }

  reconcileNodes(): void {
    for (const name of this.#nodes.keys()) this.reconcileNode(name);
  }

  #load(module: Module): void {
    const snapshot = this.#snapshot(module);
    this.#selector = snapshot.selectorMemory;
    for (const uid of this.#deletingPods) if (!this.#pods.has(uid)) this.#deletingPods.delete(uid);
    const plan = planModule(snapshot);
    if (plan.daemonSets.length > 0 || plan.nodeRequests.size > 0) this.#ensureFinalizer(module);
    this.#desk.publish(MODULE_KEY, plan.nodeRequests);
    for (const action of plan.daemonSets) this.#apply(action);
    for (const pod of plan.podDeletions) this.#deletePod(pod);
    this.#writeStatus(module, moduleStatus(this.#snapshot(module), plan, new Map()));
  }

  #unload(module: Module): void {
    if (!(module.metadata.finalizers ?? []).includes(FINALIZER)) {
      this.#desk.publish(MODULE_KEY, new Map());
      return;
    }
    const step = planDeletion({ ...this.#objects(), keys: keysOfModule(module), nodes: [...this.#nodes.values()] });
    this.#desk.publish(MODULE_KEY, step.kind === 'clear-labels' ? step.requests : new Map());
    if (step.kind === 'release') {
      this.#patchFinalizers(module, []);
      return;
    }
    this.#writeStatus(module, unloadingStatus(module, step.kind, this.#cluster.nowMs));
    if (step.kind === 'delete-daemonsets') for (const { metadata } of step.daemonSets) this.#remove(metadata);
    if (step.kind === 'delete-pods') for (const pod of step.pods) this.#deletePod(pod);
  }

  #snapshot(module: Module): ModuleSnapshot {
    const spec = specOfModule(module);
    const keys = keysOfModule(module);
    const nodes = [...this.#nodes.values()];
    const { nowMs } = this.#cluster;
    return {
      nowMs,
      module,
      spec,
      keys,
      nodes,
      ...this.#objects(),
      refusals: this.#refusals,
      selectorMemory: observeSelector(this.#selector, spec.selector, nodes, keys.load, nowMs),
      // A patch of a Node is written at once here, or not at all.
      marksAsked: new Set(),
      nodeRefusals: new Map(),
      builds: NOTHING_BUILT,
      options: this.#options,
    };
  }

  #objects() {
    const daemonSets = [...this.#daemonSets.values()];
    const pods = [...this.#pods.values()];
    return {
      loaderDaemonSets: daemonSets.filter(({ role }) => role === 'module-loader'),
      pluginDaemonSets: daemonSets.filter(({ role }) => role === 'device-plugin'),
      loaderPods: pods.filter(({ role }) => role === 'module-loader'),
      pluginPods: pods.filter(({ role }) => role === 'device-plugin'),
    };
  }

  #apply(action: DaemonSetAction): void {
    switch (action.kind) {
      case 'create':
        return this.#create(action.desired);
      case 'update':
        return this.#update(action.desired);
      case 'delete':
        return this.#remove(action.live.metadata);
      case 'remove-if-unused':
        return this.#removeIfUnused(action.live);
    }
  }

  #create(desired: DaemonSet): void {
    this.#write(() => {
      const { created, standing } = this.#cluster.createDaemonSet(desired);
      if (created !== undefined) this.#daemonSets.set(created.metadata.name ?? '', daemonSetRecord(created));
      if (standing !== undefined) this.#update(overLive(daemonSetRecord(standing), desired));
    });
  }

  #update(desired: DaemonSet): void {
    this.#write(() => {
      const updated = this.#cluster.updateDaemonSet(desired);
      this.#daemonSets.set(updated.metadata.name ?? '', daemonSetRecord(updated));
      const generation = String(updated.metadata.generation);
      if (updated.metadata.annotations?.[GENERATION_ANNOTATION] === generation) return;
      const annotations = { ...updated.metadata.annotations, [GENERATION_ANNOTATION]: generation };
      this.#write(() => {
        const corrected = this.#cluster.updateDaemonSet({ ...updated, metadata: { ...updated.metadata, annotations } });
        this.#daemonSets.set(corrected.metadata.name ?? '', daemonSetRecord(corrected));
      });
    });
  }

  /** A live look, as the writer's: no pod of it may be wanted or running. */
  #removeIfUnused({ metadata }: DaemonSetRecord): void {
    const live = this.#cluster.daemonSets.get(metadata.name ?? '');
    const status = live?.status;
    if (live === undefined || status === undefined) return;
    const unused =
      (status.observedGeneration ?? 0) >= (live.metadata.generation ?? 0) &&
      status.desiredNumberScheduled === 0 &&
      status.currentNumberScheduled === 0 &&
      status.numberMisscheduled === 0;
    if (unused) this.#remove(live.metadata, live.metadata.resourceVersion);
  }

  #remove({ name = '', uid }: DaemonSetRecord['metadata'], resourceVersion?: string): void {
    this.#write(() => {
      this.#cluster.deleteDaemonSet(name, uid, resourceVersion);
      this.#daemonSets.delete(name);
    });
  }

  #deletePod({ metadata: { uid = '' } }: PodRecord): void {
    if (this.#deletingPods.has(uid)) return;
    this.#write(() => {
      this.#cluster.deletePod(uid);
      this.#deletingPods.add(uid);
    });
  }

  #ensureFinalizer(module: Module): void {
    const finalizers = module.metadata.finalizers ?? [];
    if (!finalizers.includes(FINALIZER)) this.#patchFinalizers(module, [...finalizers, FINALIZER]);
  }

  /** With the resourceVersion that was read; a conflict ends the reconcile, as it does in the shell. */
  #patchFinalizers({ metadata }: Module, finalizers: readonly string[]): void {
    this.#spend();
    if (this.#cluster.module?.metadata.resourceVersion !== metadata.resourceVersion)
      throw new PreconditionFailed('Module');
    const patched = this.#cluster.patchModule((module) => ({
      ...module,
      metadata: { ...module.metadata, finalizers },
    }));
    this.#module = patched === undefined ? undefined : moduleRecord(patched);
  }

  #writeStatus(module: Module, status: Module['status']): void {
    if (status === undefined || statusWrite(module.status, status) === 'none') return;
    this.#write(() => {
      const patched = this.#cluster.patchModule((standing) => ({ ...standing, status }));
      if (patched !== undefined) this.#module = moduleRecord(patched);
    });
  }

  #isClaimed(key: string): boolean {
    if (this.#module !== undefined && Object.values(keysOfModule(this.#module)).includes(key)) return true;
    return [...this.#daemonSets.values()].some(({ nodeSelectorKeys }) => nodeSelectorKeys.includes(key));
  }

  /** One write. A conflict is an error that the next reconcile gets over. */
  #write(write: () => void): void {
    this.#spend();
    try {
      write();
    } catch (error) {
      if (!(error instanceof PreconditionFailed)) throw error;
    }
  }

  #spend(): void {
    if (this.writesLeft <= 0) throw new OperatorCrashed();
    this.writesLeft -= 1;
    this.writes += 1;
  }
}

function refusalOf(daemonSetUID: string): RefusalRecord {
  return { metadata: { name: `refused-${daemonSetUID}` }, daemonSetUID, message: REFUSAL, at: '' };
}
