import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INITIAL_MACHINE, nextWatch, type WatchInput, type WatchMachine, type WatchState } from './watch.ts';

const STREAMING: WatchState = { name: 'streaming' };
const LISTING: WatchState = { name: 'listing' };
const SECOND_PAGE: WatchState = { name: 'listing', continueToken: 'p2' };
const WATCHING: WatchState = { name: 'watching', resourceVersion: '10' };

function machineIn(state: WatchState, rest: Partial<WatchMachine> = {}): WatchMachine {
  return { ...INITIAL_MACHINE, state, ...rest };
}

describe('the watch machine', () => {
  test('starts with a streamed list', () => {
    expect(INITIAL_MACHINE.state).toEqual(STREAMING);
  });

  test.each<[string, WatchMachine, WatchInput, WatchState]>([
    [
      'the end of a streamed list goes on watching',
      machineIn(STREAMING),
      { type: 'initial-events-end', resourceVersion: '7' },
      { name: 'watching', resourceVersion: '7' },
    ],
    ['a server that does not stream lists is asked for pages', machineIn(STREAMING), { type: 'refused' }, LISTING],
    [
      'a page with more behind it asks for the next one',
      machineIn(LISTING),
      { type: 'page', resourceVersion: '7', continueToken: 'p2' },
      SECOND_PAGE,
    ],
    [
      'the last page goes on watching from it',
      machineIn(SECOND_PAGE),
      { type: 'page', resourceVersion: '7' },
      { name: 'watching', resourceVersion: '7' },
    ],
    [
      'news moves on the place to resume from',
      machineIn(WATCHING),
      { type: 'told', resourceVersion: '11' },
      { name: 'watching', resourceVersion: '11' },
    ],
    [
      'a bookmark from behind never moves it back',
      machineIn(WATCHING),
      { type: 'told', resourceVersion: '9' },
      WATCHING,
    ],
    [
      'events before the list is whole are no place to resume from',
      machineIn(STREAMING),
      { type: 'told', resourceVersion: '11' },
      STREAMING,
    ],
    [
      'a watch that ends in order resumes at once',
      machineIn(WATCHING),
      { type: 'ended', lastedMs: 1_000, toldAnything: false },
      WATCHING,
    ],
    [
      'a short watch that told something resumes at once',
      machineIn(WATCHING),
      { type: 'ended', lastedMs: 5, toldAnything: true },
      WATCHING,
    ],
    ['a resourceVersion that is forgotten lists again at once', machineIn(WATCHING), { type: 'gone' }, STREAMING],
    ['and in pages where lists are not streamed', machineIn(WATCHING, { streams: false }), { type: 'gone' }, LISTING],
    [
      'silence resumes at once, having taken its time',
      machineIn(WATCHING, { failures: 3 }),
      { type: 'idle' },
      WATCHING,
    ],
    ['silence within a streamed list begins it anew', machineIn(STREAMING), { type: 'idle' }, STREAMING],
    ['silence within a page asks for it again', machineIn(SECOND_PAGE), { type: 'idle' }, SECOND_PAGE],
  ])('%s', (_, machine, input, state) => {
    expect(nextWatch(machine, input, 0.5).state).toEqual(state);
  });

  test.each<[string, WatchMachine, WatchInput, WatchState]>([
    [
      'a watch that ends at once and tells nothing',
      machineIn(WATCHING),
      { type: 'ended', lastedMs: 999, toldAnything: false },
      WATCHING,
    ],
    [
      'a streamed list that ends before it is whole',
      machineIn(STREAMING),
      { type: 'ended', lastedMs: 60_000, toldAnything: false },
      STREAMING,
    ],
    ['a connection that breaks', machineIn(WATCHING), { type: 'failed', lastedMs: 60_000 }, WATCHING],
    ['a page that fails is asked for again', machineIn(SECOND_PAGE), { type: 'failed', lastedMs: 0 }, SECOND_PAGE],
    [
      'a token that is forgotten begins the list anew',
      machineIn(SECOND_PAGE, { streams: false }),
      { type: 'gone' },
      LISTING,
    ],
    ['a streamed list that is told it is gone', machineIn(STREAMING), { type: 'gone' }, STREAMING],
    ['a second 410 with no news in between', machineIn(WATCHING, { failures: 1 }), { type: 'gone' }, STREAMING],
    [
      'a request that the server calls invalid although nothing is streamed',
      machineIn(WATCHING),
      { type: 'refused' },
      WATCHING,
    ],
  ])('%s backs off first', (_, machine, input, next) => {
    const backingOff = nextWatch(machine, input, 0.5);
    expect(backingOff.state).toMatchObject({ name: 'backing-off', next });
    expect(backingOff.failures).toBeGreaterThan(0);
    expect(nextWatch(backingOff, { type: 'waited' }, 0.5).state).toEqual(next);
  });

  test('a server that refused to stream a list is not asked for one again', () => {
    const refused = nextWatch(INITIAL_MACHINE, { type: 'refused' }, 0);
    const watching = nextWatch(refused, { type: 'page', resourceVersion: '5' }, 0);
    expect(nextWatch(watching, { type: 'gone' }, 0).state).toEqual(LISTING);
  });

  test('delays double from 0.2 s to 20 s, with up to half as much again by chance, and news starts them anew', () => {
    const failed: WatchInput = { type: 'failed', lastedMs: 0 };
    const delays: number[] = [];
    let machine = machineIn(WATCHING);
    for (let failure = 0; failure < 10; failure++) {
      machine = nextWatch(machine, failed, 0);
      if (machine.state.name === 'backing-off') delays.push(machine.state.delayMs);
      machine = nextWatch(machine, { type: 'waited' }, 0);
    }
    expect(delays).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
    machine = nextWatch(machine, { type: 'told', resourceVersion: '11' }, 0);
    expect(nextWatch(machine, failed, 0.5).state).toMatchObject({ delayMs: 250 });
  });

  test('a connection that lived a second before it broke starts the delays anew', () => {
    const machine = machineIn(WATCHING, { failures: 6 });
    expect(nextWatch(machine, { type: 'failed', lastedMs: 1_000 }, 0).state).toMatchObject({ delayMs: 200 });
    expect(nextWatch(machine, { type: 'failed', lastedMs: 999 }, 0).state).toMatchObject({ delayMs: 12_800 });
  });

  test('the server may ask for a longer delay, up to 30 s', () => {
    const ask = (retryAfterMs: number) =>
      nextWatch(machineIn(WATCHING), { type: 'failed', lastedMs: 0, retryAfterMs }, 0).state;
    expect(ask(1_000)).toMatchObject({ delayMs: 1_000 });
    expect(ask(3_600_000)).toMatchObject({ delayMs: 30_000 });
    expect(ask(10)).toMatchObject({ delayMs: 200 });
  });

  test('whatever happens, there is a request to make after at most 30 s, and the place to resume from never moves back', () => {
    const lastedMs = fc.constantFrom(0, 5_000);
    const resourceVersion = fc.nat(50).map(String);
    const input = fc.oneof<fc.Arbitrary<WatchInput>[]>(
      fc.record({ type: fc.constant('told' as const), resourceVersion }),
      fc.record({ type: fc.constant('ended' as const), lastedMs, toldAnything: fc.boolean() }),
      fc.record({ type: fc.constant('failed' as const), lastedMs, retryAfterMs: fc.nat(100_000) }),
      fc.constantFrom<WatchInput>({ type: 'refused' }, { type: 'idle' }, { type: 'waited' }),
    );
    fc.assert(
      fc.property(fc.array(input), fc.double({ min: 0, max: 0.99, noNaN: true }), (inputs, random) => {
        let machine = machineIn(WATCHING);
        let from = 10;
        for (const each of inputs) {
          machine = nextWatch(machine, each, random);
          if (machine.state.name === 'backing-off') {
            expect(machine.state.delayMs).toBeGreaterThanOrEqual(200);
            expect(machine.state.delayMs).toBeLessThanOrEqual(30_000);
            machine = nextWatch(machine, { type: 'waited' }, random);
          }
          expect(machine.state.name).toBe('watching');
          if (machine.state.name !== 'watching') return;
          expect(Number(machine.state.resourceVersion)).toBeGreaterThanOrEqual(from);
          from = Number(machine.state.resourceVersion);
        }
      }),
    );
  });
});
