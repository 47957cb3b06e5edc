import { FINALIZER, loadedAnnotation, loadLabel, readyLabel } from '../../api/labels.ts';
import { MODULES, type Module, type ModuleStatus } from '../../api/module.ts';
import { type NormalizedModule, normalize } from '../../api/normalize.ts';
import { labelSafe } from '../../kernel/names.ts';
import type { JsonPatchOperation, KubeClient } from '../../kube/client.ts';
import { PODS } from '../../kube/core.ts';
import { isConflict, isNotFound } from '../../kube/errors.ts';
import { refOf } from '../../kube/paths.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ReconcileContext, ReconcileResult } from '../../runtime/controller.ts';
import type { EventRecorder, EventSubject } from '../../runtime/event-recorder.ts';
import { BY_DAEMONSET, BY_MODULE, type Caches, moduleIndexKey } from '../caches.ts';
import type { ConfigMapWatches } from '../image/config-map-watches.ts';
import { driverToolkitFor } from '../image/driver-toolkit.ts';
import type { ImageDesk, WantedImage } from '../image/image-desk.ts';
import { isRecorded, type RetryPolicy } from '../image/progress.ts';
import type { ModuleMetrics } from '../metrics.ts';
import type { LabelDesk } from '../node/label-desk.ts';
import type { DaemonSetRecord, PodRecord, RefusalRecord } from '../records.ts';
import { DaemonSetWriter, type WriteOutcome } from './daemonset-writer.ts';
import { gatherMs } from './gather.ts';
import { type ModuleMemory, newMemory } from './memory.ts';
import type { WriteProblem } from './node-state.ts';
import { type ModulePlan, marksIn, planModule } from './plan.ts';
import { describeStep, planDeletion } from './plan-deletion.ts';
import { type PlannedEvent, planEvents, planUnloadingEvents, planUnsupportedEvents } from './plan-events.ts';
import { kernelStatusOf } from './plan-kernels.ts';
import { afterClockStep, observeSelector } from './plan-selector.ts';
import type { ModuleOptions, ModuleSnapshot, NodeKeys } from './snapshot.ts';
import { moduleStatus, unloadingStatus, unsupportedStatus } from './status.ts';
import { statusWrite } from './status-write.ts';

export interface ModuleReconcilerDeps {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly desk: LabelDesk;
  readonly images: ImageDesk;
  readonly configMaps: ConfigMapWatches;
  readonly buildRetry: RetryPolicy;
  /** What builds that push to the cluster's registry wait for. */
  readonly registryProblem: () => string | undefined;
  readonly recorder: EventRecorder;
  readonly metrics: ModuleMetrics;
  readonly clock: Clock;
  readonly options: ModuleOptions;
  /** Least time between two status writes in which only numbers changed, milliseconds. */
  readonly statusIntervalMs: number;
}

/** Gathers a Module's world, has it planned, applies the difference and writes status; all decisions are in `plan*.ts`. */
export class ModuleReconciler {
  readonly #deps: ModuleReconcilerDeps;
  readonly #writer: DaemonSetWriter;
  readonly #memories = new Map<string, ModuleMemory>();

  constructor(deps: ModuleReconcilerDeps) {
    this.#deps = deps;
    this.#writer = new DaemonSetWriter(deps.client, deps.caches);
  }

  /** How long changes of nodes and pods are to be gathered, from now, before the Module is planned again; milliseconds. */
  gatherMs(key: string): number {
    return gatherMs(this.#memories.get(key)?.planned, this.#deps.clock.monotonic());
  }

  async reconcile(key: string, context: ReconcileContext): Promise<ReconcileResult> {
    const { caches, desk, metrics, clock } = this.#deps;
    const module = caches.modules.store.get(key);
    if (module === undefined) {
      this.#memories.delete(key);
      desk.publish(key, new Map());
      this.#forgetImages(key);
      metrics.forget(key);
      return;
    }
    if (module.metadata.deletionTimestamp !== undefined) return this.#unload(key, module, context);

    const normalized = normalize(module);
    if (!normalized.supported) {
      desk.publish(key, new Map());
      this.#wantNoImages(key, module);
      metrics.forget(key);
      const next = unsupportedStatus(module, normalized.message, clock.now());
      const memory = this.#memoryOf(key, module);
      await this.#writeStatusOf(module, next, memory, () => planUnsupportedEvents(module, next), context);
      return;
    }
    return this.#load(key, module, normalized.spec, context);
  }

  async #load(
    key: string,
    module: Module,
    spec: NormalizedModule,
    context: ReconcileContext,
  ): Promise<ReconcileResult> {
    const { desk, configMaps, metrics, recorder, clock } = this.#deps;
    const memory = this.#memoryOf(key, module);
    const startedAtMs = clock.monotonic();
    configMaps.follow(key, module.metadata.namespace ?? '', configMapsOf(spec));
    const snapshot = this.#snapshot(key, module, spec, memory);
    memory.selector = snapshot.selectorMemory;
    memory.clockOffsetMs = clock.now() - clock.monotonic();
    forgetGonePods(memory, snapshot.loaderPods);
    const plan = planModule(snapshot);
    const atMs = clock.monotonic();
    memory.planned = { atMs, tookMs: atMs - startedAtMs };

    // Before anything of ours exists, so that nothing of ours can outlive the Module.
    if (plan.daemonSets.length > 0 || plan.nodeRequests.size > 0) await this.#ensureFinalizer(module, context);
    desk.publish(key, plan.nodeRequests);
    const outcomes = await Promise.all([
      ...plan.daemonSets.map((action) =>
        this.#writer.apply(action, { module, takenNames: memory.takenNames, ...context }),
      ),
      ...plan.podDeletions.map((pod) => this.#deletePod(pod, memory, context)),
    ]);
    const problems = problemsOf(outcomes);
    for (const { name } of outcomes.filter(({ restored }) => restored)) {
      recorder.record({
        regarding: referenceTo(module),
        type: 'Normal',
        reason: 'DaemonSetRestored',
        message: `DaemonSet ${name} was changed by somebody else and has been put back. Edit the Module instead.`,
      });
    }

    // Our own DaemonSet writes are in the caches by now; status speaks of the world with them.
    const after = outcomes.length === 0 ? snapshot : this.#snapshot(key, module, spec, memory);
    const next = moduleStatus(after, plan, problems);
    metrics.observe(key, plan, next, memory, snapshot.nowMs);
    const statusDueInMs = await this.#writeStatusOf(
      module,
      next,
      memory,
      () => planEvents(module, spec, next),
      context,
    );
    // Last, because a pod may go, and the next try may begin, only when status has what the pod told.
    this.#wantImages(key, plan);
    memory.settled = true;

    throwErrors(key, outcomes);
    return requeue([
      plan.lookAgainAtMs === undefined ? undefined : plan.lookAgainAtMs - snapshot.nowMs,
      statusDueInMs,
      problems.size > 0 ? FOREIGN_OBJECT_INTERVAL_MS : undefined,
    ]);
  }

  /** Takes a Module away step by step; every step ends by an event that brings the next one. */
  async #unload(key: string, module: Module, context: ReconcileContext): Promise<ReconcileResult> {
    const { caches, desk, clock } = this.#deps;
    this.#wantNoImages(key, module);
    if (!(module.metadata.finalizers ?? []).includes(FINALIZER)) {
      desk.publish(key, new Map());
      return;
    }
    const keys = nodeKeys(module);
    const step = planDeletion({ keys, nodes: caches.nodes.store.list(), ...this.#objectsOf(module) });
    desk.publish(key, step.kind === 'clear-labels' ? step.requests : new Map());
    if (step.kind === 'release') {
      await this.#removeFinalizer(module, context);
      return;
    }
    const memory = this.#memoryOf(key, module);
    const next = unloadingStatus(module, describeStep(step, desk.refusals), clock.now());
    const statusDueInMs = await this.#writeStatusOf(
      module,
      next,
      memory,
      () => planUnloadingEvents(module, next),
      context,
    );
    if (step.kind === 'delete-daemonsets') {
      await Promise.all(step.daemonSets.map((daemonSet) => this.#writer.remove(daemonSet, context.signal)));
    }
    if (step.kind === 'delete-pods') {
      const outcomes = await Promise.all(step.pods.map((pod) => this.#deletePod(pod, memory, context)));
      throwErrors(key, outcomes);
    }
    return requeue([statusDueInMs]);
  }

  #wantImages(key: string, { kernels }: ModulePlan): void {
    const status = this.#deps.caches.modules.store.get(key)?.status;
    const images = [...kernels.values()].flatMap(({ kernel, arch, wanted }): WantedImage[] => {
      if (wanted === undefined) return [];
      const { build } = kernelStatusOf(status, kernel, arch) ?? {};
      return [{ ...wanted, recorded: isRecorded(build, wanted.build.key, wanted.progress) }];
    });
    this.#deps.images.publish(key, images);
  }

  /** What is being built for it is cancelled. */
  #wantNoImages(key: string, module: Module): void {
    this.#deps.images.publish(key, []);
    this.#deps.configMaps.follow(key, module.metadata.namespace ?? '', new Set());
  }

  /** The Module is gone, and the garbage collector takes what it owned. */
  #forgetImages(key: string): void {
    this.#deps.images.forget(key);
    this.#deps.configMaps.follow(key, key.slice(0, key.indexOf('/')), new Set());
  }

  #memoryOf(key: string, module: Module): ModuleMemory {
    let memory = this.#memories.get(key);
    const uid = module.metadata.uid ?? '';
    if (memory?.uid !== uid) {
      // Nobody has acted on a Module without a status.
      memory = newMemory(uid, module.status === undefined);
      this.#memories.set(key, memory);
    }
    return memory;
  }

  #snapshot(key: string, module: Module, spec: NormalizedModule, memory: ModuleMemory): ModuleSnapshot {
    const { caches, clock, desk, images, configMaps, buildRetry, options } = this.#deps;
    const { driverToolkit } = caches;
    const namespace = module.metadata.namespace ?? '';
    const nowMs = clock.now();
    const stepMs = nowMs - clock.monotonic() - (memory.clockOffsetMs ?? 0);
    const remembered = memory.selector === undefined ? undefined : afterClockStep(memory.selector, stepMs);
    const nodes = caches.nodes.store.list();
    const keys = nodeKeys(module);
    const objects = this.#objectsOf(module);
    const refusals = new Map<string, RefusalRecord>();
    for (const { metadata, role, kernelKey } of [...objects.loaderDaemonSets, ...objects.pluginDaemonSets]) {
      const latest = latestRefusal(caches.refusals.store.byIndex(BY_DAEMONSET, metadata.uid ?? ''));
      const pods = role === 'module-loader' ? objects.loaderPods : objects.pluginPods;
      // The event stays for an hour; a pod that was made after it says that nothing is refused any more.
      const isOver = pods.some(
        (pod) =>
          pod.kernelKey === kernelKey && latest !== undefined && (pod.metadata.creationTimestamp ?? '') > latest.at,
      );
      if (latest !== undefined && !isOver) refusals.set(metadata.uid ?? '', latest);
    }
    return {
      nowMs,
      module,
      spec,
      keys,
      nodes,
      ...objects,
      refusals,
      selectorMemory: observeSelector(remembered, spec.selector, nodes, keys.load, nowMs),
      nodeRefusals: desk.refusals,
      marksAsked: marksIn(desk.requestsOf(key), keys),
      builds: {
        records: caches.builds
          .of(moduleIndexKey(namespace, labelSafe(module.metadata.name ?? '')))
          .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === module.metadata.uid)),
        configMap: (name) => configMaps.look(namespace, name),
        refusal: (buildKey) => images.refusal(buildKey),
        retry: buildRetry,
        ...(driverToolkit === undefined
          ? {}
          : { driverToolkit: (osImages) => driverToolkitFor(driverToolkit.store.list()[0], osImages) }),
        registryProblem: this.#deps.registryProblem(),
      },
      options,
    };
  }

  #objectsOf(module: Module): {
    readonly loaderDaemonSets: readonly DaemonSetRecord[];
    readonly pluginDaemonSets: readonly DaemonSetRecord[];
    readonly loaderPods: readonly PodRecord[];
    readonly pluginPods: readonly PodRecord[];
  } {
    const { caches } = this.#deps;
    const indexKey = moduleIndexKey(module.metadata.namespace ?? '', labelSafe(module.metadata.name ?? ''));
    const daemonSets = caches.daemonSets.store
      .byIndex(BY_MODULE, indexKey)
      .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === module.metadata.uid));
    const pods = caches.pods.store.byIndex(BY_MODULE, indexKey);
    return {
      loaderDaemonSets: daemonSets.filter(({ role }) => role === 'module-loader'),
      pluginDaemonSets: daemonSets.filter(({ role }) => role === 'device-plugin'),
      loaderPods: pods.filter(({ role }) => role === 'module-loader'),
      pluginPods: pods.filter(({ role }) => role === 'device-plugin'),
    };
  }

  async #ensureFinalizer(module: Module, { signal }: ReconcileContext): Promise<void> {
    const finalizers = module.metadata.finalizers ?? [];
    if (finalizers.includes(FINALIZER)) return;
    await this.#patchFinalizers(module, [...finalizers, FINALIZER], signal);
  }

  async #removeFinalizer(module: Module, { signal, log }: ReconcileContext): Promise<void> {
    const rest = (module.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
    try {
      await this.#patchFinalizers(module, rest, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    log.info('Module unloaded');
  }

  /** With the resourceVersion it was read in: a finalizer that somebody else has put there meanwhile must not be lost. */
  async #patchFinalizers(module: Module, finalizers: readonly string[], signal: AbortSignal): Promise<void> {
    const { client, caches } = this.#deps;
    const { uid, resourceVersion } = module.metadata;
    const body = { metadata: { uid, resourceVersion, finalizers } };
    const patched = await client.patch(MODULES, refOf(module), { type: 'merge', body }, { signal });
    caches.modules.absorb(patched);
  }

  async #deletePod(pod: PodRecord, memory: ModuleMemory, { signal, log }: ReconcileContext): Promise<WriteOutcome> {
    const name = pod.metadata.name ?? '';
    const uid = pod.metadata.uid ?? '';
    if (memory.deletingPods.has(uid)) return { name };
    const ref = { name, namespace: pod.metadata.namespace ?? '' };
    try {
      await this.#deps.client.delete(PODS, ref, { preconditions: { uid }, signal });
      memory.deletingPods.add(uid);
      log.info({ pod: name, node: pod.node }, 'pod deleted');
      return { name };
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return { name };
      return { name, error };
    }
  }

  /** Gives the milliseconds after which a write that was put off is due. */
  async #writeStatusOf(
    module: Module,
    next: ModuleStatus,
    memory: ModuleMemory,
    eventsOf: () => readonly PlannedEvent[],
    context: ReconcileContext,
  ): Promise<number | undefined> {
    const { clock, recorder, statusIntervalMs } = this.#deps;
    const urgency = statusWrite(module.status, next);
    if (urgency === 'none') return undefined;
    const writtenAtMs = memory.statusWrittenAtMs;
    const dueInMs = writtenAtMs === undefined ? 0 : writtenAtMs + statusIntervalMs - clock.monotonic();
    if (urgency === 'counts' && dueInMs > 0) return dueInMs;
    const events = eventsOf();
    await this.#writeStatus(module, next, context);
    memory.statusWrittenAtMs = clock.monotonic();
    for (const event of events) recorder.record({ regarding: referenceTo(module), ...event });
    return undefined;
  }

  async #writeStatus(module: Module, next: ModuleStatus, { signal }: ReconcileContext): Promise<void> {
    if (statusWrite(module.status, next) === 'none') return;
    const { client, caches } = this.#deps;
    // The server ignores a uid in a merge patch of a status: without the test, a Module that was created again under this name would be
    // told what became of the one before.
    const body: readonly JsonPatchOperation[] = [
      { op: 'test', path: '/metadata/uid', value: module.metadata.uid },
      { op: 'add', path: '/status', value: next },
    ];
    try {
      const patched = await client.patch(
        MODULES,
        refOf(module),
        { type: 'json', body },
        { subresource: 'status', signal },
      );
      caches.modules.absorb(patched);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

/** The ConfigMaps whose edits are other builds. */
function configMapsOf({ kernelMappings }: NormalizedModule): ReadonlySet<string> {
  return new Set(kernelMappings.flatMap(({ build }) => build?.dockerfileConfigMap?.name ?? []));
}

function forgetGonePods({ deletingPods }: ModuleMemory, pods: readonly PodRecord[]): void {
  if (deletingPods.size === 0) return;
  const present = new Set(pods.map(({ metadata }) => metadata.uid));
  for (const uid of deletingPods) if (!present.has(uid)) deletingPods.delete(uid);
}

/** How soon a name that a foreign object has, or a write that was refused, is tried again although nothing changed here. */
const FOREIGN_OBJECT_INTERVAL_MS = 30_000;

export function nodeKeys(module: Module): NodeKeys {
  const name = { namespace: module.metadata.namespace ?? '', name: module.metadata.name ?? '' };
  return { load: loadLabel(name), ready: readyLabel(name), loaded: loadedAnnotation(name) };
}

function problemsOf(outcomes: readonly WriteOutcome[]): Map<string, WriteProblem> {
  return new Map(outcomes.flatMap(({ name, problem }) => (problem === undefined ? [] : [[name, problem]])));
}

function throwErrors(key: string, outcomes: readonly WriteOutcome[]): void {
  const errors = outcomes.flatMap(({ error }) => (error === undefined ? [] : [error]));
  // A conflict is not a failure: the retry reads the new object.
  const [first] = errors;
  if (first instanceof Error && errors.every(isConflict)) throw first;
  if (errors.length > 0) throw new AggregateError(errors, `writes of Module ${key} failed`, { cause: first });
}

function requeue(delays: readonly (number | undefined)[]): ReconcileResult {
  const due = delays.filter((delay) => delay !== undefined);
  return due.length === 0 ? undefined : { requeueAfterMs: Math.max(0, Math.min(...due)) };
}

function latestRefusal(refusals: readonly RefusalRecord[]): RefusalRecord | undefined {
  return refusals.reduce<RefusalRecord | undefined>(
    (latest, refusal) => (latest === undefined || refusal.at > latest.at ? refusal : latest),
    undefined,
  );
}

function referenceTo(module: Module): EventSubject {
  return { apiVersion: apiVersionOf(MODULES), kind: MODULES.kind, ...refOf(module), uid: module.metadata.uid ?? '' };
}
