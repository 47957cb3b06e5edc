import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff } from './backoff.ts';

describe('Backoff', () => {
  it('starts at 5 ms, doubles, and stays at 5 minutes', () => {
    const backoff = new Backoff({ random: () => 0 });
    const delays = Array.from({ length: 40 }, () => backoff.next('a'));
    expect(delays.slice(0, 5)).toEqual([5, 10, 20, 40, 80]);
    expect(delays.slice(16)).toEqual(Array.from({ length: 24 }, () => 300_000));
  });

  it('never gives less than the base, more than the maximum, or less than the jitter leaves of the full delay', () => {
    const settings = fc.record({
      baseMs: fc.integer({ min: 1, max: 100 }),
      maxMs: fc.integer({ min: 100, max: 600_000 }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const chance = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 1,
      maxLength: 1_200,
    });
    fc.assert(
      fc.property(settings, chance, ({ baseMs, maxMs, jitter }, rolls) => {
        let roll = 0;
        const backoff = new Backoff({ baseMs, maxMs, jitter, random: () => rolls[roll++] ?? 0 });
        for (let failure = 0; failure < rolls.length; failure++) {
          const fullMs = Math.min(maxMs, baseMs * 2 ** failure);
          const delayMs = backoff.next('a');
          expect(delayMs).toBeGreaterThanOrEqual(Math.max(baseMs, fullMs * (1 - jitter) - 1e-6));
          expect(delayMs).toBeLessThanOrEqual(fullMs);
        }
      }),
    );
  });

  it('counts each key by itself, and from the start again after forget', () => {
    const backoff = new Backoff({ random: () => 0 });
    backoff.next('a');
    backoff.next('a');
    expect([backoff.next('a'), backoff.next('b')]).toEqual([20, 5]);
    backoff.forget('a');
    expect([backoff.failures('a'), backoff.next('a')]).toEqual([0, 5]);
  });
});
