import type { Clock } from './clock.ts';

export interface TokenBucketOptions {
  /** Tokens of a full bucket. */
  readonly burst: number;
  /** Time in which one token comes back, in milliseconds. */
  readonly refillMs: number;
  /** Buckets kept at most; beyond it the one that was used least recently counts as full again. */
  readonly maxBuckets: number;
  readonly clock: Clock;
}

/** A token bucket per key. */
export class TokenBuckets {
  readonly #options: TokenBucketOptions;
  readonly #buckets = new Map<string, { readonly tokens: number; readonly at: number }>();

  constructor(options: TokenBucketOptions) {
    this.#options = options;
  }

  /** Takes a token of the key's bucket if there is one, and gives whether there was. */
  take(key: string): boolean {
    const { burst, refillMs, maxBuckets, clock } = this.#options;
    const now = clock.monotonic();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, bucket.tokens + (now - bucket.at) / refillMs);
    const taken = tokens >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: taken ? tokens - 1 : tokens, at: now });
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= maxBuckets) break;
      this.#buckets.delete(oldest);
    }
    return taken;
  }
}
