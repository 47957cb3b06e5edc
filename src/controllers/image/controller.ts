import type { BuildEngine, BuildRecord, ImageBuild } from '../../build/engines/engine.ts';
import type { KubeClient } from '../../kube/client.ts';
import { PODS } from '../../kube/core.ts';
import { ApiError, isAlreadyExists, isConflict, isNotFound } from '../../kube/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ReconcileContext, ReconcileResult } from '../../runtime/controller.ts';
import type { Caches } from '../caches.ts';
import type { ImageDesk } from './image-desk.ts';
import type { ImageMetrics } from './metrics.ts';
import { type DeletionReason, planBuilds } from './plan.ts';

export interface ImageReconcilerDeps {
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly desk: ImageDesk;
  readonly engine: BuildEngine;
  readonly metrics: ImageMetrics;
  readonly clock: Clock;
  readonly maxConcurrent: number;
  readonly keepFinishedMs: number;
  /** Key of the Module that a pod is of; undefined where there is none of that name. */
  readonly moduleKeyOf: (pod: BuildRecord) => string | undefined;
}

/** Starts and removes build pods for all Modules; its queue has one key, because a free slot is everybody's. */
export const ALL_BUILDS = 'builds';

/** How soon a pod that the API server refused is tried again. */
const REFUSED_INTERVAL_MS = 30_000;

export class ImageReconciler {
  readonly #deps: ImageReconcilerDeps;
  /** Uids of pods whose deletion was asked for. */
  readonly #deleting = new Set<string>();
  readonly #refusedUntil = new Map<string, number>();

  constructor(deps: ImageReconcilerDeps) {
    this.#deps = deps;
  }

  async reconcile(context: ReconcileContext): Promise<ReconcileResult> {
    const { desk, clock, maxConcurrent, keepFinishedMs, metrics } = this.#deps;
    const nowMs = clock.now();
    const plan = planBuilds({
      nowMs,
      wanted: desk.wanted,
      pods: this.#pods(),
      maxConcurrent,
      keepFinishedMs,
      refusedUntil: this.#refusedUntil,
    });
    metrics.observe(plan);
    const errors: unknown[] = [];
    for (const { pod, why } of plan.delete)
      await this.#delete(pod, why, context).catch((error: unknown) => errors.push(error));
    const due: number[] = plan.lookAgainAtMs === undefined ? [] : [plan.lookAgainAtMs - nowMs];
    for (const build of plan.create) if (!(await this.#create(build, nowMs, context))) due.push(REFUSED_INTERVAL_MS);
    if (errors.length > 0) throw new AggregateError(errors, 'deleting build pods failed', { cause: errors[0] });
    return due.length === 0 ? undefined : { requeueAfterMs: Math.max(0, Math.min(...due)) };
  }

  #pods(): Map<string, BuildRecord[]> {
    const { caches, moduleKeyOf } = this.#deps;
    const pods = new Map<string, BuildRecord[]>();
    for (const pod of caches.buildPods.store.list()) {
      const key = moduleKeyOf(pod);
      if (key === undefined) continue;
      const group = pods.get(key);
      if (group === undefined) pods.set(key, [pod]);
      else group.push(pod);
    }
    return pods;
  }

  /** Gives whether it was created, or is there already. */
  async #create(build: ImageBuild, nowMs: number, { signal, log }: ReconcileContext): Promise<boolean> {
    const { client, caches, engine, desk } = this.#deps;
    try {
      caches.buildPods.absorb(await client.create(PODS, engine.desired(build), { signal }));
      log.info(
        { pod: build.name, namespace: build.namespace, kernel: build.request.kernel, attempt: build.attempt },
        'build started',
      );
      if (this.#refusedUntil.delete(build.key)) desk.allowed(build.key);
      return true;
    } catch (error) {
      // Another replica, or we before a crash, made it: the watch tells in a moment.
      if (isAlreadyExists(error)) return true;
      if (!(error instanceof ApiError) || error.status >= 500) throw error;
      this.#refusedUntil.set(build.key, nowMs + REFUSED_INTERVAL_MS);
      desk.refused(build.key, error.sentence);
      return false;
    }
  }

  async #delete(pod: BuildRecord, why: DeletionReason, { signal, log }: ReconcileContext): Promise<void> {
    const { name = '', namespace = '', uid = '' } = pod.metadata;
    if (this.#deleting.has(uid)) return;
    try {
      await this.#deps.client.delete(PODS, { name, namespace }, { preconditions: { uid }, signal });
      log.info({ pod: name, namespace, why }, 'build pod deleted');
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
    this.#deleting.add(uid);
  }

  /** The pod has gone: forget that it was asked for. */
  forget(pod: BuildRecord): void {
    this.#deleting.delete(pod.metadata.uid ?? '');
  }
}
