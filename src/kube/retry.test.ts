import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MOST_TRIES, retryAfterMs, retryDelayMs } from './retry.ts';

describe('retryDelayMs', () => {
  test.each([
    { status: 429, retryAfterMs: undefined, retried: true },
    { status: 429, retryAfterMs: 1_000, retried: true },
    { status: 503, retryAfterMs: 1_000, retried: true },
    // Without a time to come back at, nothing says that the request was not carried out.
    { status: 503, retryAfterMs: undefined, retried: false },
    { status: 500, retryAfterMs: 1_000, retried: false },
    { status: 504, retryAfterMs: 1_000, retried: false },
    { status: 409, retryAfterMs: 1_000, retried: false },
  ])('a $status with Retry-After $retryAfterMs is sent again: $retried', ({ retried, ...error }) => {
    expect(retryDelayMs(error, 1, 0) !== undefined).toBe(retried);
  });

  test('a request is sent five times, and no more', () => {
    const delays = [1, 2, 3, 4, 5].map((tries) => retryDelayMs({ status: 429, retryAfterMs: undefined }, tries, 0.5));
    expect(delays).toEqual([250, 500, 1_000, 2_000, undefined]);
    expect(MOST_TRIES).toBe(5);
  });

  test('the wait is never shorter than asked, never longer than a minute', () => {
    fc.assert(
      fc.property(
        fc.nat(10_000_000),
        fc.integer({ min: 1, max: MOST_TRIES - 1 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (askedMs, tries, random) => {
          const delayMs = retryDelayMs({ status: 429, retryAfterMs: askedMs }, tries, random) ?? Number.NaN;
          expect(delayMs).toBeGreaterThanOrEqual(Math.min(askedMs, 60_000));
          expect(delayMs).toBeLessThanOrEqual(60_000);
        },
      ),
    );
  });
});

describe('retryAfterMs', () => {
  const now = Date.parse('Thu, 01 Jan 2026 00:00:00 GMT');
  test.each([
    [undefined, undefined],
    ['1', 1_000],
    [' 30 ', 30_000],
    ['0', 0],
    ['Thu, 01 Jan 2026 00:00:05 GMT', 5_000],
    ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
    ['soon', undefined],
    ['', undefined],
  ])('%j is %j ms', (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });
});
