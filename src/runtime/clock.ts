/** Time as the runtime sees it, so that tests can move it by hand. */
export interface Clock {
  /** Milliseconds since the epoch: for timestamps that people and other programs read. Steps when the host's clock is set. */
  now(): number;
  /** Milliseconds on a clock that never steps: for durations and deadlines. Its zero means nothing. */
  monotonic(): number;
  /**
   * Calls `fire` once, `delayMs` from now at the earliest. Gives a function that cancels it.
   * A `background` timer does not keep the process alive.
   */
  setTimer(fire: () => void, delayMs: number, options?: { readonly background?: boolean }): () => void;
}

/** Node fires timers of more than 2^31-1 ms at once (with a warning), so longer ones are chained. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(fire, delayMs, options) {
    let handle: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const partMs = Math.min(leftMs, LONGEST_TIMER_MS);
      handle = setTimeout(() => (leftMs > partMs ? arm(leftMs - partMs) : fire()), partMs);
      if (options?.background === true) handle.unref();
    };
    arm(Math.max(0, delayMs));
    return () => clearTimeout(handle);
  },
};

/** Waits `delayMs`. Throws the signal's reason as soon as it aborts, and leaves no timer behind. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(abortReason(signal));
    };
    const cancel = clock.setTimer(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** What an aborted signal was aborted with, always as an Error. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason });
}
