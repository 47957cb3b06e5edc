import type { PodRecord } from '../records.ts';
import type { LoadedRecord } from './loaded-record.ts';

/** A container that crashed before must run this long before a start of it counts: else each crash would flap the device plugin. */
export const CRASH_SETTLE_MS = 10_000;

/**
 * How long after a reboot the status of a pod may still be that of the boot before. A kubelet reports within seconds; one that does not
 * is dead, and the node controller marks the pods of a dead kubelet not Ready within a minute.
 */
export const STALE_STATUS_MS = 5 * 60_000;

/**
 * What lies further in the future was written by a clock that is not ours, or before ours was set back. Nothing can be told from it, and
 * waiting for it could take hours.
 */
const MOST_SKEW_MS = 60_000;

export function isOfAnotherClock(atMs: number, nowMs: number): boolean {
  return atMs > nowMs + MOST_SKEW_MS;
}

export interface Readiness {
  /** Whether the node's ready label is due. */
  readonly ready: boolean;
  /** What the node's annotation should say; undefined leaves nothing there. */
  readonly record: LoadedRecord | undefined;
  /** When to look again although nothing changes, milliseconds since the epoch. */
  readonly lookAgainAtMs?: number;
}

/**
 * Whether the module is in the kernel of the node's present boot.
 *
 * It is gained by a container that is running and Ready and was not seen in an earlier boot; it is kept by that same container as long
 * as it runs in the same boot, whatever its readiness says meanwhile; it is lost with the boot or with the container.
 */
export function planReady(
  record: LoadedRecord | undefined,
  bootID: string,
  pod: PodRecord | undefined,
  nowMs: number,
  alive = true,
): Readiness {
  const container = pod?.container;
  if (pod === undefined || container === undefined || !container.running) return { ready: false, record };
  const sameBoot = record?.bootID === bootID;
  const sameContainer = record?.instance === container.instance;
  if (sameBoot && sameContainer && record.replacingSince === undefined) return { ready: true, record };
  if (!sameBoot && sameContainer) {
    // Nobody tells anything of a node that is down; the time for that begins when its kubelet is back.
    if (!alive) {
      const { reboot: _over, ...rest } = record;
      return { ready: false, record: rest };
    }
    // It is of the boot before and its status is stale; or its kubelet told of it before it told of the boot, and no other will come.
    const seen = record.reboot?.bootID === bootID ? record.reboot : undefined;
    const reboot =
      seen !== undefined && !isOfAnotherClock(Date.parse(seen.seenAt), nowMs)
        ? seen
        : { bootID, seenAt: new Date(nowMs).toISOString() };
    const believedAtMs = Date.parse(reboot.seenAt) + STALE_STATUS_MS;
    if (nowMs < believedAtMs) return { ready: false, record: { ...record, reboot }, lookAgainAtMs: believedAtMs };
  }
  if (!container.ready || !pod.ready) return { ready: false, record };

  const crashedBefore = container.restarts > 0 && (container.terminated?.exitCode ?? 0) !== 0;
  if (crashedBefore && (sameBoot || record === undefined)) {
    const startedAtMs = Date.parse(container.startedAt ?? '');
    const settledAtMs = startedAtMs + CRASH_SETTLE_MS;
    if (nowMs < settledAtMs && !isOfAnotherClock(startedAtMs, nowMs))
      return { ready: false, record, lookAgainAtMs: settledAtMs };
  }
  return { ready: true, record: { bootID, instance: container.instance } };
}
