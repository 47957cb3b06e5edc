import { type Clock, systemClock } from './clock.ts';
import type { Logger } from './logger.ts';

/** A part of the process. Parts start in the order they were given and stop in the reverse one. */
export interface Component {
  readonly name: string;
  /** Ready when it resolves; the next component starts then. */
  readonly start?: (signal: AbortSignal) => Promise<void>;
  /** Long-running work. It must end soon after its signal aborts; if it ends before, the process stops. */
  readonly run?: (signal: AbortSignal) => Promise<void>;
  /** Called after `run` has ended. The signal aborts when the time for the whole shutdown is over. */
  readonly stop?: (signal: AbortSignal) => Promise<void>;
}

export interface LifecycleOptions {
  readonly log: Logger;
  /** The time for the whole shutdown. Default 9 s: with what the process itself needs it ends within 10 s. */
  readonly drainTimeoutMs?: number;
  readonly clock?: Clock;
}

interface Started {
  readonly component: Component;
  readonly abort: AbortController;
  /** Settles when `run` has ended. */
  readonly ended: Promise<void>;
}

/** Why a process stops. */
type Ending = { readonly kind: 'signal'; readonly name: string } | { readonly kind: 'failed'; readonly error: unknown };

/**
 * Starts the components in order, runs them, and stops them in reverse order when `signal` aborts, when one of them
 * fails, or when one ends by itself.
 *
 * @returns the exit code: 0 after a stop that was asked for and drained in time, else 1.
 */
export async function runComponents(
  components: readonly Component[],
  signal: AbortSignal,
  options: LifecycleOptions,
): Promise<number> {
  const { log } = options;
  const ending = Promise.withResolvers<Ending>();
  const onAbort = (): void => ending.resolve({ kind: 'signal', name: String(signal.reason) });
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });

  const stopping = new AbortController();
  const started: Started[] = [];
  const fail = (error: unknown): void => ending.resolve({ kind: 'failed', error });
  const starting = signal.aborted ? Promise.resolve() : startAll(components, started, stopping.signal, fail);
  const why = await ending.promise;
  stopping.abort(new Error('shutting down'));
  if (why.kind === 'signal') log.info({ signal: why.name }, 'stopping');
  else log.fatal({ err: why.error }, 'stopping after a failure');

  const drained = await stopAll(started, starting, options);
  signal.removeEventListener('abort', onAbort);
  if (!drained || why.kind !== 'signal') return 1;
  log.info('stopped');
  return 0;
}

async function startAll(
  components: readonly Component[],
  started: Started[],
  stopping: AbortSignal,
  fail: (error: unknown) => void,
): Promise<void> {
  for (const component of components) {
    if (stopping.aborted) return;
    const abort = new AbortController();
    const ended = Promise.withResolvers<void>();
    // Listed before it has started: a start that was cut short may hold something that its `stop` lets go.
    started.push({ component, abort, ended: ended.promise });
    try {
      await component.start?.(stopping);
    } catch (error) {
      ended.resolve();
      if (!stopping.aborted) fail(new Error(`cannot start ${component.name}`, { cause: error }));
      return;
    }
    if (component.run === undefined || stopping.aborted) {
      ended.resolve();
      continue;
    }
    ended.resolve(runToEnd(component, abort.signal, fail));
    // `stopAll` awaits it later; until then a rejection is not unhandled.
    ended.promise.catch(() => undefined);
  }
}

async function runToEnd(component: Component, signal: AbortSignal, fail: (error: unknown) => void): Promise<void> {
  try {
    await component.run?.(signal);
    if (!signal.aborted) fail(new Error(`${component.name} ended, though nobody stopped it`));
  } catch (error) {
    // An abort that comes back as its own reason is how most work ends; anything else is worth a line.
    if (!signal.aborted) fail(new Error(`${component.name} failed`, { cause: error }));
    else if (error !== signal.reason) throw error;
  }
}

/** Gives whether everything had ended in time. */
async function stopAll(
  started: readonly Started[],
  starting: Promise<void>,
  options: LifecycleOptions,
): Promise<boolean> {
  const { log } = options;
  const timeoutMs = options.drainTimeoutMs ?? 9_000;
  const deadline = new AbortController();
  const late = Promise.withResolvers<'late'>();
  const cancel = (options.clock ?? systemClock).setTimer(() => {
    deadline.abort(new Error(`the shutdown took longer than ${timeoutMs} ms`));
    late.resolve('late');
  }, timeoutMs);
  try {
    await Promise.race([starting, late.promise]);
    for (const { component, abort, ended } of started.toReversed()) {
      const stop = async (): Promise<'stopped'> => {
        abort.abort(new Error('shutting down'));
        await ended;
        await component.stop?.(deadline.signal);
        return 'stopped';
      };
      const outcome = await Promise.race([
        stop().catch((error: unknown) => {
          log.error({ err: error, component: component.name }, 'component did not stop cleanly');
          return 'stopped' as const;
        }),
        late.promise,
      ]);
      if (outcome === 'late') {
        log.error({ component: component.name, timeoutMs }, 'shutdown took too long and was cut short');
        return false;
      }
    }
    return true;
  } finally {
    cancel();
  }
}
