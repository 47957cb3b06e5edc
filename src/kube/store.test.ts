import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from './objects.ts';
import { IndexedStore, objectKey } from './store.ts';

const byTeam = ({ metadata }: KubeObject): readonly string[] => (metadata.labels?.['teams'] ?? '').split('+');

function anObject(name: string, teams: string): KubeObject {
  return { metadata: { name, labels: { teams } } };
}

describe('a store', () => {
  test('a key is the name, with the namespace before it where there is one', () => {
    expect(objectKey({ name: 'a', namespace: 'n' })).toBe('n/a');
    expect(objectKey({ name: 'a' })).toBe('a');
    expect(objectKey({ name: 'a', namespace: '' })).toBe('a');
  });

  test('the list is the same array until something changes', () => {
    const store = new IndexedStore<KubeObject>();
    store.set('a', anObject('a', 'x'));
    const list = store.list();
    store.delete('not-there');
    expect(store.list()).toBe(list);
    store.set('b', anObject('b', 'x'));
    expect(store.list()).not.toBe(list);
    expect(list).toHaveLength(1);
  });

  test('an index of objects that are there already finds them', () => {
    const store = new IndexedStore<KubeObject>();
    store.set('a', anObject('a', 'x+y'));
    store.addIndex('team', byTeam);
    expect(store.byIndex('team', 'y')).toEqual([anObject('a', 'x+y')]);
  });

  test('an object that changes leaves the index keys it had', () => {
    const store = new IndexedStore<KubeObject>();
    store.addIndex('team', byTeam);
    store.set('a', anObject('a', 'x'));
    const found = store.byIndex('team', 'x');
    store.set('a', anObject('a', 'y'));
    expect(store.byIndex('team', 'x')).toEqual([]);
    expect(store.byIndex('team', 'y')).toEqual([anObject('a', 'y')]);
    expect(found).toEqual([anObject('a', 'x')]);
  });

  test('an index function that throws leaves the store as it was', () => {
    const store = new IndexedStore<KubeObject>();
    store.addIndex('team', (object) => {
      if (object.metadata.name === 'bad') throw new Error('cannot index this');
      return ['x'];
    });
    store.set('a', anObject('a', 'x'));
    expect(() => store.set('a', anObject('bad', 'x'))).toThrow('cannot index this');
    expect(store.get('a')).toEqual(anObject('a', 'x'));
    expect(store.byIndex('team', 'x')).toHaveLength(1);
  });

  test('an index name that is taken, or that nobody added, is an error', () => {
    const store = new IndexedStore<KubeObject>();
    store.addIndex('team', byTeam);
    expect(() => store.addIndex('team', byTeam)).toThrow('has an index team already');
    expect(() => store.byIndex('owner', 'x')).toThrow('no index owner');
  });

  test('an index always finds what a search through the list finds', () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd');
    const teams = fc.constantFrom('', 'x', 'y', 'x+y', 'x+x');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), name: names, teams }),
      fc.record({ kind: fc.constant('delete' as const), name: names, teams }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const store = new IndexedStore<KubeObject>();
        store.addIndex('team', byTeam);
        for (const { kind, name, teams } of steps) {
          if (kind === 'set') store.set(name, anObject(name, teams));
          else store.delete(name);
          expect(store.size).toBe(store.list().length);
          for (const team of ['', 'x', 'y']) {
            const searched = store.list().filter((object) => byTeam(object).includes(team));
            expect(new Set(store.byIndex('team', team))).toEqual(new Set(searched));
          }
        }
      }),
    );
  });
});
