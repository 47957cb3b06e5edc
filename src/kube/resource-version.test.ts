import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareResourceVersions, isNewer, newest } from './resource-version.ts';

describe('resourceVersions', () => {
  test.each([
    ['9', '10', -1],
    ['10', '9', 1],
    ['10', '10', 0],
    ['007', '7', 0],
    ['0', '1', -1],
    // 2^53 and its successor are the same number in JavaScript.
    ['9007199254740992', '9007199254740993', -1],
    ['18446744073709551616', '9', 1],
  ])('%s against %s is compared as a number', (a, b, sign) => {
    expect(Math.sign(compareResourceVersions(a, b) ?? Number.NaN)).toBe(sign);
  });

  test.each([
    ['', '1'],
    ['1', 'abc'],
    ['-1', '1'],
    ['1.5', '1'],
  ])('%j and %j cannot be compared', (a, b) => {
    expect(compareResourceVersions(a, b)).toBeUndefined();
  });

  test('are ordered as big integers are', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), fc.bigInt({ min: 0n, max: 2n ** 80n }), (a, b) => {
        const expected = a < b ? -1 : Number(a > b);
        expect(Math.sign(compareResourceVersions(String(a), String(b)) ?? Number.NaN)).toBe(expected);
      }),
    );
  });

  test('what comes later counts as newer where there is no order', () => {
    expect(isNewer(undefined, '5')).toBe(true);
    expect(isNewer('5', undefined)).toBe(true);
    expect(newest('5', 'x')).toBe('x');
    expect(newest('10', '9')).toBe('10');
  });
});
