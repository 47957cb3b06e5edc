import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type Answer,
  added,
  anObject,
  bookmark,
  deleted,
  errorEvent,
  initialEventsEnd,
  modified,
  ScriptedServer,
} from '../../test/harness/scripted-server.ts';
import * as core from './core.ts';
import { ApiError } from './errors.ts';
import type { KubeObject } from './objects.ts';
import { defineResource, type Resource } from './resources.ts';
import { Watcher, type WatchSink } from './watcher.ts';

const THINGS = defineResource({ group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: false });
const THINGS_WITHOUT_BOOKMARKS = defineResource({ ...THINGS, withoutBookmarks: true });

/** Writes down what it is told, in order. */
class Minutes implements WatchSink<KubeObject> {
  readonly lines: string[] = [];
  refuses: string | undefined;

  listStarted = (): void => void this.lines.push('list');
  listed = (object: KubeObject): void => this.#note('listed', object);
  unlisted = (object: KubeObject): void => this.#note('unlisted', object);
  listFinished = (resourceVersion: string): void => void this.lines.push(`finished ${resourceVersion}`);
  told = (object: KubeObject): void => this.#note('told', object);
  toldDeleted = (object: KubeObject): void => this.#note('deleted', object);
  toldBookmark = (resourceVersion: string): void => void this.lines.push(`bookmark ${resourceVersion}`);

  #note(what: string, { metadata }: KubeObject): void {
    if (this.refuses === metadata.name) throw new Error(`cannot take ${metadata.name}`);
    this.lines.push(`${what} ${metadata.name}@${metadata.resourceVersion}`);
  }
}

interface Followed {
  readonly server: ScriptedServer;
  readonly minutes: Minutes;
  readonly watcher: Watcher<KubeObject>;
  readonly interruptions: readonly string[];
  readonly stop: () => Promise<void>;
}

const stops: (() => Promise<void>)[] = [];

/** Follows the script; time stands still until a test moves it. */
async function follow(
  script: readonly Answer[],
  minutes = new Minutes(),
  resource: Resource<KubeObject> = THINGS,
): Promise<Followed> {
  const server = new ScriptedServer(...script);
  const interruptions: string[] = [];
  const watcher = new Watcher<KubeObject>({
    client: server,
    resource,
    sink: minutes,
    idleTimeoutMs: 2_000,
    random: () => 0,
    onInterruption: ({ reason }, retryInMs) => interruptions.push(`${reason}, again in ${retryInMs}`),
  });
  const end = new AbortController();
  const running = watcher.run(end.signal);
  const stop = async (): Promise<void> => {
    end.abort();
    await running;
  };
  stops.push(stop);
  await vi.advanceTimersByTimeAsync(0);
  return { server, minutes, watcher, interruptions, stop };
}

function refusal(status: number, reason: string, retryAfterMs?: number): Answer {
  return { error: new ApiError({ attempted: 'watch things', status, reason, sentence: reason, retryAfterMs }) };
}

const gone = (): Answer => ({ lines: [errorEvent(410, 'Expired')], end: 'in order' });

const synced = (...rest: readonly (string | number | object)[]): readonly (string | number | object)[] => [
  added('a', 5),
  initialEventsEnd(10),
  ...rest,
];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  expect(vi.getTimerCount(), 'timers left behind').toBe(0);
  vi.useRealTimers();
});

describe('a streamed list', () => {
  test('is whole at its bookmark, and the same connection goes on as the watch', async () => {
    const { server, minutes } = await follow([
      {
        lines: [added('a', 5), bookmark(3), added('b', 6), deleted('a', 7), ...synced(modified('b', 11))],
        end: 'hangs',
      },
    ]);
    expect(minutes.lines).toEqual([
      'list',
      'listed a@5',
      'listed b@6',
      'unlisted a@7',
      'listed a@5',
      'finished 10',
      'told b@11',
    ]);
    expect(server.requests).toEqual(['stream']);
  });

  test('that breaks off before it is whole begins anew, and what came of it is void', async () => {
    const { server, minutes, interruptions } = await follow([
      { lines: [added('gone', 4)], end: 'by a reset' },
      { lines: synced(), end: 'hangs' },
    ]);
    await vi.advanceTimersByTimeAsync(200);
    expect(minutes.lines).toEqual(['list', 'listed gone@4', 'list', 'listed a@5', 'finished 10']);
    expect(server.requests).toEqual(['stream', 'stream']);
    expect(interruptions).toEqual(['failed, again in 200']);
  });

  test.each([
    [400, 'BadRequest'],
    [422, 'Invalid'],
  ])('that the server refuses with %i becomes a list in pages, at once and for good', async (status, reason) => {
    const { server, minutes } = await follow([
      refusal(status, reason),
      { page: [anObject('a', 5)], resourceVersion: '10', next: 'p2' },
      { page: [anObject('b', 6)], resourceVersion: '10' },
      { lines: [errorEvent(410, 'Expired')], end: 'in order' },
      { page: [], resourceVersion: '20' },
    ]);
    expect(server.requests).toEqual(['stream', 'list', 'list p2', 'watch 10', 'list', 'watch 20']);
    expect(minutes.lines).toEqual(['list', 'list', 'listed a@5', 'listed b@6', 'finished 10', 'list', 'finished 20']);
  });
});

describe('a list in pages', () => {
  const refused = refusal(422, 'Invalid');

  test('asks again for a page that failed, and keeps the ones before it', async () => {
    const { server, minutes } = await follow([
      refused,
      { page: [anObject('a', 5)], resourceVersion: '10', next: 'p2' },
      refusal(500, 'InternalError'),
      { page: [anObject('b', 6)], resourceVersion: '10' },
    ]);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'list', 'list p2', 'list p2', 'watch 10']);
    expect(minutes.lines.slice(1)).toEqual(['list', 'listed a@5', 'listed b@6', 'finished 10']);
  });

  test('whose token is too old begins anew', async () => {
    const { server, minutes } = await follow([
      refused,
      { page: [anObject('gone', 5)], resourceVersion: '10', next: 'p2' },
      refusal(410, 'Expired'),
      { page: [anObject('b', 16)], resourceVersion: '20' },
    ]);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'list', 'list p2', 'list', 'watch 20']);
    expect(minutes.lines.slice(1)).toEqual(['list', 'listed gone@5', 'list', 'listed b@16', 'finished 20']);
  });

  test('whose page never comes is asked for again after the idle timeout', async () => {
    const { server, interruptions } = await follow([refused, 'silence', { page: [], resourceVersion: '10' }]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(interruptions).toEqual(['refused, again in 0', 'idle, again in 0']);
    expect(server.requests).toEqual(['stream', 'list', 'list', 'watch 10']);
  });
});

describe('a watch', () => {
  test('that is reset resumes after 0.2 s from the last thing it told, a bookmark included', async () => {
    const { server } = await follow([
      { lines: synced(modified('a', 11), bookmark(15)), end: 'by a reset' },
      { lines: [modified('a', 16)], end: 'by a reset' },
    ]);
    expect(server.requests).toEqual(['stream']);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'watch 15']);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'watch 15', 'watch 16']);
  });

  test('that the server ends resumes at once; ends with nothing told, again and again, back off', async () => {
    const nothing: Answer = { lines: [], end: 'in order' };
    const { server, interruptions } = await follow([
      { lines: synced(modified('a', 11)), end: 'in order' },
      nothing,
      nothing,
      nothing,
    ]);
    await vi.advanceTimersByTimeAsync(1_400);
    expect(interruptions).toEqual([
      'ended, again in 0',
      'ended, again in 200',
      'ended, again in 400',
      'ended, again in 800',
    ]);
    expect(server.requests).toEqual(['stream', 'watch 11', 'watch 11', 'watch 11', 'watch 11']);
  });

  test.each<[string, Answer]>([
    ['an ERROR event', { lines: [errorEvent(410, 'Expired')], end: 'in order' }],
    ['its status', refusal(410, 'Gone')],
  ])('that is told by %s that its place is forgotten lists again at once', async (_, gone) => {
    const { server, interruptions } = await follow([
      { lines: synced(modified('a', 11)), end: 'in order' },
      gone,
      { lines: [initialEventsEnd(30)], end: 'hangs' },
    ]);
    expect(interruptions).toEqual(['ended, again in 0', 'gone, again in 0']);
    expect(server.requests).toEqual(['stream', 'watch 11', 'stream']);
  });

  test('resumes after an ERROR event of another kind', async () => {
    const { server } = await follow([{ lines: synced(errorEvent(500, 'InternalError')), end: 'in order' }]);
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'watch 10']);
  });

  test.each([401, 403, 404, 429, 500, 503])('that is refused with %i is tried again and again', async (status) => {
    const refused = refusal(status, 'No');
    const { server, minutes, interruptions } = await follow([
      { lines: synced(modified('a', 11)), end: 'in order' },
      refused,
      refused,
      { lines: [modified('a', 12)], end: 'hangs' },
    ]);
    await vi.advanceTimersByTimeAsync(600);
    expect(interruptions).toEqual(['ended, again in 0', 'failed, again in 200', 'failed, again in 400']);
    expect(server.requests).toEqual(['stream', 'watch 11', 'watch 11', 'watch 11']);
    expect(minutes.lines.at(-1)).toBe('told a@12');
  });

  test('waits as long as the server asks', async () => {
    const { interruptions } = await follow([
      { lines: synced(modified('a', 11)), end: 'in order' },
      refusal(429, 'TooManyRequests', 7_000),
    ]);
    expect(interruptions.at(-1)).toBe('failed, again in 7000');
  });

  test('that ends within an event resumes from the event before it', async () => {
    const { server, interruptions } = await follow([
      { lines: synced(modified('a', 11), '{"type":"MODIFIED","obj'), end: 'in order' },
    ]);
    await vi.advanceTimersByTimeAsync(200);
    expect(interruptions).toEqual(['failed, again in 200']);
    expect(server.requests).toEqual(['stream', 'watch 11']);
  });

  test('whose event could not be taken asks for it again', async () => {
    const minutes = new Minutes();
    minutes.refuses = 'b';
    const { server } = await follow(
      [
        { lines: synced(modified('a', 11), added('b', 12)), end: 'hangs' },
        { lines: [added('b', 12)], end: 'hangs' },
      ],
      minutes,
    );
    minutes.refuses = undefined;
    await vi.advanceTimersByTimeAsync(200);
    expect(server.requests).toEqual(['stream', 'watch 11']);
    expect(minutes.lines.at(-1)).toBe('told b@12');
    expect(server.open).toBe(1);
  });

  test('that says nothing for the idle timeout is given up and resumed; each sign of life puts that off', async () => {
    const { server, interruptions, watcher } = await follow([
      { lines: synced(1_500, '\n', 1_500, bookmark(10)), end: 'hangs' },
      { lines: [modified('a', 11)], end: 'hangs' },
    ]);
    await vi.advanceTimersByTimeAsync(4_999);
    expect(interruptions).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(interruptions).toEqual(['idle, again in 0']);
    expect(server.requests).toEqual(['stream', 'watch 10']);
    expect(server.open).toBe(1);
    expect(watcher.lastEventAt).toBe(Date.now());
    // It is not put off by time the connection before it had.
    await vi.advanceTimersByTimeAsync(1_999);
    expect(server.requests).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(server.requests).toEqual(['stream', 'watch 10', 'watch 11']);
  });

  test('whose answer never begins is given up after the idle timeout', async () => {
    const { server, interruptions } = await follow(['silence', { lines: synced(), end: 'hangs' }]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(interruptions).toEqual(['idle, again in 0']);
    expect(server.requests).toEqual(['stream', 'stream']);
  });
});

describe('the time at which the server was last heard of', () => {
  const quiet: Answer = { lines: [], end: 'hangs' };
  const sync: Answer = { lines: synced(), end: 'hangs' };

  // KMMWatchSilent fired wherever no DaemonSet was refused a pod for some minutes: Events, which have no bookmarks.
  test.each<[string, Resource<KubeObject>, readonly Answer[], number]>([
    ['moves with each answer, where there are no bookmarks', THINGS_WITHOUT_BOOKMARKS, [sync, quiet, quiet, quiet], 6],
    ['stays where no watch is answered', THINGS_WITHOUT_BOOKMARKS, [sync, 'silence', 'silence', 'silence'], 0],
    ['stays where watches are refused', THINGS_WITHOUT_BOOKMARKS, [sync, ...Array(9).fill(refusal(403, 'No'))], 0],
    ['stays where no list comes to its end', THINGS_WITHOUT_BOOKMARKS, [sync, gone(), quiet, quiet], 2],
    ['stays where bookmarks are due, and watches are answered with nothing', THINGS, [sync, quiet, quiet, quiet], 0],
    ['moves with each bookmark', THINGS, [sync, { lines: [1_000, bookmark(11)], end: 'hangs' }, 'silence'], 3],
  ])('%s', async (_what, resource, script, seconds) => {
    const startedAt = Date.now();
    const { watcher } = await follow(script, new Minutes(), resource);
    expect(watcher.lastEventAt).toBe(startedAt);
    await vi.advanceTimersByTimeAsync(7_000);
    expect((watcher.lastEventAt ?? 0) - startedAt).toBe(seconds * 1_000);
  });

  test('counts answers for Events, which the API server keeps no watch cache of, and for no other kind', () => {
    const kinds = Object.values(core).filter((each) => typeof each === 'object' && 'plural' in each);
    expect(kinds.filter(({ withoutBookmarks }) => withoutBookmarks === true)).toEqual([core.EVENTS]);
  });
});

test.each<[string, readonly Answer[]]>([
  ['while an answer is awaited', ['silence']],
  ['while a list is streamed', [{ lines: [added('a', 5)], end: 'hangs' }]],
  ['while a page is awaited', [refusal(422, 'Invalid'), 'silence']],
  ['while a watch is open', [{ lines: synced(), end: 'hangs' }]],
  ['while it backs off', [refusal(500, 'InternalError')]],
])('following ends at an abort %s, and leaves nothing open', async (_, script) => {
  const { server, stop, interruptions } = await follow(script);
  const before = [...interruptions];
  await stop();
  expect(server.open).toBe(0);
  expect(interruptions, 'an abort is no failure').toEqual(before);
});
