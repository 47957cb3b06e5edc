import type { KubeObject } from './objects.ts';
import { isNewer, newest } from './resource-version.ts';
import { IndexedStore, objectKey, type Store } from './store.ts';

/** One thing that became different in a store. */
export type Change<R> =
  | { readonly type: 'added'; readonly object: R }
  | { readonly type: 'updated'; readonly object: R; readonly old: R }
  | { readonly type: 'deleted'; readonly object: R };

/** What a list, gathered page by page or as a stream, says the server had. */
export interface Snapshot<R> {
  readonly objects: ReadonlyMap<string, R>;
  /** Keys of objects that are there but could not be read: what is known of them stays. */
  readonly unreadable: ReadonlySet<string>;
  /** The state of the server that this is. */
  readonly resourceVersion: string;
}

/** Beyond it the oldest are forgotten. News that is late by so many deletions would show an object until the watch tells its end. */
export const MOST_TOMBSTONES = 4_096;

/**
 * The server's objects of one kind as far as we have been told, by three messengers that do not wait for one another: the watch, in order;
 * lists, which may be of a moment before our own last write; and the answers to our own writes, which usually come before the watch tells them.
 *
 * What keeps them straight is that resourceVersions of one kind are ordered, and that a uid lives once. Every method gives the changes it
 * made, which the store shows already.
 */
export class Replica<R extends KubeObject> {
  readonly #store = new IndexedStore<R>();
  /** The watch has told everything up to here. */
  #toldUpTo: string | undefined;
  /**
   * resourceVersions of answers to our own writes that the watch has not told yet, by object. Only these may be newer than a list: anything
   * else that claims to be comes from before a restore of etcd, and would be a ghost for ever.
   */
  readonly #ahead = new Map<string, string>();
  /** uids of objects that we deleted: a uid never comes back, so late news of one is never news. */
  readonly #tombstones = new Set<string>();

  get store(): Store<R> {
    return this.#store;
  }

  /** An ADDED or MODIFIED event of the watch. */
  told(object: R): readonly Change<R>[] {
    const { resourceVersion = '', uid = '' } = object.metadata;
    this.#tellUpTo(resourceVersion);
    if (this.#tombstones.has(uid)) return [];
    const key = objectKey(object.metadata);
    const ahead = this.#ahead.get(key);
    // Our own later write is in the store already; the watch comes to it in a moment.
    if (ahead !== undefined && !isNewer(resourceVersion, ahead)) {
      if (ahead === resourceVersion) this.#ahead.delete(key);
      return [];
    }
    this.#ahead.delete(key);
    return this.#put(key, object);
  }

  /** A DELETED event of the watch: the object is gone, or the selector does not select it any more. */
  toldDeleted({ metadata }: KubeObject): readonly Change<R>[] {
    const { resourceVersion = '', uid = '' } = metadata;
    this.#tellUpTo(resourceVersion);
    const key = objectKey(metadata);
    const ahead = this.#ahead.get(key);
    if (ahead !== undefined && isNewer(ahead, resourceVersion)) return [];
    this.#ahead.delete(key);
    return this.#remove(key, uid);
  }

  /** A bookmark: nothing happened up to here but what was told. */
  toldBookmark(resourceVersion: string): void {
    this.#tellUpTo(resourceVersion);
    for (const [key, ahead] of this.#ahead) if (!isNewer(ahead, resourceVersion)) this.#ahead.delete(key);
  }

  /** The server's answer to a write of ours. */
  absorb(object: R): readonly Change<R>[] {
    const { resourceVersion = '', uid = '' } = object.metadata;
    // What the watch is past may have been changed or deleted since: it would have told, so there is nothing to learn here.
    if (this.#toldUpTo !== undefined && !isNewer(resourceVersion, this.#toldUpTo)) return [];
    if (this.#tombstones.has(uid)) return [];
    const key = objectKey(object.metadata);
    const standing = this.#store.get(key);
    if (standing !== undefined && !isNewer(resourceVersion, standing.metadata.resourceVersion)) return [];
    this.#ahead.set(key, resourceVersion);
    return this.#put(key, object);
  }

  /** We deleted the object of this uid, and it is gone. */
  absorbDeleted(key: string, uid: string): readonly Change<R>[] {
    this.#tombstones.add(uid);
    if (this.#tombstones.size > MOST_TOMBSTONES) {
      for (const oldest of this.#tombstones) {
        this.#tombstones.delete(oldest);
        break;
      }
    }
    if (this.#store.get(key)?.metadata.uid !== uid) return [];
    this.#ahead.delete(key);
    return this.#remove(key, uid);
  }

  /** A list: what it does not have is gone, except what we wrote after it was made. */
  replace({ objects, unreadable, resourceVersion }: Snapshot<R>): readonly Change<R>[] {
    // Set, not raised: after a restore of etcd the server is behind what it has told before.
    this.#toldUpTo = resourceVersion;
    for (const [key, ahead] of this.#ahead) if (!isNewer(ahead, resourceVersion)) this.#ahead.delete(key);
    const changes: Change<R>[] = [];
    for (const [key, { metadata }] of this.#store.entries()) {
      if (objects.has(key) || unreadable.has(key) || this.#ahead.has(key)) continue;
      changes.push(...this.#remove(key, metadata.uid ?? ''));
    }
    for (const [key, object] of objects) {
      if (this.#ahead.has(key) || this.#tombstones.has(object.metadata.uid ?? '')) continue;
      changes.push(...this.#put(key, object));
    }
    return changes;
  }

  #put(key: string, object: R): readonly Change<R>[] {
    const old = this.#store.get(key);
    if (old !== undefined && isSameState(old, object)) return [];
    this.#store.set(key, object);
    if (old === undefined) return [{ type: 'added', object }];
    if (old.metadata.uid === object.metadata.uid) return [{ type: 'updated', object, old }];
    return [
      { type: 'deleted', object: old },
      { type: 'added', object },
    ];
  }

  #remove(key: string, uid: string): readonly Change<R>[] {
    const object = this.#store.get(key);
    if (object === undefined || object.metadata.uid !== uid) return [];
    this.#store.delete(key);
    return [{ type: 'deleted', object }];
  }

  #tellUpTo(resourceVersion: string): void {
    this.#toldUpTo = this.#toldUpTo === undefined ? resourceVersion : newest(this.#toldUpTo, resourceVersion);
  }
}

function isSameState({ metadata: a }: KubeObject, { metadata: b }: KubeObject): boolean {
  return a.uid === b.uid && a.resourceVersion !== undefined && a.resourceVersion === b.resourceVersion;
}
