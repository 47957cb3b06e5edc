import { constants } from 'node:os';
import { type Component, type LifecycleOptions, runComponents } from './lifecycle.ts';
import type { Logger } from './logger.ts';

/**
 * Makes an error that nobody caught end the process with exit code 1 and one log line: after it the state in memory
 * cannot be trusted, and a fresh process reads the world as it is.
 */
function exitOnUnhandledErrors(log: Logger): void {
  const crash = (error: unknown): void => {
    log.fatal({ err: error }, 'unhandled error');
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Runs the components until SIGTERM or SIGINT, stops them in order, and ends the process: with 0 when it was asked to
 * and everything drained in time, else with 1. A second signal ends it at once.
 */
export async function runProcess(components: readonly Component[], options: LifecycleOptions): Promise<never> {
  const { log } = options;
  exitOnUnhandledErrors(log);
  const stop = new AbortController();
  const onSignal = (name: 'SIGTERM' | 'SIGINT'): void => {
    if (stop.signal.aborted) {
      log.warn({ signal: name }, 'second signal: ending at once');
      process.exit(128 + constants.signals[name]);
    }
    stop.abort(name);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  // Neither signal handlers nor promises keep a process alive: one that just waits would end with 13 and not a word.
  setInterval(() => undefined, LONGEST_TIMER_MS);
  process.exit(await runComponents(components, stop.signal, options));
}
