import { describe, expect, it } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import type { Event } from '../kube/core.ts';
import { ApiError } from '../kube/errors.ts';
import { abortReason } from './clock.ts';
import { type EventClient, type EventRecord, EventRecorder } from './event-recorder.ts';

const MINUTE = 60_000;

const module = { apiVersion: 'kmm.sigs.x-k8s.io/v1beta1', kind: 'Module', namespace: 'ns', name: 'm', uid: 'u' };

function record(parts: Partial<EventRecord> = {}): EventRecord {
  return { regarding: module, type: 'Normal', reason: 'Loaded', message: 'It is loaded.', ...parts };
}

function refusal(status: number, sentence: string): ApiError {
  return new ApiError({ attempted: 'create events', status, reason: 'X', sentence });
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 300; turn++) await Promise.resolve();
}

interface Patched {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly body: unknown;
}

function newRecorder() {
  const created: Event[] = [];
  const patched: Patched[] = [];
  /** What the server says to the next requests; undefined is yes. */
  const answers: (Error | 'silence' | undefined)[] = [];
  let requests = 0;
  const answer = async (signal: AbortSignal | undefined): Promise<void> => {
    requests++;
    const next = answers.shift();
    if (next === 'silence') {
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
      });
    }
    if (next instanceof Error) throw next;
  };
  const client: EventClient = {
    create: async (_resource, body, options) => {
      await answer(options?.signal);
      created.push(JSON.parse(JSON.stringify(body)));
      return body;
    },
    patch: async (_resource, { name, namespace }, { body }, options) => {
      await answer(options?.signal);
      patched.push({ name, namespace, body });
      return JSON.parse('{}');
    },
  };
  const clock = new ManualClock();
  const { log, lines } = captureLog();
  const recorder = new EventRecorder({ client, component: 'kmm', instance: 'pod-1', log, clock });
  return { recorder, clock, lines, created, patched, answers, requests: () => requests };
}

describe('EventRecorder', () => {
  it('makes one Event of the same words about the same object, and brings its count up to date after 5 minutes', async () => {
    const { recorder, clock, created, patched } = newRecorder();
    for (let i = 0; i < 10; i++) recorder.record(record());
    await settle();
    expect(created).toMatchObject([{ count: 1, reason: 'Loaded', message: 'It is loaded.' }]);
    clock.advance(MINUTE);
    for (let i = 0; i < 5; i++) recorder.record(record());
    await settle();
    expect(patched).toEqual([]);
    clock.advance(4 * MINUTE);
    await settle();
    expect(patched).toEqual([
      {
        name: created[0]?.metadata.name,
        namespace: 'ns',
        body: { count: 15, lastTimestamp: '2026-01-01T00:01:00Z' },
      },
    ]);
    clock.advance(60 * MINUTE);
    await settle();
    expect(patched, 'nothing new was said').toHaveLength(1);
  });

  it.each<[string, Partial<EventRecord>]>([
    ['type', { type: 'Warning' }],
    ['reason', { reason: 'Failed' }],
    ['message', { message: 'It is not.' }],
    ['object', { regarding: { ...module, name: 'n' } }],
    ['uid, being recreated', { regarding: { ...module, uid: 'v' } }],
  ])('makes another Event for another %s', async (_what, parts) => {
    const { recorder, created } = newRecorder();
    recorder.record(record());
    recorder.record(record(parts));
    await settle();
    expect(created).toHaveLength(2);
    expect(created[0]?.metadata.name).not.toBe(created[1]?.metadata.name);
  });

  it('writes 25 Events about one object and then one more every 5 minutes; other objects have their own', async () => {
    const { recorder, clock, created } = newRecorder();
    for (let i = 0; i < 40; i++) recorder.record(record({ message: `${i}` }));
    recorder.record(record({ regarding: { ...module, name: 'other' } }));
    await settle();
    expect(created).toHaveLength(26);
    clock.advance(5 * MINUTE);
    recorder.record(record({ message: 'after five minutes' }));
    recorder.record(record({ message: 'and another' }));
    await settle();
    expect(created.map(({ message }) => message).slice(26)).toEqual(['after five minutes']);
  });

  it('cuts a message that is too long, and knows it as the same again', async () => {
    const { recorder, created } = newRecorder();
    recorder.record(record({ message: '世'.repeat(1_000) }));
    recorder.record(record({ message: '世'.repeat(1_000) }));
    await settle();
    expect(created).toHaveLength(1);
    expect(created[0]?.message).toBe(`${'世'.repeat(340)}...`);
  });

  it('goes on counting in a new Event when the old one has expired', async () => {
    const { recorder, clock, created, answers } = newRecorder();
    recorder.record(record());
    await settle();
    recorder.record(record());
    answers.push(refusal(404, 'events "m.1" not found'));
    clock.advance(5 * MINUTE);
    await settle();
    expect(created.map(({ count }) => count)).toEqual([1, 2]);
  });

  it.each([
    [
      'is being deleted',
      refusal(403, 'forbidden: unable to create new content in namespace ns because it is being terminated'),
    ],
    ['is gone', refusal(404, 'namespaces "ns" not found')],
  ])('takes it as no error that the namespace %s', async (_what, error) => {
    const { recorder, lines, created, answers, requests } = newRecorder();
    answers.push(error);
    recorder.record(record());
    await settle();
    expect([requests(), created]).toEqual([1, []]);
    expect(lines.map(({ level, msg }) => ({ level, msg }))).toEqual([
      { level: 'debug', msg: 'event dropped: its namespace is going' },
    ]);
  });

  it('tries again after 1, 5 and 15 s when the server cannot take it, and then drops it with one line', async () => {
    const { recorder, clock, lines, answers, requests } = newRecorder();
    const down = refusal(503, 'not now');
    answers.push(new Error('connect ECONNREFUSED'), down, down, down);
    recorder.record(record());
    const seen: number[] = [];
    for (const seconds of [0, 1, 5, 15, 60]) {
      clock.advance(seconds * 1_000);
      await settle();
      seen.push(requests());
    }
    expect(seen).toEqual([1, 2, 3, 4, 4]);
    expect(lines).toMatchObject([{ level: 'warn', msg: 'event dropped: it could not be written', err: { code: 503 } }]);
  });

  it('does not try again what the server refuses', async () => {
    const { recorder, clock, lines, answers, requests } = newRecorder();
    answers.push(refusal(403, 'you may not'));
    recorder.record(record());
    await settle();
    clock.advance(60_000);
    await settle();
    expect(requests()).toBe(1);
    expect(lines).toMatchObject([{ level: 'warn', msg: 'event dropped: it could not be written' }]);
  });

  it('keeps a thousand Events waiting at most, and says when it drops one', async () => {
    const { recorder, lines, answers } = newRecorder();
    answers.push('silence');
    for (let i = 0; i < 1_010; i++) recorder.record(record({ regarding: { ...module, name: `m-${i}` } }));
    await settle();
    const dropped = lines.filter(({ msg }) => msg === 'event dropped: too many are waiting to be written');
    // One is out with the server, so one more fits.
    expect(dropped).toHaveLength(9);
  });

  // The name was cut in the middle: what ended in a dash or a dot then made a name that the server refuses.
  it('names the Event after an object with the longest of names, cut where a name may end', async () => {
    const { recorder, created } = newRecorder();
    const name = `${'n'.repeat(228)}-.${'n'.repeat(20)}`;
    recorder.record(record({ regarding: { ...module, name } }));
    await settle();
    expect(created[0]?.metadata.name).toMatch(/^n{228}\.[0-9a-f]+$/);
    expect(created[0]?.involvedObject.name).toBe(name);
  });

  describe('flush', () => {
    it('waits until everything is written, and leaves no timer', async () => {
      const { recorder, clock, created } = newRecorder();
      for (let i = 0; i < 20; i++) recorder.record(record({ message: `${i}` }));
      await recorder.flush(new AbortController().signal);
      expect(created).toHaveLength(20);
      recorder.record(record({ message: '0' }));
      expect(clock.nextTimerInMs).toBeUndefined();
    });

    it('gives each Event one try only when the server does not take it', async () => {
      const { recorder, answers, requests, clock } = newRecorder();
      answers.push(new Error('down'), new Error('down'), new Error('down'));
      recorder.record(record({ message: 'a' }));
      recorder.record(record({ message: 'b' }));
      await settle();
      // The first waits for its second try; the flush ends that wait.
      await recorder.flush(new AbortController().signal);
      expect(requests()).toBe(3);
      expect(clock.nextTimerInMs).toBeUndefined();
    });

    it('drops the rest when its signal aborts', async () => {
      const { recorder, answers, requests } = newRecorder();
      answers.push('silence');
      recorder.record(record({ message: 'a' }));
      recorder.record(record({ message: 'b' }));
      const stop = new AbortController();
      const flushed = recorder.flush(stop.signal);
      await settle();
      stop.abort(new Error('time is over'));
      await flushed;
      await settle();
      expect(requests()).toBe(1);
    });

    it('has nothing to wait for when nothing was recorded', async () => {
      const { recorder, requests } = newRecorder();
      await recorder.flush(new AbortController().signal);
      expect(requests()).toBe(0);
    });
  });
});
