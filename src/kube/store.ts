import type { KubeObject, ObjectMeta } from './objects.ts';

/** What is known of a kind's objects, for reading. Objects out of it are shared: never change one. */
export interface Store<R extends KubeObject> {
  /** `key` is `namespace/name`, or the bare name of a cluster-scoped object ({@link objectKey}). */
  get(key: string): R | undefined;
  /** Every object, in no particular order. The same array until something changes, so calling it often costs nothing. */
  list(): readonly R[];
  readonly size: number;
  /**
   * Keeps objects findable by what `keysOf` gives; an object may have any number of index keys.
   *
   * @throws Error when there is an index of this name already.
   */
  addIndex(name: string, keysOf: (object: R) => readonly string[]): void;
  /**
   * The objects that have this index key.
   *
   * @throws Error when no index has this name.
   */
  byIndex(name: string, key: string): readonly R[];
}

/** `namespace/name`, or the bare name where there is no namespace. */
export function objectKey({ name = '', namespace }: Pick<ObjectMeta, 'name' | 'namespace'>): string {
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

interface Bucket<R> {
  readonly objects: Map<string, R>;
  list: readonly R[] | undefined;
}

interface Index<R> {
  readonly keysOf: (object: R) => readonly string[];
  readonly buckets: Map<string, Bucket<R>>;
}

/** A {@link Store} that can be written to. It takes what it is given: which news is newer is {@link Replica}'s business. */
export class IndexedStore<R extends KubeObject> implements Store<R> {
  readonly #objects = new Map<string, R>();
  readonly #indexes = new Map<string, Index<R>>();
  #list: readonly R[] | undefined;

  get(key: string): R | undefined {
    return this.#objects.get(key);
  }

  list(): readonly R[] {
    this.#list ??= [...this.#objects.values()];
    return this.#list;
  }

  get size(): number {
    return this.#objects.size;
  }

  entries(): IterableIterator<[string, R]> {
    return this.#objects.entries();
  }

  addIndex(name: string, keysOf: (object: R) => readonly string[]): void {
    if (this.#indexes.has(name)) throw new Error(`the store has an index ${name} already`);
    const index: Index<R> = { keysOf, buckets: new Map() };
    for (const [key, object] of this.#objects) addTo(index, key, object, keysOf(object));
    this.#indexes.set(name, index);
  }

  byIndex(name: string, key: string): readonly R[] {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`the store has no index ${name}: call addIndex first`);
    const bucket = index.buckets.get(key);
    if (bucket === undefined) return [];
    bucket.list ??= [...bucket.objects.values()];
    return bucket.list;
  }

  set(key: string, object: R): void {
    // Index keys first: an index function that throws must leave the store as it was.
    const placements = [...this.#indexes.values()].map((index) => ({ index, keys: index.keysOf(object) }));
    this.delete(key);
    this.#objects.set(key, object);
    this.#list = undefined;
    for (const { index, keys } of placements) addTo(index, key, object, keys);
  }

  delete(key: string): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    this.#objects.delete(key);
    this.#list = undefined;
    for (const index of this.#indexes.values()) removeFrom(index, key, object);
  }
}

function addTo<R>(index: Index<R>, key: string, object: R, indexKeys: readonly string[]): void {
  for (const indexKey of indexKeys) {
    let bucket = index.buckets.get(indexKey);
    if (bucket === undefined) {
      bucket = { objects: new Map(), list: undefined };
      index.buckets.set(indexKey, bucket);
    }
    bucket.objects.set(key, object);
    bucket.list = undefined;
  }
}

function removeFrom<R>(index: Index<R>, key: string, object: R): void {
  for (const indexKey of index.keysOf(object)) {
    const bucket = index.buckets.get(indexKey);
    if (bucket === undefined) continue;
    bucket.objects.delete(key);
    bucket.list = undefined;
    // An empty bucket that stayed would leak one entry for every key that ever was.
    if (bucket.objects.size === 0) index.buckets.delete(indexKey);
  }
}
