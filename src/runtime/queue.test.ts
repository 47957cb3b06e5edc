import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { type EnqueueOptions, WorkQueue } from './queue.ts';

const never = new AbortController().signal;

function newQueue(): { readonly queue: WorkQueue; readonly clock: ManualClock } {
  const clock = new ManualClock();
  return { queue: new WorkQueue({ clock, backoff: { random: () => 0 } }), clock };
}

/** Takes and finishes every key that is due now, in order. */
async function drain(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.depth > 0) {
    const key = await queue.next(never);
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

const keyName = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const priority = fc.constantFrom('high' as const, 'normal' as const);
const action = fc.oneof(
  fc.record({
    kind: fc.constant('add' as const),
    key: keyName,
    priority,
    afterMs: fc.constantFrom(0, 0, 1, 10, 100, 1_000),
  }),
  fc.record({ kind: fc.constant('take' as const) }),
  fc.record({ kind: fc.constant('done' as const), which: fc.nat(4) }),
  fc.record({ kind: fc.constant('fail' as const), which: fc.nat(4) }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(200) }),
);

describe('WorkQueue', () => {
  it('loses no key, runs none twice at once, none early, and has every due key ready, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 150 }), async (actions) => {
        const { queue, clock } = newQueue();
        // What the queue should know: when each key is due (the earliest of all adds since it was last handed out).
        const dueAt = new Map<string, number>();
        const failures = new Map<string, number>();
        const running = new Set<string>();
        const want = (key: string, afterMs: number): void => {
          const due = clock.monotonic() + afterMs;
          dueAt.set(key, Math.min(due, dueAt.get(key) ?? due));
        };
        const pick = (which: number): string | undefined => [...running][which % Math.max(1, running.size)];

        for (const each of actions) {
          if (each.kind === 'add') {
            queue.add(each.key, each);
            want(each.key, each.afterMs);
          } else if (each.kind === 'take' && queue.depth > 0) {
            const key = await queue.next(never);
            expect(running.has(key), `${key} is running already`).toBe(false);
            expect(dueAt.get(key), `${key} was not due`).toBeLessThanOrEqual(clock.monotonic());
            running.add(key);
            dueAt.delete(key);
          } else if (each.kind === 'done' || each.kind === 'fail') {
            const key = pick(each.which);
            if (key === undefined) continue;
            if (each.kind === 'fail') {
              const failed = failures.get(key) ?? 0;
              queue.addRateLimited(key);
              want(key, Math.min(300_000, 5 * 2 ** failed));
              failures.set(key, failed + 1);
            }
            running.delete(key);
            queue.done(key);
          } else if (each.kind === 'advance') {
            clock.advance(each.ms);
          }
          const due = [...dueAt].filter(([, at]) => at <= clock.monotonic());
          expect(queue.depth).toBe(due.filter(([key]) => !running.has(key)).length);
          expect(queue.delayed).toBe(dueAt.size - due.length);
          expect(queue.running).toBe(running.size);
        }

        for (const key of running) queue.done(key);
        clock.advance(400_000);
        expect((await drain(queue)).sort()).toEqual([...dueAt.keys()].sort());
        expect(clock.nextTimerInMs, 'a timer was left behind').toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('hands every key out while many workers and adders run side by side', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(keyName, { maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        async (s, adds, workers) => {
          const { queue } = newQueue();
          const stop = new AbortController();
          const running = new Set<string>();
          const stale = new Set<string>();
          const work = async (): Promise<void> => {
            for (;;) {
              const key = await queue.next(stop.signal);
              expect(running.has(key)).toBe(false);
              running.add(key);
              stale.delete(key);
              await s.schedule(Promise.resolve(), `run ${key}`);
              running.delete(key);
              queue.done(key);
            }
          };
          const pool = Promise.allSettled(Array.from({ length: workers }, work));
          s.scheduleSequence(
            adds.map((key) => async () => {
              queue.add(key);
              stale.add(key);
            }),
          );
          await s.waitIdle();
          expect(stale, 'added and never handed out').toEqual(new Set());
          stop.abort();
          for (const result of await pool) {
            expect(result.status === 'rejected' && result.reason).toBe(stop.signal.reason);
          }
        },
      ),
    );
  });

  it('makes one run of many adds', async () => {
    const { queue } = newQueue();
    for (let i = 0; i < 100; i++) queue.add('a');
    expect(await drain(queue)).toEqual(['a']);
  });

  it('runs a key that is added during its run once more, afterwards', async () => {
    const { queue } = newQueue();
    queue.add('a');
    const key = await queue.next(never);
    queue.add('a');
    queue.add('a');
    expect(queue.depth).toBe(0);
    queue.done(key);
    expect(await drain(queue)).toEqual(['a']);
  });

  it.each<[string, EnqueueOptions[], number]>([
    ['the earliest of several due times', [{ afterMs: 500 }, { afterMs: 100 }, { afterMs: 300 }], 100],
    ['the first due time of a key that is added again and again', [{ afterMs: 100 }, { afterMs: 100 }], 100],
    ['now, when it is also added without a delay', [{ afterMs: 100 }, {}, { afterMs: 50 }], 0],
  ])('runs a key once, at %s', async (_when, adds, expectedMs) => {
    const { queue, clock } = newQueue();
    for (const options of adds) queue.add('a', options);
    if (expectedMs > 0) clock.advance(expectedMs - 1);
    expect(queue.depth).toBe(expectedMs > 0 ? 0 : 1);
    clock.advance(1);
    expect(await drain(queue)).toEqual(['a']);
    clock.advance(10_000);
    expect(queue.depth).toBe(0);
  });

  it('lets a hot key have one turn in a round, however often it comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5 }), async (others, addsPerRun) => {
        const { queue } = newQueue();
        queue.add('hot');
        for (let i = 0; i < others; i++) queue.add(`key-${i}`);
        const waiting = new Set(Array.from({ length: others }, (_, i) => `key-${i}`));
        for (let turn = 0; turn <= others; turn++) {
          const key = await queue.next(never);
          waiting.delete(key);
          if (key === 'hot') for (let i = 0; i < addsPerRun; i++) queue.add('hot');
          queue.done(key);
        }
        expect(waiting).toEqual(new Set());
      }),
    );
  });

  it('serves high priority first, yet gives normal keys one turn in nine under endless high ones', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 6 }), async (hot, normal) => {
        const { queue } = newQueue();
        for (let i = 0; i < normal; i++) queue.add(`normal-${i}`);
        for (let i = 0; i < hot; i++) queue.add(`high-${i}`, { priority: 'high' });
        const order: string[] = [];
        for (let turn = 0; turn < 9 * normal; turn++) {
          const key = await queue.next(never);
          order.push(key);
          if (key.startsWith('high')) queue.add(key, { priority: 'high' });
          queue.done(key);
        }
        expect(order[0]).toBe('high-0');
        expect(order.filter((key) => key.startsWith('normal'))).toEqual(
          Array.from({ length: normal }, (_, i) => `normal-${i}`),
        );
      }),
    );
  });

  it('moves a waiting key ahead when it is added again with high priority', async () => {
    const { queue } = newQueue();
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.add('c', { priority: 'high' });
    expect(await drain(queue)).toEqual(['c', 'a', 'b']);
  });

  it('keeps the high priority of a key whose time has not come', async () => {
    const { queue, clock } = newQueue();
    queue.add('late', { priority: 'high', afterMs: 100 });
    queue.add('late', { afterMs: 50 });
    queue.add('normal', { afterMs: 10 });
    clock.advance(60);
    expect(await drain(queue)).toEqual(['late', 'normal']);
  });

  it('ends a wait that is aborted and gives the key to the next one who waits', async () => {
    const { queue } = newQueue();
    const first = new AbortController();
    const aborted = queue.next(first.signal);
    const patient = queue.next(never);
    first.abort(new Error('enough'));
    queue.add('a');
    await expect(aborted).rejects.toThrow('enough');
    expect(await patient).toBe('a');
    await expect(queue.next(first.signal)).rejects.toThrow('enough');
  });

  it('refuses more keys than it may hold, and a key to be given back that is not out', () => {
    const queue = new WorkQueue({ maxKeys: 2 });
    queue.add('a');
    queue.add('b');
    queue.add('a');
    expect(() => queue.add('c')).toThrow(new RangeError('cannot queue "c": the queue already holds 2 keys'));
    expect(() => queue.done('a')).toThrow('done("a"): this key was not handed out');
  });
});
