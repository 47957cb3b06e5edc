export interface BackoffOptions {
  /** The first delay, and the least of all. Default 5 ms. */
  readonly baseMs?: number;
  /** The most. Default 5 minutes. */
  readonly maxMs?: number;
  /** The share of a delay that chance may take away, so that keys which failed together do not retry together. Default 0.2. */
  readonly jitter?: number;
  /** From 0 to just under 1. Default Math.random. */
  readonly random?: () => number;
}

/** More keys than any cluster has objects of one kind; beyond it the longest unchanged failure counts are forgotten. */
const MOST_KEYS = 1_000_000;

/** Exponential delays, counted per key: base, 2 base, 4 base, ... up to the maximum, each less some jitter. */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #jitter: number;
  readonly #random: () => number;
  readonly #failures = new Map<string, number>();

  constructor(options: BackoffOptions = {}) {
    this.#baseMs = options.baseMs ?? 5;
    this.#maxMs = options.maxMs ?? 5 * 60_000;
    this.#jitter = options.jitter ?? 0.2;
    this.#random = options.random ?? Math.random;
  }

  /** Counts one more failure of the key and gives how long to wait, in milliseconds. */
  next(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.delete(key);
    this.#failures.set(key, failures + 1);
    if (this.#failures.size > MOST_KEYS) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    }
    // 2 ** failures becomes Infinity for a key that fails for ever; the minimum with maxMs keeps that harmless.
    const fullMs = Math.min(this.#maxMs, this.#baseMs * 2 ** failures);
    return Math.max(this.#baseMs, fullMs * (1 - this.#jitter * this.#random()));
  }

  /** The key has succeeded, or is given up: its next failure starts from the base again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }
}
