import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { deadlineIn } from './deadline.ts';

const DAY_MS = 24 * 3_600_000;

/** Those of the test runner stay as they are. */
const before = { SIGINT: process.listeners('SIGINT'), SIGTERM: process.listeners('SIGTERM') };

function ours(name: keyof typeof before) {
  return process.listeners(name).filter((listener) => !before[name].includes(listener));
}

afterEach(() => {
  vi.useRealTimers();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    for (const listener of ours(name)) process.removeListener(name, listener);
});

describe('the deadline of a command', () => {
  it.each([1, 0.5, 20.25])('in %d ms is over soon, and its signal says so', async (ms) => {
    const { signal, isOver } = deadlineIn(ms);
    expect(isOver()).toBe(false);
    await once(signal, 'abort');
    expect({ aborted: signal.aborted, over: isOver() }).toEqual({ aborted: true, over: true });
  });

  it.each([60_000, 2 ** 31, 30 * DAY_MS + 0.5, 100 * 365 * DAY_MS])('in %d ms is not over at once', async (ms) => {
    const { signal, isOver } = deadlineIn(ms);
    await delay(50);
    expect({ aborted: signal.aborted, over: isOver() }).toEqual({ aborted: false, over: false });
  });

  it('in more days than a timer of Node can count is over after these days', () => {
    vi.useFakeTimers();
    const { signal, isOver } = deadlineIn(60 * DAY_MS);
    vi.advanceTimersByTime(60 * DAY_MS - 1);
    expect(isOver()).toBe(false);
    vi.advanceTimersByTime(1);
    expect({ aborted: signal.aborted, over: isOver() }).toEqual({ aborted: true, over: true });
  });

  it('is not over when somebody interrupts the command, which aborts as well', () => {
    const { signal, isOver } = deadlineIn(60_000);
    for (const listener of ours('SIGTERM')) listener('SIGTERM');
    expect({ aborted: signal.aborted, over: isOver() }).toEqual({ aborted: true, over: false });
  });
});
