import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConcurrencyLimit } from './concurrency-limit.ts';

/** Work that ends when told to, and says when it has begun. */
function controlled(limit: ConcurrencyLimit, log: string[], name: string, signal?: AbortSignal) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const result = limit.run(signal, () => {
    log.push(name);
    return promise;
  });
  return { result, end: () => resolve(name), fail: () => reject(new Error(name)) };
}

describe('ConcurrencyLimit', () => {
  test('lets as many in as it says, the others in the order they came', async () => {
    const limit = new ConcurrencyLimit(2);
    const log: string[] = [];
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => controlled(limit, log, name));
    await Promise.resolve();
    expect(log).toEqual(['a', 'b']);
    expect(limit.waiting).toBe(2);
    b?.end();
    expect(await b?.result).toBe('b');
    await Promise.resolve();
    expect(log).toEqual(['a', 'b', 'c']);
    a?.fail();
    await expect(a?.result).rejects.toThrow('a');
    await Promise.resolve();
    expect(log).toEqual(['a', 'b', 'c', 'd']);
    c?.end();
    d?.end();
    expect(await Promise.all([c?.result, d?.result])).toEqual(['c', 'd']);
  });

  test('who aborts while waiting gets the reason, leaves the line, and never starts', async () => {
    const limit = new ConcurrencyLimit(1);
    const log: string[] = [];
    const abort = new AbortController();
    const first = controlled(limit, log, 'first');
    const second = controlled(limit, log, 'second', abort.signal);
    const third = controlled(limit, log, 'third');
    abort.abort(new Error('enough'));
    await expect(second.result).rejects.toThrow('enough');
    first.end();
    third.end();
    await Promise.all([first.result, third.result]);
    expect(log).toEqual(['first', 'third']);
    await expect(limit.run(abort.signal, () => Promise.resolve())).rejects.toThrow('enough');
  });

  test('never lets in more, and loses no place, whatever fails or aborts', async () => {
    const job = fc.record({ turns: fc.nat(5), fails: fc.boolean(), abortAfter: fc.option(fc.nat(5)) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(job, { maxLength: 30 }), async (most, jobs) => {
        const limit = new ConcurrencyLimit(most);
        let inside = 0;
        let highest = 0;
        const turn = async (count: number): Promise<void> => {
          for (let i = 0; i < count; i++) await Promise.resolve();
        };
        await Promise.allSettled(
          jobs.map(async ({ turns, fails, abortAfter }) => {
            const abort = new AbortController();
            if (abortAfter !== null) void turn(abortAfter).then(() => abort.abort());
            return limit.run(abort.signal, async () => {
              highest = Math.max(highest, ++inside);
              await turn(turns);
              inside--;
              if (fails) throw new Error('failed');
            });
          }),
        );
        expect(highest).toBeLessThanOrEqual(most);
        // Every place is free again: as many as the limit get in at once.
        let again = 0;
        const gate = Promise.withResolvers<void>();
        const all = Array.from({ length: most }, () => limit.run(undefined, () => (again++, gate.promise)));
        await turn(3);
        expect(again).toBe(most);
        gate.resolve();
        await Promise.all(all);
      }),
    );
  });

  test.each([0, -1, 1.5, Number.NaN])('a limit of %d is refused', (limit) => {
    expect(() => new ConcurrencyLimit(limit)).toThrow(RangeError);
  });
});
