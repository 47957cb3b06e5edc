import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** What is waited for, as the end of the sentence `waited 30 s for ...`. */
  readonly what: string;
  /** Milliseconds; 30,000 unless told. */
  readonly timeoutMs?: number;
  /** Milliseconds between two tries; 50 unless told. */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Calls `attempt` until it stops throwing and gives its result.
 *
 * @throws Error that says what was waited for and how long, with the last failure as its cause.
 */
export async function eventually<T>(
  attempt: (signal: AbortSignal) => T | Promise<T>,
  options: EventuallyOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const intervalMs = options.intervalMs ?? 50;
  const deadline = performance.now() + timeoutMs;
  // An attempt that hangs must not outlive the deadline: its requests are aborted with it.
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
  let last: unknown;
  for (;;) {
    try {
      return await attempt(signal);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Once the deadline aborts an attempt, the failure before it says more than `aborted` does.
      if (!timeout.aborted || last === undefined) last = error;
    }
    if (performance.now() + intervalMs > deadline) {
      const reason = last instanceof Error ? last.message : String(last);
      throw new Error(`waited ${timeoutMs / 1000} s for ${options.what}; the last try said: ${reason}`, {
        cause: last,
      });
    }
    await delay(intervalMs, undefined, { signal: options.signal });
  }
}

/**
 * Fails as soon as `check` throws within `forMs` milliseconds: for what must stay as it is.
 *
 * @throws what `check` throws, wrapped in a sentence that says what was to hold.
 */
export async function holds(
  check: (signal: AbortSignal) => void | Promise<void>,
  options: { readonly what: string; readonly forMs: number; readonly intervalMs?: number },
): Promise<void> {
  const started = performance.now();
  const never = new AbortController();
  for (;;) {
    try {
      await check(never.signal);
    } catch (error) {
      const after = ((performance.now() - started) / 1000).toFixed(1);
      throw new Error(`${options.what} did not hold: after ${after} s ${String(error)}`, { cause: error });
    }
    if (performance.now() - started >= options.forMs) return;
    await delay(options.intervalMs ?? 50);
  }
}
