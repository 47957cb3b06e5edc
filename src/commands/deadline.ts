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
  // Held by isOver: a signal that only AbortSignal.any knows is collected as garbage, and never aborts.
  const timeout = AbortSignal.timeout(ms);
  return { signal: AbortSignal.any([interrupted.signal, timeout]), isOver: () => timeout.aborted };
}
