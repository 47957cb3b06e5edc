import { Backoff, type BackoffOptions } from './backoff.ts';
import { abortReason, type Clock, systemClock } from './clock.ts';
import { DueHeap } from './due-heap.ts';
import { type Linked, ReadyList } from './ready-list.ts';

/** `high` is for what a person waits for (an edit of a Module), `normal` for all that follows from the cluster's own life. */
export type Priority = 'high' | 'normal';

export interface EnqueueOptions {
  readonly priority?: Priority;
  /**
   * Not before so many milliseconds. Of several due times for one key the earliest wins, so a caller that adds a hot key
   * again and again with the same delay gets one run per delay.
   */
  readonly afterMs?: number;
}

/** What a queue tells its metrics; all durations in seconds. */
export interface QueueObserver {
  added(): void;
  started(waitedSeconds: number): void;
  finished(workedSeconds: number): void;
  retried(): void;
}

export interface WorkQueueOptions {
  readonly backoff?: BackoffOptions;
  readonly clock?: Clock;
  readonly observer?: QueueObserver;
  /** The most keys the queue holds. Default 1,000,000. */
  readonly maxKeys?: number;
}

interface Entry extends Linked<Entry> {
  readonly key: string;
  running: boolean;
  /** A run is due now: the entry stands in a ready list or, while it is running, will when that run is done. */
  wanted: Priority | undefined;
  wantedSince: number;
  runningSince: number;
  /** The priority of the run that is due later, while the key stands in the heap. */
  later: Priority;
}

interface Waiter {
  readonly take: (key: string) => void;
}

/** So many high-priority keys in a row, then one normal key gets its turn. */
const HIGH_STREAK = 8;

/**
 * A work queue of keys. A key stands in it at most once, however often it is added; it is never handed out twice at a
 * time: what is added during its run is run again afterwards. Nothing that was added is lost, and a key that is added
 * without end goes to the back each time, so every other key gets its turn.
 */
export class WorkQueue {
  readonly #entries = new Map<string, Entry>();
  readonly #ready = { high: new ReadyList<Entry>(), normal: new ReadyList<Entry>() };
  readonly #later = new DueHeap();
  readonly #waiters = new Set<Waiter>();
  readonly #backoff: Backoff;
  readonly #clock: Clock;
  readonly #observer: QueueObserver | undefined;
  readonly #maxKeys: number;
  #highStreak = 0;
  #running = 0;
  #timer: { readonly dueAt: number; readonly cancel: () => void } | undefined;

  constructor(options: WorkQueueOptions = {}) {
    this.#backoff = new Backoff(options.backoff);
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer;
    this.#maxKeys = options.maxKeys ?? 1_000_000;
  }

  /** Keys that could run now and wait for a worker. */
  get depth(): number {
    return this.#ready.high.size + this.#ready.normal.size;
  }

  /** Keys whose time has not come. */
  get delayed(): number {
    return this.#later.size;
  }

  /** Keys that were handed out and are not done. */
  get running(): number {
    return this.#running;
  }

  /** Seconds that the keys which are out have been out, added up. Walks all keys: for a metrics scrape. */
  get unfinishedSeconds(): number {
    const now = this.#clock.monotonic();
    let seconds = 0;
    for (const entry of this.#entries.values()) if (entry.running) seconds += (now - entry.runningSince) / 1000;
    return seconds;
  }

  failures(key: string): number {
    return this.#backoff.failures(key);
  }

  /**
   * Asks for a run of the key.
   * @throws RangeError when the queue holds `maxKeys` other keys: keys name objects, so only a fault makes so many.
   */
  add(key: string, options: EnqueueOptions = {}): void {
    const priority = options.priority ?? 'normal';
    const afterMs = options.afterMs ?? 0;
    const entry = this.#entry(key);
    if (afterMs > 0) this.#addLater(entry, priority, this.#clock.monotonic() + afterMs);
    else this.#addNow(entry, priority);
  }

  /** Asks for a run after the key's backoff, and counts a failure. */
  addRateLimited(key: string, options: { readonly priority?: Priority } = {}): void {
    this.#observer?.retried();
    this.add(key, { ...options, afterMs: this.#backoff.next(key) });
  }

  /** Ends the key's backoff. Runs that were asked for stay. */
  forget(key: string): void {
    this.#backoff.forget(key);
  }

  /**
   * Gives the next key, waiting for one. The caller owns the key until it calls `done`.
   * @throws the signal's reason when it aborts before a key came; no key is lost by that.
   */
  next(signal: AbortSignal): Promise<string> {
    if (signal.aborted) return Promise.reject(abortReason(signal));
    const key = this.#take();
    if (key !== undefined) return Promise.resolve(key);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        reject(abortReason(signal));
      };
      const waiter: Waiter = {
        take: (key) => {
          signal.removeEventListener('abort', onAbort);
          resolve(key);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * Gives back a key that `next` handed out; if it was added meanwhile it is due again.
   * @throws Error when the key is not out.
   */
  done(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || !entry.running) throw new Error(`done("${key}"): this key was not handed out`);
    entry.running = false;
    this.#running--;
    this.#observer?.finished((this.#clock.monotonic() - entry.runningSince) / 1000);
    if (entry.wanted !== undefined) {
      this.#ready[entry.wanted].push(entry);
      this.#dispatch();
    } else if (this.#later.dueAt(key) === undefined) {
      this.#entries.delete(key);
    }
  }

  /** Cancels the queue's timer. What is delayed stays so for ever unless something is added again. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size >= this.#maxKeys) {
      throw new RangeError(`cannot queue "${key}": the queue already holds ${this.#maxKeys} keys`);
    }
    const entry: Entry = {
      key,
      running: false,
      wanted: undefined,
      wantedSince: 0,
      runningSince: 0,
      later: 'normal',
      previous: undefined,
      next: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #addNow(entry: Entry, priority: Priority): void {
    const waitedAs = this.#later.dueAt(entry.key) === undefined ? 'normal' : entry.later;
    const wanted = priority === 'high' || waitedAs === 'high' ? 'high' : 'normal';
    this.#later.delete(entry.key);
    if (entry.wanted === undefined) {
      entry.wanted = wanted;
      entry.wantedSince = this.#clock.monotonic();
      this.#observer?.added();
      if (!entry.running) this.#ready[wanted].push(entry);
    } else if (entry.wanted === 'normal' && wanted === 'high') {
      if (!entry.running) {
        this.#ready.normal.remove(entry);
        this.#ready.high.push(entry);
      }
      entry.wanted = 'high';
    }
    this.#dispatch();
  }

  #addLater(entry: Entry, priority: Priority, dueAt: number): void {
    // A run that is due now begins after this call, so it serves this caller too.
    if (entry.wanted !== undefined) return;
    const known = this.#later.dueAt(entry.key);
    entry.later = priority === 'high' || (known !== undefined && entry.later === 'high') ? 'high' : 'normal';
    if (known !== undefined && known <= dueAt) return;
    this.#later.set(entry.key, dueAt);
    this.#arm();
  }

  #arm(): void {
    const first = this.#later.first();
    if (first === undefined || (this.#timer !== undefined && this.#timer.dueAt <= first.dueAt)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.setTimer(() => this.#onTimer(), first.dueAt - this.#clock.monotonic());
    this.#timer = { dueAt: first.dueAt, cancel };
  }

  #onTimer(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (let due = this.#later.first(); due !== undefined && due.dueAt <= now; due = this.#later.first()) {
      this.#addNow(this.#entry(due.key), 'normal');
    }
    this.#arm();
  }

  #dispatch(): void {
    for (const waiter of this.#waiters) {
      const key = this.#take();
      if (key === undefined) return;
      this.#waiters.delete(waiter);
      waiter.take(key);
    }
  }

  #take(): string | undefined {
    const { high, normal } = this.#ready;
    const normalsTurn = high.size === 0 || (normal.size > 0 && this.#highStreak >= HIGH_STREAK);
    const entry = normalsTurn ? normal.shift() : high.shift();
    this.#highStreak = normalsTurn || normal.size === 0 ? 0 : this.#highStreak + 1;
    if (entry === undefined) return undefined;
    const now = this.#clock.monotonic();
    entry.wanted = undefined;
    entry.running = true;
    entry.runningSince = now;
    this.#running++;
    this.#observer?.started((now - entry.wantedSince) / 1000);
    return entry.key;
  }
}
