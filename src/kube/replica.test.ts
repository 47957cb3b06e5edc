import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from './objects.ts';
import { type Change, MOST_TOMBSTONES, Replica, type Snapshot } from './replica.ts';
import { objectKey } from './store.ts';

function at(name: string, uid: string, resourceVersion: number): KubeObject {
  return { metadata: { name, uid, resourceVersion: String(resourceVersion) } };
}

function snapshot(resourceVersion: number, ...objects: readonly KubeObject[]): Snapshot<KubeObject> {
  return {
    objects: new Map(objects.map((object) => [objectKey(object.metadata), object])),
    unreadable: new Set(),
    resourceVersion: String(resourceVersion),
  };
}

function holding(resourceVersion: number, ...objects: readonly KubeObject[]): Replica<KubeObject> {
  const replica = new Replica<KubeObject>();
  replica.replace(snapshot(resourceVersion, ...objects));
  return replica;
}

const types = (changes: readonly Change<KubeObject>[]): readonly string[] =>
  changes.map(({ type, object }) => `${type} ${object.metadata.uid}@${object.metadata.resourceVersion}`);

describe('a replica', () => {
  test('an object deleted and created again between two lists is told as a delete and an add', () => {
    const replica = holding(10, at('a', 'u1', 5));
    expect(types(replica.replace(snapshot(20, at('a', 'u2', 15))))).toEqual(['deleted u1@5', 'added u2@15']);
  });

  test('an object deleted and created again within one watch event is told as a delete and an add', () => {
    const replica = holding(10, at('a', 'u1', 5));
    expect(types(replica.told(at('a', 'u2', 15)))).toEqual(['deleted u1@5', 'added u2@15']);
  });

  test('what a list does not have is deleted, and what did not change is not told', () => {
    const replica = holding(10, at('a', 'u1', 5), at('b', 'u2', 6), at('c', 'u3', 7));
    expect(types(replica.replace(snapshot(20, at('a', 'u1', 5), at('c', 'u3', 15))))).toEqual([
      'deleted u2@6',
      'updated u3@15',
    ]);
  });

  test('our own write is there at once, and its event tells nothing more', () => {
    const replica = holding(10, at('a', 'u1', 5));
    expect(types(replica.absorb(at('a', 'u1', 12)))).toEqual(['updated u1@12']);
    expect(types(replica.told(at('a', 'u1', 11)))).toEqual([]);
    expect(types(replica.told(at('a', 'u1', 12)))).toEqual([]);
    expect(types(replica.told(at('a', 'u1', 13)))).toEqual(['updated u1@13']);
  });

  test('the answer to our write that comes after its event changes nothing', () => {
    const replica = holding(10, at('a', 'u1', 5));
    replica.told(at('a', 'u1', 12));
    replica.told(at('a', 'u1', 13));
    expect(types(replica.absorb(at('a', 'u1', 12)))).toEqual([]);
  });

  test('the answer to our write does not bring back an object whose deletion the watch has told', () => {
    const replica = holding(10, at('a', 'u1', 5));
    replica.told(at('a', 'u1', 12));
    replica.toldDeleted(at('a', 'u1', 13));
    expect(types(replica.absorb(at('a', 'u1', 12)))).toEqual([]);
    expect(replica.store.size).toBe(0);
  });

  test('nor after a list or a bookmark that is past it', () => {
    const listed = holding(20);
    expect(types(listed.absorb(at('a', 'u1', 12)))).toEqual([]);
    const marked = holding(10);
    marked.toldBookmark('20');
    expect(types(marked.absorb(at('a', 'u1', 12)))).toEqual([]);
  });

  test('what we wrote after a list was made survives it', () => {
    const replica = holding(10, at('a', 'u1', 5));
    replica.absorb(at('a', 'u1', 25));
    replica.absorb(at('b', 'u2', 26));
    expect(types(replica.replace(snapshot(20, at('a', 'u1', 15))))).toEqual([]);
    expect(replica.store.get('b')).toEqual(at('b', 'u2', 26));
    // It is the next list's business like any other object.
    expect(types(replica.replace(snapshot(30)))).toEqual(['deleted u1@25', 'deleted u2@26']);
  });

  test('what only a server of before a restore of etcd had is deleted, however high its resourceVersion is', () => {
    const replica = holding(100, at('a', 'u1', 90), at('b', 'u2', 95));
    expect(types(replica.replace(snapshot(50, at('a', 'u1', 40))))).toEqual(['deleted u2@95', 'updated u1@40']);
    expect(types(replica.absorb(at('c', 'u3', 60)))).toEqual(['added u3@60']);
  });

  test('what we deleted is gone at once, and no late event or list brings it back', () => {
    const replica = holding(10, at('a', 'u1', 5));
    expect(types(replica.absorbDeleted('a', 'u1'))).toEqual(['deleted u1@5']);
    expect(types(replica.told(at('a', 'u1', 11)))).toEqual([]);
    expect(types(replica.replace(snapshot(12, at('a', 'u1', 11))))).toEqual([]);
    expect(types(replica.absorb(at('a', 'u1', 13)))).toEqual([]);
    expect(types(replica.toldDeleted(at('a', 'u1', 14)))).toEqual([]);
    expect(types(replica.told(at('a', 'u2', 15)))).toEqual(['added u2@15']);
  });

  test('the deletion of one object does not touch its successor', () => {
    const replica = holding(10, at('a', 'u1', 5));
    replica.absorb(at('a', 'u2', 14));
    expect(types(replica.toldDeleted(at('a', 'u1', 12)))).toEqual([]);
    expect(types(replica.absorbDeleted('a', 'u1'))).toEqual([]);
    expect(types(replica.replace(snapshot(13)))).toEqual([]);
    expect(types(replica.told(at('a', 'u2', 15)))).toEqual(['updated u2@15']);
    expect(types(replica.toldDeleted(at('a', 'u1', 16)))).toEqual([]);
    expect(replica.store.get('a')).toEqual(at('a', 'u2', 15));
  });

  test('an object that left the selection before our write brought it back stays', () => {
    const replica = holding(10, at('a', 'u1', 5));
    replica.absorb(at('a', 'u1', 13));
    expect(types(replica.toldDeleted(at('a', 'u1', 12)))).toEqual([]);
    expect(types(replica.told(at('a', 'u1', 13)))).toEqual([]);
    expect(types(replica.toldDeleted(at('a', 'u1', 14)))).toEqual(['deleted u1@13']);
  });

  test('an object that is there but cannot be read stays as it was last known', () => {
    const replica = holding(10, at('a', 'u1', 5));
    expect(replica.replace({ objects: new Map(), unreadable: new Set(['a']), resourceVersion: '20' })).toEqual([]);
    expect(replica.store.get('a')).toEqual(at('a', 'u1', 5));
  });

  test('tombstones are bounded, the oldest go first', () => {
    const replica = holding(10);
    for (let n = 0; n <= MOST_TOMBSTONES; n++) replica.absorbDeleted(`o${n}`, `u${n}`);
    expect(replica.told(at('o0', 'u0', 11))).toHaveLength(1);
    expect(replica.told(at('o1', 'u1', 12))).toHaveLength(0);
    expect(replica.told(at(`o${MOST_TOMBSTONES}`, `u${MOST_TOMBSTONES}`, 13))).toHaveLength(0);
  });
});

/** An API server of one kind, with the history that its watches tell and a selector that objects can leave. */
class ModelServer {
  readonly objects = new Map<string, KubeObject>();
  readonly history: { readonly version: number; readonly type: 'told' | 'deleted'; readonly object: KubeObject }[] = [];
  version = 1;

  write(name: string): KubeObject {
    const standing = this.objects.get(name);
    this.version++;
    const object = at(name, standing?.metadata.uid ?? `${name}-${this.version}`, this.version);
    this.objects.set(name, object);
    this.history.push({ version: this.version, type: 'told', object });
    return object;
  }

  /** Deletes it or, which looks the same to a watch, has it leave the selection; gives its uid. */
  remove(name: string): string | undefined {
    const standing = this.objects.get(name);
    if (standing === undefined) return undefined;
    this.version++;
    const uid = standing.metadata.uid ?? '';
    this.objects.delete(name);
    this.history.push({ version: this.version, type: 'deleted', object: at(name, uid, this.version) });
    return uid;
  }
}

type Answer = { readonly written: KubeObject } | { readonly deleted: string; readonly uid: string };

/** A client of the model: watch, lists and answers reach the replica in whatever order the test chooses. */
class ModelClient {
  readonly server = new ModelServer();
  readonly replica = new Replica<KubeObject>();
  /** The store as somebody sees it who hears of changes only. */
  readonly heard = new Map<string, KubeObject>();
  readonly #answers: Answer[] = [];
  readonly #goneUids = new Set<string>();
  #list: Snapshot<KubeObject> | undefined = snapshot(1);
  #position = 1;

  ownWrite(name: string): void {
    this.#answers.push({ written: this.server.write(name) });
  }

  ownDelete(name: string): void {
    const uid = this.server.remove(name);
    if (uid !== undefined) this.#answers.push({ deleted: name, uid });
  }

  deliverAnswer(which: number): void {
    const [answer] = this.#answers.splice(which % Math.max(1, this.#answers.length), 1);
    if (answer === undefined) return;
    if ('written' in answer) {
      this.#hear(this.replica.absorb(answer.written));
      return;
    }
    this.#goneUids.add(answer.uid);
    this.#hear(this.replica.absorbDeleted(answer.deleted, answer.uid));
  }

  startList(): void {
    this.#list = { ...snapshot(this.server.version), objects: new Map(this.server.objects) };
  }

  finishList(): void {
    if (this.#list === undefined) return;
    this.#position = Number(this.#list.resourceVersion);
    this.#hear(this.replica.replace(this.#list));
    this.#list = undefined;
  }

  deliverEvents(count: number): void {
    if (this.#list !== undefined) return;
    for (const { version, type, object } of this.server.history
      .filter((each) => each.version > this.#position)
      .slice(0, count)) {
      this.#position = version;
      this.#hear(type === 'told' ? this.replica.told(object) : this.replica.toldDeleted(object));
    }
  }

  deliverBookmark(): void {
    if (this.#list !== undefined) return;
    const next = this.server.history.find((each) => each.version > this.#position);
    this.#position = next === undefined ? this.server.version : next.version - 1;
    this.replica.toldBookmark(String(this.#position));
  }

  /** Everything that is under way arrives, answers first or last. */
  settle(answersFirst: boolean): void {
    if (answersFirst) this.#deliverAllAnswers();
    this.finishList();
    this.deliverEvents(Number.POSITIVE_INFINITY);
    this.#deliverAllAnswers();
  }

  #deliverAllAnswers(): void {
    while (this.#answers.length > 0) this.deliverAnswer(0);
  }

  #hear(changes: readonly Change<KubeObject>[]): void {
    for (const change of changes) {
      const key = objectKey(change.object.metadata);
      const known = this.heard.get(key);
      if (change.type === 'added') expect(known, 'added what was there').toBeUndefined();
      if (change.type === 'deleted') expect(change.object).toBe(known);
      if (change.type === 'updated') {
        expect(change.old).toBe(known);
        expect(change.object.metadata.uid).toBe(change.old.metadata.uid);
        expect(Number(change.object.metadata.resourceVersion), 'went back').toBeGreaterThan(
          Number(change.old.metadata.resourceVersion),
        );
      }
      if (change.type === 'deleted') this.heard.delete(key);
      else this.heard.set(key, change.object);
    }
    expect(new Map(this.replica.store.list().map((object) => [objectKey(object.metadata), object]))).toEqual(
      this.heard,
    );
    for (const { metadata } of this.heard.values())
      expect(this.#goneUids.has(metadata.uid ?? ''), 'came back').toBe(false);
  }
}

describe('a replica, whatever the order in which watch, lists and answers arrive', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    name.map((object) => (client: ModelClient) => void client.server.write(object)),
    name.map((object) => (client: ModelClient) => void client.server.remove(object)),
    fc.constant((client: ModelClient) => void client.server.version++),
    name.map((object) => (client: ModelClient) => client.ownWrite(object)),
    name.map((object) => (client: ModelClient) => client.ownDelete(object)),
    fc.nat(5).map((which) => (client: ModelClient) => client.deliverAnswer(which)),
    fc.nat(5).map((which) => (client: ModelClient) => client.deliverAnswer(which)),
    fc.nat(4).map((count) => (client: ModelClient) => client.deliverEvents(count)),
    fc.constant((client: ModelClient) => client.deliverBookmark()),
    fc.constant((client: ModelClient) => client.startList()),
    fc.constant((client: ModelClient) => client.finishList()),
  );

  test('ends as the server does, goes through no state twice, and never shows again what we deleted', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, answersFirst) => {
        const client = new ModelClient();
        for (const run of steps) run(client);
        client.settle(answersFirst);
        expect(client.heard).toEqual(client.server.objects);
      }),
      { numRuns: 500 },
    );
  });
});
