import {
  type BuildEngine,
  type BuildPart,
  type BuildRecord,
  hasEnded,
  type ImageBuild,
} from '../../build/engines/engine.ts';
import type { KubeClient } from '../../kube/client.ts';
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
  /** Key of the Module that a build is of; undefined where there is none of that name. */
  readonly moduleKeyOf: (record: BuildRecord) => string | undefined;
}

/** Makes and removes what builds images, for all Modules; its queue has one key, because a free slot is everybody's. */
export const ALL_BUILDS = 'builds';

/** How soon an object that the API server refused is tried again. */
const REFUSED_INTERVAL_MS = 30_000;

/** How long a build that made way for others lets them go first. */
const MADE_WAY_INTERVAL_MS = 5 * 60_000;

export class ImageReconciler {
  readonly #deps: ImageReconcilerDeps;
  /** Uids of objects whose deletion was asked for. */
  readonly #deleting = new Set<string>();
  /** Uids of builds that were seen under way: their end is news. */
  readonly #underWay = new Set<string>();
  readonly #refusedUntil = new Map<string, number>();

  constructor(deps: ImageReconcilerDeps) {
    this.#deps = deps;
  }

  async reconcile(context: ReconcileContext): Promise<ReconcileResult> {
    const { desk, clock, maxConcurrent, keepFinishedMs, metrics } = this.#deps;
    const nowMs = clock.now();
    const records = this.#records();
    this.#forgetRefusals();
    const plan = planBuilds({
      nowMs,
      wanted: desk.wanted,
      records,
      maxConcurrent,
      keepFinishedMs,
      refusedUntil: this.#refusedUntil,
    });
    metrics.observe(plan);
    const errors: unknown[] = [];
    for (const { record, why } of plan.delete) {
      if (why === 'MadeWay') this.#makeWay(record, nowMs);
      await this.#delete(record, why, context).catch((error: unknown) => errors.push(error));
    }
    const due: number[] = plan.lookAgainAtMs === undefined ? [] : [plan.lookAgainAtMs - nowMs];
    for (const { build, found } of [
      ...plan.advance.map(({ build, record }) => ({ build, found: record.parts })),
      ...plan.create.map((build) => ({ build, found: [] })),
    ]) {
      if (!(await this.#make(build, found, nowMs, context))) due.push(REFUSED_INTERVAL_MS);
    }
    if (errors.length > 0) throw new AggregateError(errors, 'deleting what built images failed', { cause: errors[0] });
    return due.length === 0 ? undefined : { requeueAfterMs: Math.max(0, Math.min(...due)) };
  }

  /** It comes again behind those that wait now. */
  #makeWay({ key, observation }: BuildRecord, nowMs: number): void {
    const why =
      observation.phase === 'Starting' && observation.message !== undefined ? ` (${observation.message})` : '';
    this.#refusedUntil.set(key, nowMs + MADE_WAY_INTERVAL_MS);
    this.#deps.desk.refused(
      key,
      `nobody took the build up for ten minutes${why}; it made way for others and is tried again`,
    );
  }

  /** Of builds that nobody wants any more. */
  #forgetRefusals(): void {
    const { desk } = this.#deps;
    const wanted = new Set([...desk.wanted.values()].flatMap((images) => images.map(({ build }) => build.key)));
    for (const key of this.#refusedUntil.keys()) {
      if (wanted.has(key)) continue;
      this.#refusedUntil.delete(key);
      desk.allowed(key);
    }
  }

  #records(): Map<string, BuildRecord[]> {
    const { caches, moduleKeyOf } = this.#deps;
    const records = new Map<string, BuildRecord[]>();
    for (const record of caches.builds.all()) {
      this.#tellEnd(record);
      const key = moduleKeyOf(record);
      if (key === undefined) continue;
      const group = records.get(key);
      if (group === undefined) records.set(key, [record]);
      else group.push(record);
    }
    return records;
  }

  #tellEnd(record: BuildRecord): void {
    const { uid = '' } = record.metadata;
    if (!hasEnded(record)) this.#underWay.add(uid);
    else if (this.#underWay.delete(uid)) this.#deps.metrics.ended(record.observation);
  }

  /** Makes what is due of a build. Gives false where the API server refused it. */
  async #make(
    build: ImageBuild,
    found: readonly BuildPart[],
    nowMs: number,
    { signal, log }: ReconcileContext,
  ): Promise<boolean> {
    const { client, caches, engine, desk } = this.#deps;
    for (const { resource, object } of engine.desired(build, found)) {
      const { name, namespace } = object.metadata;
      try {
        caches.builds.absorb(resource, await client.create(resource, object, { signal }));
        const about = { namespace, kernel: build.request.kernel, attempt: build.attempt };
        log.info({ kind: resource.kind, name, ...about }, 'build started');
        if (this.#refusedUntil.delete(build.key)) desk.allowed(build.key);
      } catch (error) {
        // Another replica, or we before a crash, made it: the watch tells in a moment.
        if (isAlreadyExists(error)) continue;
        // A webhook of one namespace that does not answer is a 500, and must not keep the builds of others. Without a connection there is
        // nothing to be made for anybody.
        if (!(error instanceof ApiError)) throw error;
        this.#refusedUntil.set(build.key, nowMs + REFUSED_INTERVAL_MS);
        desk.refused(build.key, error.sentence);
        return false;
      }
    }
    return true;
  }

  /** What the cluster made of our objects goes with them. */
  async #delete({ parts }: BuildRecord, why: DeletionReason, { signal, log }: ReconcileContext): Promise<void> {
    for (const { metadata, resource, key } of parts) {
      const { name = '', namespace = '', uid = '' } = metadata;
      if (key === '' || this.#deleting.has(uid)) continue;
      try {
        await this.#deps.client.delete(
          resource,
          { name, namespace },
          { preconditions: { uid }, propagationPolicy: 'Background', signal },
        );
        log.info({ kind: resource.kind, name, namespace, why }, 'deleted what built an image');
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
      this.#deleting.add(uid);
    }
  }

  /** The object has gone: forget what was known of it. */
  forget({ metadata: { uid = '' } }: BuildPart): void {
    this.#deleting.delete(uid);
    this.#underWay.delete(uid);
  }
}
