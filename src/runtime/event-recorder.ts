import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../kube/client.ts';
import { EVENTS, type Event } from '../kube/core.ts';
import { isForbidden, isNotFound } from '../kube/errors.ts';
import { type Clock, sleep, systemClock } from './clock.ts';
import { type EventSubject, type EventType, eventBody, fitMessage } from './event.ts';
import { describeError, type Logger } from './logger.ts';
import { TokenBuckets } from './token-buckets.ts';

export type { EventSubject, EventType } from './event.ts';

/** The verbs of the Kubernetes client that the recorder uses. */
export type EventClient = Pick<KubeClient, 'create' | 'patch'>;

export interface EventRecorderOptions {
  readonly client: EventClient;
  /** The program, e.g. `kmm`. */
  readonly component: string;
  /** This process of it, e.g. the pod's name. */
  readonly instance: string;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface EventRecord {
  readonly regarding: EventSubject;
  readonly type: EventType;
  /** CamelCase, one word for programs. */
  readonly reason: string;
  /** One sentence for people; cut at 1024 bytes. */
  readonly message: string;
}

/** One thing that was said about one object, and the Event that says it. */
interface Series {
  readonly record: EventRecord;
  /** The object's key, which its rate limit goes by. */
  readonly object: string;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  /** The Event on the server; undefined until it has been created. */
  name: string | undefined;
  /** Milliseconds on the monotonic clock. */
  writtenAt: number;
  /** In the queue, or being written. */
  queued: boolean;
  cancelTimer: (() => void) | undefined;
}

/** An Event's count is brought up to date no more often than this. */
const PATCH_INTERVAL_MS = 5 * 60_000;
// The numbers of client-go's spam filter (tools/record/events_cache.go): 25 events of an object, then one per 5 minutes.
const BURST = 25;
const REFILL_MS = 5 * 60_000;
const MOST_SERIES = 4_096;
const MOST_QUEUED = 1_000;
/** Waits before each further try of an event that the server could not take. */
const RETRY_DELAYS_MS = [1_000, 5_000, 15_000];

/**
 * Writes core/v1 Events behind the caller's back: `record` never waits, never throws and never blocks a reconcile.
 * The same words about the same object become one Event with a count. It knows nothing of what an earlier process
 * recorded, so callers record changes, not states: else every restart would write.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #buckets: TokenBuckets;
  readonly #series = new Map<string, Series>();
  readonly #queue: Series[] = [];
  /** No more retries. */
  readonly #closing = new AbortController();
  /** No more requests. */
  readonly #dropping = new AbortController();
  #drain: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log;
    this.#buckets = new TokenBuckets({
      burst: BURST,
      refillMs: REFILL_MS,
      maxBuckets: MOST_SERIES,
      clock: this.#clock,
    });
  }

  /** Says something about an object. Returns at once; the Event follows. */
  record(record: EventRecord): void {
    const { regarding, type, reason } = record;
    const message = fitMessage(record.message);
    const object = [regarding.kind, regarding.namespace ?? '', regarding.name, regarding.uid ?? ''].join('\0');
    const key = [object, type, reason, message].join('\0');
    const known = this.#series.get(key);
    if (known !== undefined) {
      known.count++;
      known.lastAt = this.#clock.now();
      this.#schedule(known);
      return;
    }
    if (!this.#buckets.take(object)) {
      this.#log.debug({ event: record }, 'event not recorded: too many about this object');
      return;
    }
    const now = this.#clock.now();
    const series: Series = {
      record: { ...record, message },
      object,
      firstAt: now,
      lastAt: now,
      count: 1,
      name: undefined,
      writtenAt: this.#clock.monotonic(),
      queued: false,
      cancelTimer: undefined,
    };
    this.#series.set(key, series);
    this.#forgetOldest();
    this.#enqueue(series);
  }

  /**
   * Waits until what was recorded has been written. From now on each event gets one try only, so that a server which
   * does not answer does not hold up the shutdown; when the signal aborts, the rest is dropped.
   */
  async flush(signal: AbortSignal): Promise<void> {
    this.#closing.abort(new Error('shutting down'));
    for (const series of this.#series.values()) series.cancelTimer?.();
    const aborted = Promise.withResolvers<void>();
    const onAbort = (): void => {
      this.#queue.length = 0;
      this.#dropping.abort(signal.reason);
      aborted.resolve();
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#drain, aborted.promise]);
    signal.removeEventListener('abort', onAbort);
  }

  /** The count is behind: bring it up to date when the interval since the last write is over. */
  #schedule(series: Series): void {
    if (series.queued || series.cancelTimer !== undefined || this.#closing.signal.aborted) return;
    const waitMs = series.writtenAt + PATCH_INTERVAL_MS - this.#clock.monotonic();
    const write = (): void => {
      series.cancelTimer = undefined;
      if (this.#buckets.take(series.object)) this.#enqueue(series);
    };
    if (waitMs <= 0) write();
    else series.cancelTimer = this.#clock.setTimer(write, waitMs, { background: true });
  }

  #enqueue(series: Series): void {
    if (this.#queue.length >= MOST_QUEUED) {
      this.#log.warn({ event: series.record }, 'event dropped: too many are waiting to be written');
      return;
    }
    series.queued = true;
    this.#queue.push(series);
    this.#drain ??= this.#writeQueue();
  }

  #forgetOldest(): void {
    for (const [key, series] of this.#series) {
      if (this.#series.size <= MOST_SERIES) return;
      series.cancelTimer?.();
      this.#series.delete(key);
    }
  }

  async #writeQueue(): Promise<void> {
    for (let series = this.#queue.shift(); series !== undefined; series = this.#queue.shift()) {
      const count = series.count;
      await this.#writeWithRetries(series);
      series.writtenAt = this.#clock.monotonic();
      series.queued = false;
      if (series.count > count) this.#schedule(series);
    }
    // Here and not in a `finally` of the promise: what is recorded between the two would wait for nobody.
    this.#drain = undefined;
  }

  async #writeWithRetries(series: Series): Promise<void> {
    for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
      try {
        await this.#write(series);
        return;
      } catch (error) {
        if (isNamespaceGoing(error)) {
          this.#log.debug({ event: series.record }, 'event dropped: its namespace is going');
          return;
        }
        if (delayMs === undefined || !isTransient(error) || this.#closing.signal.aborted) {
          this.#log.warn({ err: error, event: series.record }, 'event dropped: it could not be written');
          return;
        }
        await sleep(this.#clock, delayMs, this.#closing.signal).catch(() => undefined);
      }
    }
  }

  async #write(series: Series): Promise<void> {
    const { client, component, instance } = this.#options;
    const { record, count, firstAt, lastAt } = series;
    const { signal } = this.#dropping;
    if (series.name !== undefined) {
      const { lastTimestamp, metadata } = eventBody({
        record,
        count,
        firstAt,
        lastAt,
        component,
        instance,
        name: series.name,
      });
      const ref = { name: series.name, namespace: metadata.namespace };
      try {
        await client.patch(EVENTS, ref, { type: 'merge', body: { count, lastTimestamp } }, { signal });
        return;
      } catch (error) {
        // Events live for an hour by default; the next one goes on counting.
        if (!isNotFound(error)) throw error;
      }
    }
    const name = eventName(record.regarding.name, this.#clock.now());
    const body: Event = eventBody({ record, count, firstAt, lastAt, component, instance, name });
    await client.create(EVENTS, body, { signal });
    series.name = name;
  }
}

/** `<object>.<time><chance>`, a DNS subdomain: what is left of a long object's name must end in a letter or digit. */
function eventName(object: string, epochMs: number): string {
  const start = object.slice(0, 230).replace(/[^a-zA-Z0-9]+$/, '');
  return `${start}.${epochMs.toString(16)}${randomBytes(3).toString('hex')}`;
}

/** The server takes no new objects in a namespace that is being deleted (403 naming it), nor in one that is gone (404). */
function isNamespaceGoing(error: unknown): boolean {
  return isNotFound(error) || (isForbidden(error) && describeError(error).includes('is being terminated'));
}

/** No answer, or an answer that asks to come again. */
function isTransient(error: unknown): boolean {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof status !== 'number' || status === 429 || status >= 500;
}
