import type { BuildStatus } from '../../api/module.ts';
import { type BuildRecord, type ImageBuild, isSuperseded } from '../../build/engines/engine.ts';
import type { FailureCause } from '../../build/pipeline/failure.ts';
import { metaTime } from '../../kube/objects.ts';

/** How far the image of a kernel is, whoever tells: its objects, or status where those have gone. */
export type BuildProgress =
  /** Nothing runs for it yet; `message` tells what it waits for. */
  | { readonly phase: 'Queued'; readonly attempts: number; readonly message: string }
  | {
      readonly phase: 'Starting' | 'Building' | 'Signing' | 'Pushing';
      /** RFC 3339. */
      readonly since: string;
      readonly pod: string;
      readonly attempts: number;
      readonly message?: string;
    }
  | {
      readonly phase: 'Pushed';
      readonly since: string;
      readonly attempts: number;
      /** `repository@sha256:...`. */
      readonly image: string;
      readonly reference: string;
      readonly commit?: string;
    }
  | {
      readonly phase: 'Failed';
      readonly since: string;
      readonly attempts: number;
      readonly blame: FailureCause;
      readonly message: string;
      /** Milliseconds since the epoch; absent: not until the Module changes. */
      readonly retryAtMs?: number;
      readonly pod?: string;
    };

export interface RetryPolicy {
  /** How often a build is tried that fails for want of infrastructure. */
  readonly attempts: number;
  /** The wait before the second try, milliseconds; it doubles with each. */
  readonly backoffMs: number;
}

const LONGEST_BACKOFF_MS = 30 * 60_000;
/** Characters of a failing tool's last lines that status has room for. */
const LONGEST_LOG = 160;

/** @param recorded what status says of this kernel's build, whichever it is of */
export function progressOf(
  build: ImageBuild,
  records: readonly BuildRecord[],
  recorded: BuildStatus | undefined,
  retry: RetryPolicy,
): BuildProgress {
  const ofKey = records.filter(({ key }) => key === build.key);
  const found = ofKey.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (found !== undefined && !isSuperseded(found, build.terms)) return progressOfRecord(found, retry);
  const ofStatus = recorded?.key === build.key ? recorded : undefined;
  if (found === undefined && ofStatus !== undefined) {
    const remembered = progressOfStatus(ofStatus, build.terms);
    if (remembered !== undefined) return remembered;
  }
  const attempts = found?.attempt ?? ofStatus?.attempts ?? 0;
  const before = found ?? ofKey[0];
  const message =
    before === undefined ? 'waiting for its turn to be built' : `waiting for pod ${before.pod} of the try before to go`;
  return { phase: 'Queued', attempts, message };
}

function progressOfRecord({ pod, attempt, observation }: BuildRecord, retry: RetryPolicy): BuildProgress {
  switch (observation.phase) {
    case 'Starting': {
      const { unclaimed: _unclaimed, ...told } = observation;
      return { ...told, pod, attempts: attempt };
    }
    case 'Building':
    case 'Signing':
    case 'Pushing':
      return { ...observation, pod, attempts: attempt };
    case 'Succeeded': {
      const { image, reference, commit } = observation.report;
      return {
        phase: 'Pushed',
        since: observation.at,
        attempts: attempt,
        image,
        reference,
        ...(commit === undefined ? {} : { commit }),
      };
    }
    case 'Failed': {
      const { at, blame, step, message, log } = observation;
      const retryAtMs = retryAt(blame, attempt, at, retry);
      const where = step === undefined ? '' : `${step}: `;
      const tail = log === undefined || log === '' ? '' : ` (…${lastOf(log)})`;
      const end =
        retryAtMs === undefined && blame === 'infrastructure'
          ? `; given up after ${attempt} tries: change spec.imageRebuildTriggerGeneration to try again`
          : '';
      return {
        phase: 'Failed',
        since: at,
        attempts: attempt,
        blame,
        message: `${where}${message}${tail}${end}`,
        ...(retryAtMs === undefined ? {} : { retryAtMs }),
        pod,
      };
    }
  }
}

/** One line of the end of a log. */
function lastOf(log: string): string {
  return log
    .trim()
    .replaceAll(/\s*\n\s*/g, ' | ')
    .slice(-LONGEST_LOG);
}

/** Milliseconds since the epoch; undefined: not by itself. */
function retryAt(blame: FailureCause, attempt: number, at: string, retry: RetryPolicy): number | undefined {
  if (blame === 'user' || attempt >= retry.attempts) return undefined;
  return Date.parse(at) + backoffMs(attempt, retry);
}

/** The wait before the next try, milliseconds. */
export function backoffMs(attempt: number, retry: RetryPolicy): number {
  return Math.min(LONGEST_BACKOFF_MS, retry.backoffMs * 2 ** (attempt - 1));
}

/** What outlives the pod: an image that was pushed, and a failure that is not to be repeated too soon. */
function progressOfStatus(status: BuildStatus, wanted: string): BuildProgress | undefined {
  const { phase, since = '', attempts = 1, image, reference = '', commit, message = '', retryAt, terms } = status;
  if (phase === 'Pushed' && image !== undefined) {
    return { phase, since, attempts, image, reference, ...(commit === undefined ? {} : { commit }) };
  }
  // On other terms it is tried anew.
  if (phase === 'Failed' && (terms === undefined || terms === wanted)) {
    const retryAtMs = retryAt === undefined ? undefined : Date.parse(retryAt);
    return {
      phase,
      since,
      attempts,
      blame: retryAtMs === undefined ? 'user' : 'infrastructure',
      message,
      ...(retryAtMs === undefined ? {} : { retryAtMs }),
    };
  }
  return undefined;
}

/** The form of `progress` that stands in status. */
export function buildStatus({ key, terms }: Pick<ImageBuild, 'key' | 'terms'>, progress: BuildProgress): BuildStatus {
  const { phase, attempts } = progress;
  const head = { key, phase, ...(attempts === 0 ? {} : { attempts }) };
  switch (progress.phase) {
    case 'Queued':
      return { ...head, message: progress.message };
    case 'Pushed': {
      const { since, image, reference, commit } = progress;
      return { ...head, since: wholeSeconds(since), image, reference, ...(commit === undefined ? {} : { commit }) };
    }
    case 'Failed': {
      const { since, message, retryAtMs, pod } = progress;
      return {
        ...head,
        terms,
        since: wholeSeconds(since),
        message,
        ...(retryAtMs === undefined ? {} : { retryAt: metaTime(retryAtMs) }),
        ...(pod === undefined ? {} : { pod }),
      };
    }
    default: {
      const { since, pod, message } = progress;
      return { ...head, since: wholeSeconds(since), pod, ...(message === undefined ? {} : { message }) };
    }
  }
}

/** Whether status tells what the build's pod tells, so that nothing is lost when the pod goes. */
export function isRecorded(status: BuildStatus | undefined, key: string, progress: BuildProgress): boolean {
  return status?.key === key && status.phase === progress.phase && (status.attempts ?? 0) === progress.attempts;
}

function wholeSeconds(time: string): string {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? time : metaTime(ms);
}
