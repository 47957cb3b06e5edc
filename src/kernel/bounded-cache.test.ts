import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedCache } from './bounded-cache.ts';

describe('BoundedCache', () => {
  it('forgets what was not used for longest when there are too many', () => {
    const cache = new BoundedCache<number>({ entries: 2, weight: 100 });
    cache.set('a', 1, 1);
    cache.set('b', 2, 1);
    expect(cache.get('a')).toBe(1);
    cache.set('c', 3, 1);
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, undefined, 3]);
  });

  it('forgets as many as it must to carry a heavy one', () => {
    const cache = new BoundedCache<number>({ entries: 10, weight: 10 });
    for (const key of ['a', 'b', 'c']) cache.set(key, 1, 3);
    cache.set('heavy', 1, 6);
    expect([cache.get('a'), cache.get('b'), cache.get('c'), cache.get('heavy')]).toEqual([undefined, undefined, 1, 1]);
    expect(cache.weight).toBe(9);
  });

  it('does not keep what is too heavy alone, and forgets nothing else for it', () => {
    const cache = new BoundedCache<number>({ entries: 10, weight: 10 });
    cache.set('b', 2, 3);
    cache.set('a', 1, 11);
    expect([cache.get('a'), cache.get('b'), cache.size, cache.weight]).toEqual([undefined, 2, 1, 3]);
  });

  it('counts what it is told twice once, as it was told last', () => {
    const cache = new BoundedCache<number>({ entries: 2, weight: 10 });
    for (const [value, weight] of [
      [1, 8],
      [2, 9],
      [3, 4],
    ] as const)
      cache.set('a', value, weight);
    cache.set('b', 4, 6);
    expect([cache.get('a'), cache.get('b'), cache.weight]).toEqual([3, 4, 10]);
  });

  it('never exceeds its limits and never gives a wrong value', () => {
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), value: fc.nat(), weight: fc.nat(8) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = new BoundedCache<number>({ entries: 4, weight: 15 });
        const told = new Map<string, number>();
        for (const { key, value, weight } of steps) {
          cache.set(key, value, weight);
          told.set(key, value);
          expect(cache.size).toBeLessThanOrEqual(4);
          expect(cache.weight).toBeLessThanOrEqual(15);
          for (const [known, newest] of told) expect([undefined, newest]).toContain(cache.get(known));
        }
      }),
    );
  });
});
