import { reasonOf } from './abort.ts';

/** Lets at most so many callers in at once; the others wait in the order they came. A caller that aborts leaves the line. */
export class ConcurrencyLimit {
  #free: number;
  /** As long as there are callers that await: their number is bounded where they come from. */
  readonly #waiting = new Set<() => void>();

  /** @param limit a whole number, 1 or more; else a RangeError is thrown */
  constructor(limit: number) {
    if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`a concurrency limit of ${limit} lets nobody in`);
    this.#free = limit;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Runs `work` when there is room. Throws the signal's reason when it aborts before that. */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw reasonOf(signal);
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const turn = Promise.withResolvers<void>();
    const onTurn = (): void => {
      signal?.removeEventListener('abort', onAbort);
      turn.resolve();
    };
    const onAbort = (): void => {
      this.#waiting.delete(onTurn);
      if (signal !== undefined) turn.reject(reasonOf(signal));
    };
    this.#waiting.add(onTurn);
    signal?.addEventListener('abort', onAbort, { once: true });
    await turn.promise;
  }

  /** The place goes straight to who has waited longest, so that a caller that comes now cannot overtake. */
  #leave(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      next();
      return;
    }
    this.#free++;
  }
}
