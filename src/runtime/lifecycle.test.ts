import { describe, expect, it } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { type Component, runComponents } from './lifecycle.ts';

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Lets everything happen that waits for nothing but promises. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

interface World {
  /** What happened, in order. */
  readonly story: string[];
  readonly component: (name: string, parts?: Partial<Component>) => Component;
}

/** Components that tell when they start, run and stop. */
function newWorld(): World {
  const story: string[] = [];
  return {
    story,
    component: (name, parts = {}) => ({
      name,
      start: async () => void story.push(`start ${name}`),
      run: async (signal) => {
        story.push(`run ${name}`);
        await aborted(signal);
        story.push(`end ${name}`);
      },
      stop: async () => void story.push(`stop ${name}`),
      ...parts,
    }),
  };
}

function run(components: readonly Component[]) {
  const { log, lines } = captureLog();
  const clock = new ManualClock();
  const stop = new AbortController();
  const code = runComponents(components, stop.signal, { log, clock, drainTimeoutMs: 9_000 });
  const messages = (level?: string): unknown[] =>
    lines.filter((line) => level === undefined || line['level'] === level).map(({ msg }) => msg);
  return { code, stop: () => stop.abort('SIGTERM'), clock, lines, messages };
}

describe('runComponents', () => {
  it('starts in order, and on a signal ends and stops each in the reverse order, with exit code 0', async () => {
    const { story, component } = newWorld();
    const { code, stop, lines, messages, clock } = run([component('a'), component('b')]);
    await settle();
    expect(story).toEqual(['start a', 'run a', 'start b', 'run b']);
    stop();
    expect(await code).toBe(0);
    expect(story.slice(4)).toEqual(['end b', 'stop b', 'end a', 'stop a']);
    expect(messages()).toEqual(['stopping', 'stopped']);
    expect(lines[0]).toMatchObject({ signal: 'SIGTERM' });
    expect(clock.nextTimerInMs, 'the timer of the shutdown is left').toBeUndefined();
  });

  it('starts a component only when the one before is ready', async () => {
    const { story, component } = newWorld();
    const ready = Promise.withResolvers<void>();
    const { code, stop } = run([component('a', { start: () => ready.promise }), component('b')]);
    await settle();
    expect(story).toEqual([]);
    ready.resolve();
    await settle();
    expect(story).toEqual(['run a', 'start b', 'run b']);
    stop();
    expect(await code).toBe(0);
  });

  it('cuts a start short on a signal, starts nothing more, and stops what was half started too', async () => {
    const { story, component } = newWorld();
    const start = async (signal: AbortSignal): Promise<void> => {
      await aborted(signal);
      throw signal.reason;
    };
    const { code, stop, messages } = run([component('a'), component('b', { start }), component('c')]);
    await settle();
    stop();
    expect(await code).toBe(0);
    expect(story).toEqual(['start a', 'run a', 'stop b', 'end a', 'stop a']);
    expect(messages()).toEqual(['stopping', 'stopped']);
  });

  it.each<[string, Partial<Component>, string]>([
    [
      'cannot start',
      {
        start: async () => {
          throw new Error('port taken');
        },
      },
      'cannot start b: port taken',
    ],
    [
      'fails',
      {
        run: async () => {
          throw new Error('out of luck');
        },
      },
      'b failed: out of luck',
    ],
    ['ends by itself', { run: async () => undefined }, 'b ended, though nobody stopped it'],
  ])('stops everything with exit code 1 and one line when a component %s', async (_what, parts, said) => {
    const { story, component } = newWorld();
    const { code, lines } = run([component('a'), component('b', parts)]);
    expect(await code).toBe(1);
    expect(story.slice(-3)).toEqual(['stop b', 'end a', 'stop a']);
    expect(lines.map(({ level, msg }) => ({ level, msg }))).toEqual([
      { level: 'fatal', msg: 'stopping after a failure' },
    ]);
    expect(lines[0]).toMatchObject({ err: { message: said } });
  });

  it('waits for work that drains', async () => {
    const { component } = newWorld();
    const drained = Promise.withResolvers<void>();
    const { code, stop, clock } = run([
      component('a', {
        run: async (signal) => {
          await aborted(signal);
          await drained.promise;
        },
      }),
    ]);
    await settle();
    stop();
    await settle();
    clock.advance(8_999);
    drained.resolve();
    expect(await code).toBe(0);
  });

  it('gives up on work that does not end, says which it is, and ends with exit code 1 in time', async () => {
    const { story, component } = newWorld();
    const { code, stop, lines, clock } = run([
      component('a'),
      component('stuck', { run: () => new Promise(() => undefined) }),
    ]);
    await settle();
    stop();
    await settle();
    clock.advance(9_000);
    expect(await code).toBe(1);
    expect(lines.at(-1)).toMatchObject({
      level: 'error',
      component: 'stuck',
      msg: 'shutdown took too long and was cut short',
    });
    expect(story).not.toContain('end a');
  });

  it('tells a stop that takes too long, by its signal, that the time is over', async () => {
    const { component } = newWorld();
    let told: unknown;
    const stopSlowly = async (signal: AbortSignal): Promise<void> => {
      await aborted(signal);
      told = signal.reason;
    };
    const { code, stop, clock } = run([component('a', { stop: stopSlowly })]);
    await settle();
    stop();
    await settle();
    clock.advance(9_000);
    expect(await code).toBe(1);
    expect(told).toEqual(new Error('the shutdown took longer than 9000 ms'));
  });

  it('goes on stopping the others when one does not stop cleanly', async () => {
    const { story, component } = newWorld();
    const stopBadly = async (): Promise<void> => {
      throw new Error('stuck valve');
    };
    const { code, stop, messages } = run([component('a'), component('b', { stop: stopBadly })]);
    await settle();
    stop();
    expect(await code).toBe(0);
    expect(story.slice(-2)).toEqual(['end a', 'stop a']);
    expect(messages('error')).toEqual(['component did not stop cleanly']);
  });

  it('takes work that ends with the reason it was aborted with as ended, and any other error as worth a line', async () => {
    const { component } = newWorld();
    const rethrow = async (signal: AbortSignal): Promise<void> => {
      await aborted(signal);
      throw signal.reason;
    };
    const failLate = async (signal: AbortSignal): Promise<void> => {
      await aborted(signal);
      throw new Error('lost a write');
    };
    const { code, stop, lines } = run([component('quiet', { run: rethrow }), component('loud', { run: failLate })]);
    await settle();
    stop();
    expect(await code).toBe(0);
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      { component: 'loud', err: { message: 'lost a write' } },
    ]);
  });

  it('stops at once when it was asked to before it began', async () => {
    const { story, component } = newWorld();
    const { log } = captureLog();
    const code = await runComponents([component('a')], AbortSignal.abort('SIGINT'), { log, clock: new ManualClock() });
    expect(code).toBe(0);
    expect(story).not.toContain('run a');
  });
});
