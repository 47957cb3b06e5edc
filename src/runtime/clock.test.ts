import { describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { abortReason, sleep, systemClock } from './clock.ts';

describe('sleep', () => {
  it('ends when the time is over and leaves no listener at the signal', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const slept = sleep(clock, 100, signal);
    clock.advance(99);
    expect(clock.nextTimerInMs).toBe(1);
    clock.advance(1);
    await slept;
    expect(remove).toHaveBeenCalledOnce();
  });

  it('throws the reason as soon as the signal aborts and leaves no timer behind', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 100, abort.signal);
    abort.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    expect(clock.nextTimerInMs).toBeUndefined();
    await expect(sleep(clock, 100, abort.signal)).rejects.toThrow('enough');
    expect(clock.nextTimerInMs).toBeUndefined();
  });
});

it('abortReason gives an Error also for a signal that was aborted with something else', () => {
  expect(abortReason(AbortSignal.abort('SIGTERM'))).toEqual(new Error('aborted', { cause: 'SIGTERM' }));
});

describe('systemClock', () => {
  it('fires a timer once, and not one that was cancelled', async () => {
    vi.useFakeTimers();
    try {
      const fire = vi.fn();
      const cancelled = vi.fn();
      systemClock.setTimer(fire, 1_000);
      systemClock.setTimer(cancelled, 1_000)();
      vi.advanceTimersByTime(999);
      expect(fire).not.toHaveBeenCalled();
      vi.advanceTimersByTime(10_000);
      expect(fire).toHaveBeenCalledOnce();
      expect(cancelled).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });

  it('waits out a timer of 60 days, which Node would fire at once, and can cancel it on the way', () => {
    const day = 24 * 3_600_000;
    vi.useFakeTimers();
    try {
      const fire = vi.fn();
      const cancelled = vi.fn();
      systemClock.setTimer(fire, 60 * day);
      const cancel = systemClock.setTimer(cancelled, 60 * day);
      vi.advanceTimersByTime(59 * day);
      expect(fire).not.toHaveBeenCalled();
      cancel();
      vi.advanceTimersByTime(day);
      expect(fire).toHaveBeenCalledOnce();
      expect(cancelled).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('ManualClock', () => {
  it('fires timers in the order of their time, also those that a timer sets, and moves both clocks alike', () => {
    const clock = new ManualClock(1_000);
    const fired: string[] = [];
    const note = (what: string): void => void fired.push(`${what} at ${clock.monotonic()}`);
    clock.setTimer(() => note('b'), 20);
    clock.setTimer(() => {
      note('a');
      clock.setTimer(() => note('inner'), 5);
    }, 10);
    clock.setTimer(() => note('b, set later'), 20);
    clock.setTimer(() => note('far'), 500);
    clock.advance(30);
    expect(fired).toEqual(['a at 10', 'inner at 15', 'b at 20', 'b, set later at 20']);
    expect([clock.now(), clock.monotonic(), clock.nextTimerInMs]).toEqual([1_030, 30, 470]);
  });
});
