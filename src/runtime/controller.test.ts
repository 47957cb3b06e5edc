import { describe, expect, it } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { ApiError } from '../kube/errors.ts';
import { Controller, type ControllerOptions, TerminalError } from './controller.ts';
import { Metrics } from './metrics.ts';

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

function newController(reconcile: ControllerOptions['reconcile'], concurrency = 1) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { log, lines } = captureLog();
  const controller = new Controller({
    name: 'module',
    reconcile,
    concurrency,
    log,
    metrics,
    clock,
    backoff: { random: () => 0 },
  });
  const stop = new AbortController();
  const sample = async (name: string): Promise<number> => {
    const line = (await metrics.registry.metrics()).split('\n').find((each) => each.startsWith(name));
    return Number(line?.split(' ').at(-1));
  };
  return { controller, clock, lines, sample, signal: stop.signal, stop: () => stop.abort(new Error('SIGTERM')) };
}

function conflict(): ApiError {
  return new ApiError({ attempted: 'update x', status: 409, reason: 'Conflict', sentence: 'changed meanwhile' });
}

describe('Controller', () => {
  it('reconciles what was enqueued before it ran and what comes later, each once', async () => {
    const seen: string[] = [];
    const { controller, signal, stop } = newController(async (key) => void seen.push(key));
    controller.enqueue('ns/a');
    controller.enqueue('ns/a');
    expect(controller.idle).toBe(false);
    const run = controller.run(signal);
    await settle();
    controller.enqueue('node-1');
    await settle();
    expect(seen).toEqual(['ns/a', 'node-1']);
    expect(controller.idle).toBe(true);
    stop();
    await run;
  });

  it('runs keys side by side up to its concurrency, and never one key twice at a time', async () => {
    const gates = new Map<string, () => void>();
    const running: string[] = [];
    const { controller, signal, stop } = newController(async (key) => {
      running.push(key);
      await new Promise<void>((resolve) => gates.set(key, resolve));
      running.splice(running.indexOf(key), 1);
    }, 2);
    const run = controller.run(signal);
    for (const key of ['a', 'b', 'c']) controller.enqueue(key);
    await settle();
    controller.enqueue('a');
    await settle();
    expect(running).toEqual(['a', 'b']);
    gates.get('b')?.();
    await settle();
    expect(running).toEqual(['a', 'c']);
    gates.get('a')?.();
    await settle();
    expect(running).toEqual(['c', 'a']);
    stop();
    for (const open of gates.values()) open();
    await run;
  });

  it('comes back to a key when its reconcile asks for it, and counts no failure', async () => {
    let runs = 0;
    const { controller, clock, signal, stop, sample } = newController(async () => {
      runs++;
      return runs === 1 ? { requeueAfterMs: 1_000 } : undefined;
    });
    controller.enqueue('a');
    const run = controller.run(signal);
    await settle();
    clock.advance(999);
    await settle();
    expect(runs).toBe(1);
    clock.advance(1);
    await settle();
    expect(runs).toBe(2);
    expect(await sample('controller_runtime_reconcile_total{controller="module",result="requeue_after"}')).toBe(1);
    expect(await sample('controller_runtime_reconcile_total{controller="module",result="success"}')).toBe(1);
    expect(await sample('workqueue_retries_total')).toBe(0);
    stop();
    await run;
  });

  it('tries a key that fails again after 5, 10, 20 ms, and from 5 ms again after it has succeeded', async () => {
    const at: number[] = [];
    const { controller, clock, signal, stop } = newController(async () => {
      at.push(clock.monotonic());
      if (at.length !== 4) throw new Error('not yet');
    });
    controller.enqueue('a');
    const run = controller.run(signal);
    const passTime = async (): Promise<void> => {
      for (let ms = 0; ms < 100; ms++) {
        await settle();
        clock.advance(1);
      }
    };
    await passTime();
    expect(at).toEqual([0, 5, 15, 35]);
    controller.enqueue('a');
    await settle();
    clock.advance(5);
    await settle();
    expect(at.slice(4)).toEqual([100, 105]);
    stop();
    await run;
  });

  it('logs failures with constant messages and keys: what varies stands in namespace, name, err, never in the text', async () => {
    const errors: Record<string, Error> = {
      'ns/a': new Error('one thing'),
      node: new Error('another'),
      'ns/b': new TerminalError('no hope'),
      'ns/c': conflict(),
    };
    const { controller, lines, signal, stop } = newController(async (key, { log }) => {
      log.info('looking');
      throw errors[key] ?? new Error('?');
    });
    for (const key of Object.keys(errors)) controller.enqueue(key);
    const run = controller.run(signal);
    await settle();
    const told = lines.filter(({ msg }) => msg !== 'looking');
    expect(
      told.map(({ level, msg, controller, namespace, name }) => ({ level, msg, controller, namespace, name })),
    ).toEqual([
      { level: 'error', msg: 'reconcile failed', controller: 'module', namespace: 'ns', name: 'a' },
      { level: 'error', msg: 'reconcile failed', controller: 'module', namespace: undefined, name: 'node' },
      { level: 'error', msg: 'reconcile failed and is not retried', controller: 'module', namespace: 'ns', name: 'b' },
      // Nobody can act on a conflict, so it is no error.
      {
        level: 'debug',
        msg: 'reconcile met a conflict and is retried',
        controller: 'module',
        namespace: 'ns',
        name: 'c',
      },
    ]);
    const ids = lines.map(({ reconcileID }) => reconcileID);
    // The lines of one reconcile share its id; no two reconciles do.
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toBe(ids[1]);
    stop();
    await run;
  });

  it('does not come back by itself to a key whose failure no retry can mend, and does for its next change', async () => {
    let runs = 0;
    const { controller, clock, signal, stop, sample } = newController(async () => {
      runs++;
      throw new TerminalError('no hope');
    });
    controller.enqueue('a');
    const run = controller.run(signal);
    await settle();
    clock.advance(3_600_000);
    await settle();
    expect(runs).toBe(1);
    controller.enqueue('a');
    await settle();
    expect(runs).toBe(2);
    expect(await sample('controller_runtime_terminal_reconcile_errors_total')).toBe(2);
    expect(await sample('controller_runtime_reconcile_errors_total')).toBe(2);
    stop();
    await run;
  });

  it('on a stop lets the run that is under way end, starts no other, and leaves no timer', async () => {
    const gate = Promise.withResolvers<void>();
    const seen: string[] = [];
    let aborted: boolean | undefined;
    const { controller, clock, signal, stop } = newController(async (key, context) => {
      seen.push(key);
      await gate.promise;
      aborted = context.signal.aborted;
    });
    controller.enqueue('a');
    controller.enqueue('b');
    controller.enqueue('later', { afterMs: 1_000 });
    let ended = false;
    const run = controller.run(signal).finally(() => {
      ended = true;
    });
    await settle();
    stop();
    await settle();
    expect(ended).toBe(false);
    gate.resolve();
    await run;
    expect(seen).toEqual(['a']);
    expect(aborted).toBe(true);
    expect(clock.nextTimerInMs).toBeUndefined();
  });

  it('takes a reconcile that the stop cut short neither as a failure nor as a success', async () => {
    const { controller, lines, signal, stop } = newController(
      (_key, context) =>
        new Promise((_resolve, reject) => {
          context.signal.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    );
    controller.enqueue('a');
    const run = controller.run(signal);
    await settle();
    stop();
    await run;
    expect(lines).toEqual([]);
  });

  it('refuses to run twice at a time', async () => {
    const { controller, signal, stop } = newController(async () => undefined);
    const run = controller.run(signal);
    await expect(controller.run(signal)).rejects.toThrow('controller module is running already');
    stop();
    await run;
  });
});
