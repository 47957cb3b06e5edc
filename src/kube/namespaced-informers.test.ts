import { describe, expect, it } from 'vitest';
import { initialEventsEnd, ScriptedServer } from '../../test/harness/scripted-server.ts';
import { Informer } from './informer.ts';
import { followNamespaces } from './namespaced-informers.ts';
import type { KubeObject } from './objects.ts';
import { defineResource } from './resources.ts';

const THINGS = defineResource({ group: '', version: 'v1', kind: 'Thing', plural: 'things', namespaced: true });

function thing(namespace: string, name: string, resourceVersion: number, team = 'x'): KubeObject {
  const uid = `${namespace}/${name}`;
  return { metadata: { namespace, name, uid, resourceVersion: String(resourceVersion), labels: { team } } };
}

function follow(...namespaces: readonly string[]) {
  return followNamespaces<KubeObject>({ client: new ScriptedServer(), resource: THINGS }, namespaces);
}

describe('the cache of a kind in some namespaces', () => {
  it('is one informer of all namespaces where none are given', () => {
    expect(follow()).toBeInstanceOf(Informer);
  });

  it('holds what is in these namespaces, and nothing that is absorbed from others', () => {
    const cache = follow('a', 'b');
    for (const namespace of ['a', 'b', 'c']) cache.absorb(thing(namespace, 'one', 5));
    expect(cache.store.list().map(({ metadata }) => metadata.uid)).toEqual(['a/one', 'b/one']);
    expect(cache.store.size).toBe(2);
    expect(cache.store.get('b/one')?.metadata.uid).toBe('b/one');
    expect(cache.store.get('c/one')).toBeUndefined();
    cache.absorbDeleted({ namespace: 'a', name: 'one' }, 'a/one');
    expect(cache.store.list().map(({ metadata }) => metadata.uid)).toEqual(['b/one']);
  });

  it('gives the same list until something changes', () => {
    const cache = follow('a', 'b');
    cache.absorb(thing('a', 'one', 5));
    const list = cache.store.list();
    expect(cache.store.list()).toBe(list);
    cache.absorb(thing('b', 'one', 6));
    expect(cache.store.list()).not.toBe(list);
  });

  it('finds by an index over all of them', () => {
    const cache = follow('a', 'b');
    cache.store.addIndex('team', ({ metadata }) => [metadata.labels?.['team'] ?? '']);
    cache.absorb(thing('a', 'one', 5));
    cache.absorb(thing('a', 'two', 6, 'y'));
    cache.absorb(thing('b', 'one', 7));
    expect(cache.store.byIndex('team', 'x').map(({ metadata }) => metadata.uid)).toEqual(['a/one', 'b/one']);
    expect(cache.store.byIndex('team', 'y').map(({ metadata }) => metadata.uid)).toEqual(['a/two']);
    expect(cache.store.byIndex('team', 'z')).toEqual([]);
  });

  it('tells of changes in each of them until it is told to stop', () => {
    const cache = follow('a', 'b');
    const changes: string[] = [];
    const end = cache.onChange(({ type, object }) => changes.push(`${type} ${object.metadata.uid}`));
    cache.absorb(thing('a', 'one', 5));
    cache.absorb(thing('b', 'one', 6));
    end();
    cache.absorb(thing('b', 'two', 7));
    expect(changes).toEqual(['added a/one', 'added b/one']);
  });

  it('is synced when every namespace is, and not before', async () => {
    const listed = { lines: [initialEventsEnd(10)], end: 'hangs' } as const;
    const cache = followNamespaces<KubeObject>(
      { client: new ScriptedServer(listed, { lines: [200, initialEventsEnd(10)], end: 'hangs' }), resource: THINGS },
      ['a', 'b'],
    );
    const end = new AbortController();
    const running = cache.run(end.signal);
    const bothSynced = cache.waitForSync(end.signal);
    expect(cache.synced).toBe(false);
    await bothSynced;
    expect(cache.synced).toBe(true);
    expect(cache.lastEventAt).toBeTypeOf('number');
    end.abort();
    await running;
  });
});
