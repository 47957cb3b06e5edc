import { type BuildRecord, hasEnded, type ImageBuild, isSuperseded } from '../../build/engines/engine.ts';
import type { WantedImage } from './image-desk.ts';

export interface BuildsSnapshot {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** By Module. A Module that is not among them has not said anything yet: nothing of it is touched. */
  readonly wanted: ReadonlyMap<string, readonly WantedImage[]>;
  /** By Module; those that are being deleted too. */
  readonly records: ReadonlyMap<string, readonly BuildRecord[]>;
  readonly maxConcurrent: number;
  /** When a build may be tried again whose object the API server refused, milliseconds since the epoch, by key. */
  readonly refusedUntil: ReadonlyMap<string, number>;
  /** How long the objects of a build that went well are kept, milliseconds. */
  readonly keepFinishedMs: number;
}

export type DeletionReason = 'Outdated' | 'Finished' | 'TriedAgain' | 'MadeWay';

/** So long a build that nobody takes up keeps others from their turn. */
const LONGEST_UNCLAIMED_MS = 10 * 60_000;
/** So long after its grace a pod that does not go takes a slot: its node does not answer, and nothing of it is known to run. */
const LONGEST_LEAVING_MS = 10 * 60_000;

export interface BuildsPlan {
  readonly create: readonly ImageBuild[];
  /** Builds under way, whose engine may have something more to make for them. */
  readonly advance: readonly { readonly build: ImageBuild; readonly record: BuildRecord }[];
  readonly delete: readonly { readonly record: BuildRecord; readonly why: DeletionReason }[];
  /** How many wait for a slot. */
  readonly queued: number;
  readonly running: number;
  /** Milliseconds since the epoch: when to look again although nothing changes. */
  readonly lookAgainAtMs?: number;
}

/**
 * Which builds start, go on and go, over all Modules. At most `maxConcurrent` run at once. A free slot goes to the Module that has
 * the fewest running, so that one with forty kernels does not keep another waiting.
 */
export function planBuilds(snapshot: BuildsSnapshot): BuildsPlan {
  const deletions: { record: BuildRecord; why: DeletionReason }[] = [];
  const advance: { build: ImageBuild; record: BuildRecord }[] = [];
  const waiting = new Map<string, ImageBuild[]>();
  const runningOf = new Map<string, number>();
  const times: number[] = [];
  let running = 0;
  for (const [moduleKey, records] of snapshot.records) {
    // One that is being deleted takes its slot until its containers have ended.
    const active = records.filter((record) => !hasEnded(record) && !isStuck(record, snapshot.nowMs)).length;
    runningOf.set(moduleKey, active);
    running += active;
  }
  for (const [moduleKey, images] of [...snapshot.wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const records = snapshot.records.get(moduleKey) ?? [];
    if (!images.some(({ undecided }) => undecided)) deletions.push(...outdated(images, records));
    const ready: ImageBuild[] = [];
    for (const image of images) {
      const step = stepOf(image, records, snapshot);
      if (step.kind === 'start') ready.push(step.build);
      if (step.kind === 'advance') advance.push(step);
      if (step.kind === 'delete') deletions.push(step);
      if (step.kind === 'later') times.push(step.atMs);
    }
    if (ready.length > 0) waiting.set(moduleKey, ready);
  }
  const create = fairShare(waiting, runningOf, Math.max(0, snapshot.maxConcurrent - running));
  const all = [...waiting.values()].reduce((sum, builds) => sum + builds.length, 0);
  for (const { record, untilMs } of unclaimed(snapshot).slice(0, all - create.length)) {
    if (snapshot.nowMs < untilMs) times.push(untilMs);
    else if (!deletions.some((deletion) => deletion.record === record)) deletions.push({ record, why: 'MadeWay' });
  }
  return {
    create,
    advance,
    delete: deletions,
    queued: all - create.length,
    running: running + create.length,
    ...(times.length === 0 ? {} : { lookAgainAtMs: Math.min(...times) }),
  };
}

function isStuck({ metadata: { deletionTimestamp } }: BuildRecord, nowMs: number): boolean {
  return deletionTimestamp !== undefined && Date.parse(deletionTimestamp) + LONGEST_LEAVING_MS <= nowMs;
}

/** Builds that nobody takes up, and until when they keep others waiting; the oldest first. */
function unclaimed({
  wanted,
  records,
}: BuildsSnapshot): readonly { readonly record: BuildRecord; readonly untilMs: number }[] {
  return [...wanted.keys()]
    .flatMap((moduleKey) => records.get(moduleKey) ?? [])
    .flatMap((record) => {
      const { observation, metadata } = record;
      if (observation.phase !== 'Starting' || observation.unclaimed !== true) return [];
      if (metadata.deletionTimestamp !== undefined) return [];
      return [{ record, untilMs: Date.parse(observation.since) + LONGEST_UNCLAIMED_MS }];
    })
    .sort((a, b) => a.untilMs - b.untilMs);
}

function outdated(
  images: readonly WantedImage[],
  records: readonly BuildRecord[],
): { record: BuildRecord; why: 'Outdated' }[] {
  const keys = new Set(images.map(({ build }) => build.key));
  return records
    .filter(({ key, metadata }) => metadata.deletionTimestamp === undefined && !keys.has(key))
    .map((record) => ({ record, why: 'Outdated' }));
}

type Step =
  | { readonly kind: 'start'; readonly build: ImageBuild }
  | { readonly kind: 'advance'; readonly build: ImageBuild; readonly record: BuildRecord }
  | { readonly kind: 'delete'; readonly record: BuildRecord; readonly why: DeletionReason }
  | { readonly kind: 'later'; readonly atMs: number }
  | { readonly kind: 'wait' };

function stepOf(
  { build, progress, recorded, undecided, blocked }: WantedImage,
  records: readonly BuildRecord[],
  { nowMs, keepFinishedMs, refusedUntil }: BuildsSnapshot,
): Step {
  const start = (wanted: ImageBuild, attempt: number): Step => {
    if (blocked === true) return { kind: 'wait' };
    // One that is refused must not stand before others in the line.
    const atMs = refusedUntil.get(wanted.key) ?? 0;
    return nowMs < atMs ? { kind: 'later', atMs } : { kind: 'start', build: { ...wanted, attempt } };
  };
  if (undecided === true) return { kind: 'wait' };
  // A pod that is on its way out has the name that the next one needs.
  const record = records.find(({ key }) => key === build.key);
  const isLeaving = record?.metadata.deletionTimestamp !== undefined;
  switch (progress.phase) {
    case 'Queued':
      if (record === undefined) return start(build, progress.attempts + 1);
      // Before status has the count of tries, forgetting the pod would forget it.
      return recorded && !isLeaving && isSuperseded(record, build.terms)
        ? { kind: 'delete', record, why: 'Outdated' }
        : { kind: 'wait' };
    case 'Pushed': {
      if (record === undefined || isLeaving || !recorded) return { kind: 'wait' };
      const atMs = (Date.parse(progress.since) || 0) + keepFinishedMs;
      return nowMs >= atMs ? { kind: 'delete', record, why: 'Finished' } : { kind: 'later', atMs };
    }
    case 'Failed': {
      // Before status has the count of tries, forgetting the pod would forget it.
      if (progress.retryAtMs === undefined || !recorded) return { kind: 'wait' };
      if (nowMs < progress.retryAtMs) return { kind: 'later', atMs: progress.retryAtMs };
      if (record !== undefined) {
        // One of a later try: what the Module said is older than it.
        const isOver = !isLeaving && record.attempt <= progress.attempts;
        return isOver ? { kind: 'delete', record, why: 'TriedAgain' } : { kind: 'wait' };
      }
      return start(build, progress.attempts + 1);
    }
    case 'Starting':
    case 'Building':
    case 'Signing':
    case 'Pushing': {
      if (record === undefined || isLeaving) return { kind: 'wait' };
      const atMs = refusedUntil.get(build.key) ?? 0;
      if (nowMs < atMs) return { kind: 'later', atMs };
      return { kind: 'advance', build: { ...build, attempt: record.attempt }, record };
    }
  }
}

/** Takes one build after the other from the Module that has the fewest under way, in the order of their names where those are equal. */
function fairShare(
  waiting: ReadonlyMap<string, readonly ImageBuild[]>,
  runningOf: ReadonlyMap<string, number>,
  slots: number,
): ImageBuild[] {
  const lines = [...waiting].map(([moduleKey, builds]) => ({
    active: runningOf.get(moduleKey) ?? 0,
    left: [...builds],
  }));
  const chosen: ImageBuild[] = [];
  while (chosen.length < slots) {
    const next = lines
      .filter(({ left }) => left.length > 0)
      .reduce<(typeof lines)[number] | undefined>(
        (best, line) => (best === undefined || line.active < best.active ? line : best),
        undefined,
      );
    const build = next?.left.shift();
    if (next === undefined || build === undefined) break;
    next.active += 1;
    chosen.push(build);
  }
  return chosen;
}
