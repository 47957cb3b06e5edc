import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gatherMs, LEAST_GATHER_MS, MOST_GATHER_MS } from './gather.ts';

test('the first change of all is looked at soon', () => {
  expect(gatherMs(undefined, 12_345)).toBe(LEAST_GATHER_MS);
});

test.each([
  { what: 'a quick plan was just made', tookMs: 1, agoMs: 0, expected: LEAST_GATHER_MS },
  { what: 'a plan of 10 ms was just made', tookMs: 10, agoMs: 0, expected: 200 },
  { what: 'a plan of 10 ms was made 120 ms ago', tookMs: 10, agoMs: 120, expected: 80 },
  { what: 'a plan of 10 ms was made long ago', tookMs: 10, agoMs: 5_000, expected: LEAST_GATHER_MS },
  { what: 'a plan of 400 ms was just made', tookMs: 400, agoMs: 0, expected: MOST_GATHER_MS },
])('changes are gathered for $expected ms when $what', ({ tookMs, agoMs, expected }) => {
  expect(gatherMs({ atMs: 1_000, tookMs }, 1_000 + agoMs)).toBe(expected);
});

test('however many changes come, planning takes a twentieth of the time as long as a plan takes less than 50 ms', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 50, noNaN: true }), (tookMs) => {
      let nowMs = 0;
      let plans = 0;
      let last: { atMs: number; tookMs: number } | undefined;
      while (nowMs < 60_000) {
        nowMs += gatherMs(last, nowMs) + tookMs;
        last = { atMs: nowMs, tookMs };
        plans += 1;
      }
      expect((plans * tookMs) / nowMs).toBeLessThanOrEqual(1 / 20);
    }),
  );
});
