/** A burst that has just begun is looked at soon: one node that reboots must not wait for others. */
export const LEAST_GATHER_MS = 50;
/** Beyond it people would see the wait. */
export const MOST_GATHER_MS = 1_000;
/** A Module's plans take at most this part of one core. */
const PLANNING_SHARE = 1 / 20;

/**
 * How long changes of nodes and pods are gathered before a Module is planned again, milliseconds from now. A plan looks at every node, so
 * a thousand pods becoming Ready must not be a thousand plans, and where a plan takes longer, because the cluster is large or the machine
 * is busy, more changes go into one. What comes alone, some time after the last plan, hardly waits.
 *
 * @param last when the last plan was made and how long that took; undefined when there was none
 * @param nowMs on the same clock
 */
export function gatherMs(last: { readonly atMs: number; readonly tookMs: number } | undefined, nowMs: number): number {
  if (last === undefined) return LEAST_GATHER_MS;
  const pauseMs = Math.min(MOST_GATHER_MS, last.tookMs / PLANNING_SHARE);
  return Math.max(LEAST_GATHER_MS, last.atMs + pauseMs - nowMs);
}
