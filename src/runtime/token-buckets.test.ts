import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { TokenBuckets } from './token-buckets.ts';

function newBuckets(options: { readonly maxBuckets?: number } = {}) {
  const clock = new ManualClock();
  return { clock, buckets: new TokenBuckets({ burst: 3, refillMs: 100, maxBuckets: options.maxBuckets ?? 10, clock }) };
}

describe('TokenBuckets', () => {
  it('gives a burst at once, then one token a refill time, and never saves up more than a burst', () => {
    const { clock, buckets } = newBuckets();
    const takeFive = (): boolean[] => Array.from({ length: 5 }, () => buckets.take('a'));
    expect(takeFive()).toEqual([true, true, true, false, false]);
    clock.advance(99);
    expect(buckets.take('a')).toBe(false);
    clock.advance(1);
    expect(takeFive()).toEqual([true, false, false, false, false]);
    clock.advance(1_000_000);
    expect(takeFive()).toEqual([true, true, true, false, false]);
  });

  it('counts each key by itself', () => {
    const { buckets } = newBuckets();
    for (let i = 0; i < 3; i++) buckets.take('a');
    expect([buckets.take('a'), buckets.take('b')]).toEqual([false, true]);
  });

  it('forgets the bucket that was used least recently when there are too many', () => {
    const { buckets } = newBuckets({ maxBuckets: 2 });
    for (let i = 0; i < 4; i++) buckets.take('old');
    for (let i = 0; i < 4; i++) buckets.take('kept');
    buckets.take('new');
    expect(buckets.take('kept')).toBe(false);
    expect(buckets.take('old')).toBe(true);
  });

  it('lets through no more than a burst and what came back meanwhile, whatever the pauses are', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 200 }), (pauses) => {
        const { clock, buckets } = newBuckets();
        let taken = 0;
        for (const pause of pauses) {
          clock.advance(pause);
          if (buckets.take('a')) taken++;
          expect(taken).toBeLessThanOrEqual(3 + clock.monotonic() / 100 + 1e-9);
        }
      }),
    );
  });
});
