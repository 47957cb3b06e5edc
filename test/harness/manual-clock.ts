import type { Clock } from '../../src/runtime/clock.ts';

interface PendingTimer {
  readonly dueAt: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A clock for tests: time stands still until `advance` moves it, and timers fire in order of their due time. */
export class ManualClock implements Clock {
  #elapsedMs = 0;
  #order = 0;
  readonly #epochMs: number;
  readonly #timers = new Set<PendingTimer>();

  constructor(epochMs: number = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs;
  }

  now(): number {
    return this.#epochMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  setTimer(fire: () => void, delayMs: number): () => void {
    const timer: PendingTimer = { dueAt: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, fire };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** How long until the next timer fires, in milliseconds; undefined when none is set. */
  get nextTimerInMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.dueAt - this.#elapsedMs;
  }

  /** Moves time by `ms`, firing every timer that falls due on the way, also those that a fired timer sets. */
  advance(ms: number): void {
    const target = this.#elapsedMs + ms;
    for (let timer = this.#next(); timer !== undefined && timer.dueAt <= target; timer = this.#next()) {
      this.#elapsedMs = Math.max(this.#elapsedMs, timer.dueAt);
      this.#timers.delete(timer);
      timer.fire();
    }
    this.#elapsedMs = target;
  }

  #next(): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || timer.dueAt < next.dueAt || (timer.dueAt === next.dueAt && timer.order < next.order)) {
        next = timer;
      }
    }
    return next;
  }
}
