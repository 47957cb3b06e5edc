import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type Answer,
  added,
  anObject,
  bookmark,
  deleted,
  initialEventsEnd,
  modified,
  ScriptedServer,
} from '../../test/harness/scripted-server.ts';
import { Informer, type InformerOptions } from './informer.ts';
import type { KubeObject } from './objects.ts';
import type { Change } from './replica.ts';
import { defineResource } from './resources.ts';

const THINGS = defineResource({ group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: false });
const never = new AbortController().signal;

const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function start(
  script: readonly Answer[],
  options: Partial<InformerOptions<KubeObject>> = {},
): { readonly informer: Informer<KubeObject>; readonly changes: string[] } {
  const informer = new Informer<KubeObject>({ client: new ScriptedServer(...script), resource: THINGS, ...options });
  const changes: string[] = [];
  informer.onChange((change) => changes.push(describeChange(change)));
  const end = new AbortController();
  const running = informer.run(end.signal);
  stops.push(async () => {
    end.abort();
    await running;
  });
  return { informer, changes };
}

function describeChange({ type, object }: Change<KubeObject>): string {
  return `${type} ${object.metadata.name}@${object.metadata.resourceVersion}`;
}

function hanging(...lines: readonly object[]): Answer {
  return { lines, end: 'hangs' };
}

describe('an informer', () => {
  test('is synced once the list is whole, when its listeners have heard of all of it', async () => {
    const { informer, changes } = start([hanging(added('a', 5), added('b', 6), initialEventsEnd(10))]);
    const heardBeforeSync: boolean[] = [];
    informer.onChange(() => heardBeforeSync.push(informer.synced));
    expect(informer.synced).toBe(false);
    await informer.waitForSync(never);
    expect(informer.synced).toBe(true);
    expect(changes).toEqual(['added a@5', 'added b@6']);
    expect(heardBeforeSync).toEqual([false, false]);
    await informer.waitForSync(never);
  });

  test('a wait for the list ends with the reason of an abort', async () => {
    const { informer } = start([hanging(added('a', 5))]);
    const gaveUp = new Error('gave up');
    await expect(informer.waitForSync(AbortSignal.abort(gaveUp))).rejects.toBe(gaveUp);
  });

  test('a listener that throws keeps neither the others nor the informer from going on', async () => {
    const listenerFailed = vi.fn<(kind: string, error: unknown) => void>();
    const { informer } = start([hanging(added('a', 5), initialEventsEnd(10), modified('a', 11))], {
      observer: { listenerFailed },
    });
    informer.onChange(() => {
      throw new Error('bad listener');
    });
    const later: string[] = [];
    informer.onChange((change) => later.push(describeChange(change)));
    await vi.waitFor(() => expect(later).toEqual(['added a@5', 'updated a@11']));
    expect(listenerFailed.mock.calls).toEqual([
      ['Thing', new Error('bad listener')],
      ['Thing', new Error('bad listener')],
    ]);
  });

  test('a listener that was taken away hears nothing more', async () => {
    const { informer } = start([hanging(added('a', 5), initialEventsEnd(10))]);
    const heard = vi.fn<() => void>();
    informer.onChange(heard)();
    await informer.waitForSync(never);
    expect(heard).not.toHaveBeenCalled();
  });

  test('what a listener absorbs is told after what it was told, to everybody in the same order', async () => {
    const { informer, changes } = start([hanging(added('a', 5), added('b', 6), initialEventsEnd(10))]);
    informer.onChange(({ type, object }) => {
      if (type === 'added' && object.metadata.name === 'a') informer.absorb(anObject('a', 12));
    });
    const last: string[] = [];
    informer.onChange((change) => last.push(describeChange(change)));
    await informer.waitForSync(never);
    expect(changes).toEqual(['added a@5', 'added b@6', 'updated a@12']);
    expect(last).toEqual(changes);
  });

  test('the store holds what the transform makes of an object, also of one that is absorbed', async () => {
    const { informer } = start([hanging(added('a', 5), initialEventsEnd(10))], {
      transform: ({ metadata }) => ({ kind: 'Trimmed', metadata }),
    });
    await informer.waitForSync(never);
    informer.absorb(anObject('b', 11));
    expect(informer.store.list().map(({ kind }) => kind)).toEqual(['Trimmed', 'Trimmed']);
  });

  test('one object that cannot be transformed is reported, stays as it was known, and holds up no other', async () => {
    const unreadable = vi.fn<(kind: string, key: string, error: unknown) => void>();
    const { informer, changes } = start(
      [
        { lines: [added('a', 5), added('odd', 6), initialEventsEnd(10), modified('odd', 13)], end: 'in order' },
        { lines: [{ type: 'ERROR', object: { code: 410 } }], end: 'in order' },
        hanging(modified('odd', 13), added('b', 14), initialEventsEnd(20), deleted('odd', 21)),
      ],
      {
        observer: { unreadable },
        transform: (object) => {
          if (object.metadata.resourceVersion === '13') throw new Error('no such field');
          return object;
        },
      },
    );
    await vi.waitFor(() =>
      expect(changes).toEqual(['added a@5', 'added odd@6', 'deleted a@5', 'added b@14', 'deleted odd@6']),
    );
    expect(unreadable.mock.calls).toEqual([
      ['Thing', 'odd', new Error('no such field')],
      ['Thing', 'odd', new Error('no such field')],
    ]);
    expect(informer.store.size).toBe(1);
  });

  test('an observer that throws changes nothing', async () => {
    const broken = (): never => {
      throw new Error('bad observer');
    };
    const { changes } = start(
      [
        { lines: [added('a', 5), initialEventsEnd(10), bookmark(11)], end: 'in order' },
        hanging(modified('a', 12), deleted('a', 13)),
      ],
      { observer: { listing: broken, listed: broken, interrupted: broken, event: broken } },
    );
    await vi.waitFor(() => expect(changes).toEqual(['added a@5', 'updated a@12', 'deleted a@12']));
  });

  test('an index function that throws costs a retry, not the informer', async () => {
    let broken = true;
    const interrupted = vi.fn<() => void>(() => {
      broken = false;
    });
    const { informer } = start(
      [hanging(added('a', 5), initialEventsEnd(10)), hanging(added('a', 5), initialEventsEnd(10))],
      {
        observer: { interrupted },
      },
    );
    informer.store.addIndex('any', () => {
      if (broken) throw new Error('bad index');
      return ['x'];
    });
    await informer.waitForSync(never);
    expect(interrupted).toHaveBeenCalledTimes(1);
    expect(informer.store.byIndex('any', 'x')).toHaveLength(1);
  });

  test('our deletion is told at once', async () => {
    const { informer, changes } = start([hanging(added('a', 5), initialEventsEnd(10))]);
    await informer.waitForSync(never);
    informer.absorbDeleted({ name: 'a' }, 'uid-of-a');
    expect(changes).toEqual(['added a@5', 'deleted a@5']);
    expect(informer.store.size).toBe(0);
  });

  test('the time of the last event is known from the first one on', async () => {
    const { informer } = start([hanging(initialEventsEnd(10))]);
    expect(informer.lastEventAt).toBeUndefined();
    await informer.waitForSync(never);
    expect(informer.lastEventAt).toBeGreaterThan(Date.now() - 10_000);
  });
});
