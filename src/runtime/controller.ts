import { randomUUID } from 'node:crypto';
import { isConflict } from '../kube/errors.ts';
import type { BackoffOptions } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Logger } from './logger.ts';
import type { ControllerObserver, Metrics } from './metrics.ts';
import { type EnqueueOptions, WorkQueue } from './queue.ts';

export interface ReconcileContext {
  /** Aborts when the controller stops: by then nothing may be written any more. */
  readonly signal: AbortSignal;
  /** Carries controller, namespace, name and reconcileID. */
  readonly log: Logger;
  readonly reconcileID: string;
}

export type ReconcileResult = { readonly requeueAfterMs?: number } | void;

export interface ControllerOptions {
  readonly name: string;
  /** Brings the world of one key (`namespace/name` or `name`) to what it should be. Must not care what woke it. */
  readonly reconcile: (key: string, context: ReconcileContext) => Promise<ReconcileResult>;
  /** Keys reconciled side by side. Default 1. */
  readonly concurrency?: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly backoff?: BackoffOptions;
  readonly clock?: Clock;
}

/** Thrown by a reconcile whose failure no retry can mend; the key waits for the next change of its object. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

/** Runs one reconcile function over a queue of keys, one run per key at a time. */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #observer: ControllerObserver;
  readonly #clock: Clock;
  readonly #log: Logger;
  #running = false;

  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log.child({ controller: options.name });
    this.#observer = options.metrics.controller(options.name, options.concurrency ?? 1);
    this.#queue = new WorkQueue({
      clock: this.#clock,
      ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
      observer: options.metrics.queue(options.name, () => this.#queue),
    });
  }

  /** Asks for a reconcile of the key. Works before `run` too: the key then waits for it. */
  enqueue(key: string, options?: EnqueueOptions): void {
    this.#queue.add(key, options);
  }

  /** Nothing waits and nothing runs; what is due later does not count. */
  get idle(): boolean {
    return this.#queue.depth === 0 && this.#queue.running === 0;
  }

  /**
   * Reconciles until the signal aborts, and resolves when the last run that was under way has ended.
   * @throws Error when it is running already.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error(`controller ${this.name} is running already`);
    this.#running = true;
    try {
      const workers = Array.from({ length: this.#options.concurrency ?? 1 }, () => this.#work(signal));
      await Promise.all(workers);
    } finally {
      this.#queue.close();
      this.#running = false;
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let key: string;
      try {
        key = await this.#queue.next(signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        await this.#reconcile(key, signal);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<void> {
    const reconcileID = randomUUID();
    const log = this.#log.child({ ...splitKey(key), reconcileID });
    const startedAt = this.#clock.monotonic();
    this.#observer.started();
    let result: 'success' | 'requeue_after' | 'error' = 'success';
    try {
      const outcome = await this.#options.reconcile(key, { signal, log, reconcileID });
      this.#queue.forget(key);
      if (outcome?.requeueAfterMs !== undefined) {
        this.#queue.add(key, { afterMs: outcome.requeueAfterMs });
        result = 'requeue_after';
      }
    } catch (error) {
      result = 'error';
      this.#failed(key, error, log, signal);
    } finally {
      this.#observer.finished(result, (this.#clock.monotonic() - startedAt) / 1000);
    }
  }

  #failed(key: string, error: unknown, log: Logger, signal: AbortSignal): void {
    // A reconcile that was cut short by the stop did not fail; whoever comes next takes the key up again.
    if (signal.aborted) return;
    if (error instanceof TerminalError) {
      this.#queue.forget(key);
      this.#observer.terminalError();
      log.error({ err: error }, 'reconcile failed and is not retried');
      return;
    }
    this.#queue.addRateLimited(key);
    // Somebody else wrote first: the retry reads the new object. Nobody can act on that, so it is no error line.
    if (isConflict(error)) log.debug({ err: error }, 'reconcile met a conflict and is retried');
    else log.error({ err: error, failures: this.#queue.failures(key) }, 'reconcile failed');
  }
}

function splitKey(key: string): { readonly namespace?: string; readonly name: string } {
  const slash = key.indexOf('/');
  return slash === -1 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
