import { type BuildRecord, hasEnded, type ImageBuild } from '../../build/engines/engine.ts';
import type { WantedImage } from './image-desk.ts';

export interface BuildsSnapshot {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** By Module. A Module that is not among them has not said anything yet: nothing of it is touched. */
  readonly wanted: ReadonlyMap<string, readonly WantedImage[]>;
  /** By Module; those that are being deleted too. */
  readonly pods: ReadonlyMap<string, readonly BuildRecord[]>;
  readonly maxConcurrent: number;
  /** When a build may be tried again whose pod the API server refused, milliseconds since the epoch, by key. */
  readonly refusedUntil: ReadonlyMap<string, number>;
  /** How long the pod of a build that went well is kept, milliseconds. */
  readonly keepFinishedMs: number;
}

export type DeletionReason = 'Outdated' | 'Finished' | 'TriedAgain';

export interface BuildsPlan {
  readonly create: readonly ImageBuild[];
  readonly delete: readonly { readonly pod: BuildRecord; readonly why: DeletionReason }[];
  /** How many wait for a slot. */
  readonly queued: number;
  readonly running: number;
  /** Milliseconds since the epoch: when to look again although nothing changes. */
  readonly lookAgainAtMs?: number;
}

/**
 * Which builds start and which pods go, over all Modules. At most `maxConcurrent` run at once. A free slot goes to the Module that has
 * the fewest running, so that one with forty kernels does not keep another waiting.
 */
export function planBuilds(snapshot: BuildsSnapshot): BuildsPlan {
  const deletions: { pod: BuildRecord; why: DeletionReason }[] = [];
  const waiting = new Map<string, ImageBuild[]>();
  const runningOf = new Map<string, number>();
  const times: number[] = [];
  let running = 0;
  for (const [moduleKey, pods] of snapshot.pods) {
    // One that is being deleted takes its slot until its containers have ended.
    const active = pods.filter((pod) => !hasEnded(pod)).length;
    runningOf.set(moduleKey, active);
    running += active;
  }
  for (const [moduleKey, images] of [...snapshot.wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const pods = snapshot.pods.get(moduleKey) ?? [];
    if (!images.some(({ undecided }) => undecided)) deletions.push(...outdated(images, pods));
    const ready: ImageBuild[] = [];
    for (const image of images) {
      const step = stepOf(image, pods, snapshot);
      if (step.kind === 'start') ready.push(step.build);
      if (step.kind === 'delete') deletions.push(step);
      if (step.kind === 'later') times.push(step.atMs);
    }
    if (ready.length > 0) waiting.set(moduleKey, ready);
  }
  const create = fairShare(waiting, runningOf, Math.max(0, snapshot.maxConcurrent - running));
  const all = [...waiting.values()].reduce((sum, builds) => sum + builds.length, 0);
  return {
    create,
    delete: deletions,
    queued: all - create.length,
    running: running + create.length,
    ...(times.length === 0 ? {} : { lookAgainAtMs: Math.min(...times) }),
  };
}

function outdated(
  images: readonly WantedImage[],
  pods: readonly BuildRecord[],
): { pod: BuildRecord; why: 'Outdated' }[] {
  const keys = new Set(images.map(({ build }) => build.key));
  return pods
    .filter(({ key, metadata }) => metadata.deletionTimestamp === undefined && !keys.has(key))
    .map((pod) => ({ pod, why: 'Outdated' }));
}

type Step =
  | { readonly kind: 'start'; readonly build: ImageBuild }
  | { readonly kind: 'delete'; readonly pod: BuildRecord; readonly why: 'Finished' | 'TriedAgain' }
  | { readonly kind: 'later'; readonly atMs: number }
  | { readonly kind: 'wait' };

function stepOf(
  { build, progress, recorded, undecided }: WantedImage,
  pods: readonly BuildRecord[],
  { nowMs, keepFinishedMs, refusedUntil }: BuildsSnapshot,
): Step {
  const start = (wanted: ImageBuild, attempt: number): Step => {
    // One that is refused must not stand before others in the line.
    const atMs = refusedUntil.get(wanted.key) ?? 0;
    return nowMs < atMs ? { kind: 'later', atMs } : { kind: 'start', build: { ...wanted, attempt } };
  };
  if (undecided === true) return { kind: 'wait' };
  // A pod that is on its way out has the name that the next one needs.
  const pod = pods.find(({ metadata }) => metadata.name === build.name);
  switch (progress.phase) {
    case 'Queued':
      return pod === undefined ? start(build, progress.attempts + 1) : { kind: 'wait' };
    case 'Pushed': {
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined || !recorded) return { kind: 'wait' };
      const atMs = (Date.parse(progress.since) || 0) + keepFinishedMs;
      return nowMs >= atMs ? { kind: 'delete', pod, why: 'Finished' } : { kind: 'later', atMs };
    }
    case 'Failed': {
      // Before status has the count of tries, forgetting the pod would forget it.
      if (progress.retryAtMs === undefined || !recorded) return { kind: 'wait' };
      if (nowMs < progress.retryAtMs) return { kind: 'later', atMs: progress.retryAtMs };
      if (pod !== undefined) {
        // One of a later try: what the Module said is older than it.
        const isOver = pod.metadata.deletionTimestamp === undefined && pod.attempt <= progress.attempts;
        return isOver ? { kind: 'delete', pod, why: 'TriedAgain' } : { kind: 'wait' };
      }
      return start(build, progress.attempts + 1);
    }
    default:
      return { kind: 'wait' };
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
