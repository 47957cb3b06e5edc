import type { Module } from '../api/module.ts';
import type { BuildEngine, BuildRecord } from '../build/engines/engine.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Node } from '../kube/core.ts';
import { matchesLabels } from '../kube/selectors.ts';
import type { Clock } from '../runtime/clock.ts';
import { Controller } from '../runtime/controller.ts';
import type { EventRecorder } from '../runtime/event-recorder.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { BY_MODULE, type Caches, moduleIndexKey } from './caches.ts';
import { ConfigMapWatches } from './image/config-map-watches.ts';
import { ALL_BUILDS, ImageReconciler } from './image/controller.ts';
import { ImageDesk } from './image/image-desk.ts';
import { ImageMetrics } from './image/metrics.ts';
import type { RetryPolicy } from './image/progress.ts';
import type { RegistryAuthority } from './image/registry-authority.ts';
import { ModuleMetrics } from './metrics.ts';
import { ModuleReconciler, nodeKeys } from './module/controller.ts';
import { carriesAnything } from './module/plan.ts';
import type { ModuleOptions } from './module/snapshot.ts';
import { NodeReconciler } from './node/controller.ts';
import { LabelDesk } from './node/label-desk.ts';

export interface OperatorOptions extends ModuleOptions {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly recorder: EventRecorder;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly clock: Clock;
  readonly moduleConcurrency: number;
  readonly nodeConcurrency: number;
  readonly statusIntervalMs: number;
  /** The namespaces that the caches hold; empty for all. */
  readonly watchNamespaces: readonly string[];
  readonly builds: BuildOptions;
}

export interface BuildOptions {
  readonly engine: BuildEngine;
  /** Builds under way at once. */
  readonly maxConcurrent: number;
  /** How long the objects of a build that went well are kept, milliseconds. */
  readonly keepFinishedMs: number;
  readonly retry: RetryPolicy;
  /** Of the cluster's own registry; absent where it has none, or one that everybody knows. */
  readonly registryAuthority?: RegistryAuthority;
}

/** The controllers, and which change wakes which of them. */
export class Operator {
  readonly #caches: Caches;
  readonly #moduleReconciler: ModuleReconciler;
  readonly #modules: Controller;
  readonly #nodes: Controller;
  readonly #images: Controller;
  readonly #imageReconciler: ImageReconciler;
  readonly #configMaps: ConfigMapWatches;
  readonly #registryAuthority: RegistryAuthority | undefined;

  constructor(options: OperatorOptions) {
    const { client, caches, log, metrics, clock, builds } = options;
    this.#caches = caches;
    const desk = new LabelDesk(
      (nodeName) => this.#nodes.enqueue(nodeName),
      (moduleKey) => this.#modules.enqueue(moduleKey),
    );
    const images = new ImageDesk(
      () => this.#images.enqueue(ALL_BUILDS),
      (moduleKey) => this.#modules.enqueue(moduleKey),
    );
    this.#configMaps = new ConfigMapWatches(client, (moduleKey) =>
      this.#modules.enqueue(moduleKey, { priority: 'high' }),
    );
    this.#moduleReconciler = new ModuleReconciler({
      client,
      caches,
      desk,
      images,
      configMaps: this.#configMaps,
      buildRetry: builds.retry,
      registryProblem: () => builds.registryAuthority?.problem,
      recorder: options.recorder,
      metrics: new ModuleMetrics(metrics.registry),
      clock,
      options,
      statusIntervalMs: options.statusIntervalMs,
    });
    const nodeReconciler = new NodeReconciler(client, caches, desk, options.watchNamespaces);
    this.#modules = new Controller({
      name: 'module',
      reconcile: (key, context) => this.#moduleReconciler.reconcile(key, context),
      concurrency: options.moduleConcurrency,
      log,
      metrics,
      clock,
    });
    this.#nodes = new Controller({
      name: 'node',
      reconcile: (key, context) => nodeReconciler.reconcile(key, context),
      concurrency: options.nodeConcurrency,
      log,
      metrics,
      clock,
    });
    this.#imageReconciler = new ImageReconciler({
      client,
      caches,
      desk: images,
      engine: builds.engine,
      metrics: new ImageMetrics(metrics.registry),
      clock,
      maxConcurrent: builds.maxConcurrent,
      keepFinishedMs: builds.keepFinishedMs,
      moduleKeyOf: (record) => this.#moduleKeyOf(record),
    });
    this.#images = new Controller({
      name: 'image',
      reconcile: (_key, context) => this.#imageReconciler.reconcile(context),
      concurrency: 1,
      log,
      metrics,
      clock,
    });
    this.#watchModules();
    this.#watchNodes();
    this.#watchObjects();
    this.#registryAuthority = builds.registryAuthority;
    this.#registryAuthority?.onChange(() => {
      for (const module of caches.modules.store.list()) this.#modules.enqueue(keyOf(module));
    });
  }

  /** Reconciles until the signal aborts; resolves when what was under way has ended. Caches must be synced. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#modules.run(signal),
      this.#nodes.run(signal),
      this.#images.run(signal),
      this.#configMaps.run(signal),
      this.#registryAuthority?.run(signal),
    ]);
  }

  #watchModules(): void {
    this.#caches.modules.onChange((change) => {
      const key = keyOf(change.object);
      if (change.type === 'updated' && !isEdited(change.old, change.object)) return;
      this.#modules.enqueue(key, { priority: 'high' });
      if (change.type === 'deleted') this.#wakeNodesOf(change.object);
    });
  }

  #watchNodes(): void {
    this.#caches.nodes.onChange((change) => {
      const name = change.object.metadata.name ?? '';
      const old = change.type === 'updated' ? change.old : undefined;
      if (old !== undefined && !isRelevant(old, change.object)) return;
      // A node that is new, or that booted another kernel, wants its label now: people and their selectors wait for it.
      if (change.type !== 'deleted') this.#nodes.enqueue(name, { priority: 'high' });
      for (const module of this.#caches.modules.store.list()) {
        if (concerns(module, change.object) || (old !== undefined && concerns(module, old)))
          this.#gather(keyOf(module));
      }
    });
  }

  #watchObjects(): void {
    const { daemonSets, pods, builds, refusals, driverToolkit } = this.#caches;
    builds.onChange(({ type, object }) => {
      if (type === 'deleted') this.#imageReconciler.forget(object);
      this.#wakeModule(object.metadata.namespace, object.moduleLabel);
      this.#images.enqueue(ALL_BUILDS);
    });
    driverToolkit?.onChange(() => {
      for (const module of this.#caches.modules.store.list()) this.#gather(keyOf(module));
    });
    pods.onChange(({ object }) => this.#wakeModule(object.metadata.namespace, object.moduleLabel));
    daemonSets.onChange(({ type, object }) => {
      this.#wakeModule(object.metadata.namespace, object.moduleLabel);
      if (type === 'deleted') this.#wakeNodesWith(object.nodeSelectorKeys);
    });
    refusals.onChange(({ object }) => {
      const daemonSet = daemonSets.store.list().find(({ metadata }) => metadata.uid === object.daemonSetUID);
      if (daemonSet !== undefined) this.#wakeModule(daemonSet.metadata.namespace, daemonSet.moduleLabel);
    });
  }

  #moduleKeyOf({ metadata, moduleLabel }: BuildRecord): string | undefined {
    const modules = this.#caches.modules.store.byIndex(
      BY_MODULE,
      moduleIndexKey(metadata.namespace ?? '', moduleLabel),
    );
    const module = modules.find(({ metadata: { uid } }) =>
      metadata.ownerReferences?.some((owner) => owner.uid === uid),
    );
    return module === undefined ? undefined : keyOf(module);
  }

  #wakeModule(namespace: string | undefined, moduleLabel: string): void {
    const modules = this.#caches.modules.store.byIndex(BY_MODULE, moduleIndexKey(namespace ?? '', moduleLabel));
    for (const module of modules) this.#gather(keyOf(module));
  }

  /** A person's edit does not wait; what follows from the cluster's own life comes in bursts. */
  #gather(key: string): void {
    this.#modules.enqueue(key, { afterMs: this.#moduleReconciler.gatherMs(key) });
  }

  /** A Module that is gone without its finalizer having run leaves labels behind. */
  #wakeNodesOf(module: Module): void {
    const { load, ready, loaded } = nodeKeys(module);
    this.#wakeNodesWith([load, ready, loaded]);
  }

  #wakeNodesWith(keys: readonly string[]): void {
    for (const { metadata } of this.#caches.nodes.store.list()) {
      if (keys.some((key) => metadata.labels?.[key] !== undefined || metadata.annotations?.[key] !== undefined)) {
        this.#nodes.enqueue(metadata.name ?? '');
      }
    }
  }
}

function keyOf({ metadata }: Module): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Our own writes of status come back as updates too; they are no reason to look again. */
function isEdited(old: Module, module: Module): boolean {
  return (
    old.metadata.uid !== module.metadata.uid ||
    old.metadata.generation !== module.metadata.generation ||
    old.metadata.deletionTimestamp !== module.metadata.deletionTimestamp ||
    (old.metadata.finalizers ?? []).join() !== (module.metadata.finalizers ?? []).join()
  );
}

function concerns(module: Module, node: Node): boolean {
  return matchesLabels(module.spec.selector, node.metadata.labels ?? {}) || carriesAnything(node, nodeKeys(module));
}

/** A Node changes every few minutes without telling anything (its kubelet reports); these are the fields that decide something. */
function isRelevant(old: Node, node: Node): boolean {
  return JSON.stringify(decisive(old)) !== JSON.stringify(decisive(node));
}

function decisive({ metadata, spec, status }: Node): unknown {
  return [
    metadata.uid,
    metadata.deletionTimestamp,
    sorted(metadata.labels),
    sorted(metadata.annotations),
    spec?.taints,
    status?.nodeInfo,
    status?.conditions?.map((condition) => condition.status),
  ];
}

function sorted(record: Readonly<Record<string, string>> | undefined): readonly (readonly [string, string])[] {
  return Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}
