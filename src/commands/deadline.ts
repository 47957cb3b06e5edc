import { systemClock } from '../runtime/clock.ts';

export interface Deadline {
  /** Aborts when time is up, and when the process is told to end. */
  readonly signal: AbortSignal;
  readonly isOver: () => boolean;
}

/** Of a command that may take so long, and that a person may interrupt. The process no longer ends by SIGINT and SIGTERM themselves. */
export function deadlineIn(ms: number): Deadline {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => interrupted.abort(new Error('interrupted')));
  const timeout = new AbortController();
  // Not AbortSignal.timeout: it aborts at once after more than 2^31-1 ms, and throws for a part of one.
  systemClock.setTimer(() => timeout.abort(new Error('time is up')), ms, { background: true });
  return {
    signal: AbortSignal.any([interrupted.signal, timeout.signal]),
    isOver: () => timeout.signal.aborted,
  };
}
