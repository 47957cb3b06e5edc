import { abortable } from './abort.ts';
import type { KubeObject } from './objects.ts';
import { type Change, Replica } from './replica.ts';
import type { Resource } from './resources.ts';
import { objectKey, type Store } from './store.ts';
import { type Interruption, type ListWatchClient, Watcher, type WatchScope, type WatchSink } from './watcher.ts';

/** What logs and metrics want to know of informers. `kind` is the resource's, e.g. `Node`. What a method throws is ignored. */
export interface InformerObserver {
  /** The kind is about to be listed: at the start, and again whenever the server has forgotten where we were. */
  listing?(kind: string, how: 'streaming' | 'listing'): void;
  /** A list is whole, and the store equals it. */
  listed?(kind: string, objects: number): void;
  /** A request ended; the next one is made in `retryInMs` milliseconds. */
  interrupted?(kind: string, interruption: Interruption, retryInMs: number): void;
  /** An event of the watch. */
  event?(kind: string, type: 'told' | 'deleted' | 'bookmark'): void;
  /** An object could not be transformed; the store keeps what it had of it. */
  unreadable?(kind: string, key: string, error: unknown): void;
  /** A listener threw; the others and the informer go on. */
  listenerFailed?(kind: string, error: unknown): void;
}

export interface InformerOptions<T extends KubeObject, R extends KubeObject = T> extends WatchScope {
  readonly client: ListWatchClient;
  readonly resource: Resource<T>;
  /**
   * What the store keeps of an object, called as each one arrives. It must keep `metadata`'s name, namespace, uid and resourceVersion.
   * Without it the store keeps the whole object.
   */
  readonly transform?: (object: T) => R;
  readonly observer?: InformerObserver;
  /** A connection that brings no byte for so long is taken for dead, milliseconds. Default 90 s: bookmarks come every minute. */
  readonly idleTimeoutMs?: number;
  /** Objects a page where lists are not streamed. Default 500. */
  readonly pageSize?: number;
  /** After how long the server ends a watch, seconds. Default 300 to 600, drawn anew each time. */
  readonly watchSeconds?: number;
  /** From 0 to just under 1, for jitter. Default Math.random. */
  readonly random?: () => number;
}

/**
 * Keeps a store equal to the server's objects of a kind, and tells what changes. It never gives up: whatever fails is told to the observer
 * and tried again.
 *
 * Only objects that its selectors select may be given to {@link Informer.absorb}: the watch would never tell when another one goes.
 */
export class Informer<T extends KubeObject, R extends KubeObject = T> {
  readonly #options: InformerOptions<T, R>;
  readonly #replica = new Replica<R>();
  readonly #watcher: Watcher<T>;
  readonly #listeners = new Set<(change: Change<R>) => void>();
  readonly #untold: Change<R>[] = [];
  readonly #firstSync = Promise.withResolvers<void>();
  #telling = false;
  #synced = false;

  constructor(options: InformerOptions<T, R>) {
    this.#options = options;
    const { kind } = options.resource;
    this.#watcher = new Watcher<T>({
      ...options,
      sink: this.#sink(),
      onList: (how) => this.#observe((observer) => observer.listing?.(kind, how)),
      onInterruption: (interruption, retryInMs) =>
        this.#observe((observer) => observer.interrupted?.(kind, interruption, retryInMs)),
    });
  }

  get store(): Store<R> {
    return this.#replica.store;
  }

  /** Whether the store has once been equal to the server's list. */
  get synced(): boolean {
    return this.#synced;
  }

  /** When the server was last heard of about this kind, bookmarks included; milliseconds since the epoch. */
  get lastEventAt(): number | undefined {
    return this.#watcher.lastEventAt;
  }

  /**
   * Calls the listener after each change of the store, in order; one deleted and created again is told as both. By then the store may
   * hold later changes too. Gives a function that takes the listener away.
   */
  onChange(listener: (change: Change<R>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The server's answer to a write of ours, so that nobody acts on the state before it. What is known newer stays. */
  absorb(object: T): void {
    const record = this.#read(object);
    if (record !== undefined) this.#tell(this.#replica.absorb(record));
  }

  /** We deleted the object of this uid and it is gone (not merely marked): no late event of the watch brings it back. */
  absorbDeleted(ref: { readonly name: string; readonly namespace?: string }, uid: string): void {
    this.#tell(this.#replica.absorbDeleted(objectKey(ref), uid));
  }

  /** Follows the server until the signal aborts, and only then resolves. Call it once. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#watcher.run(signal);
  }

  /**
   * Resolves when the store has once been equal to the server's list.
   *
   * @throws the signal's reason when it aborts first.
   */
  async waitForSync(signal: AbortSignal): Promise<void> {
    await abortable(this.#firstSync.promise, signal);
  }

  #sink(): WatchSink<T> {
    let objects = new Map<string, R>();
    let unreadable = new Set<string>();
    const { kind } = this.#options.resource;
    return {
      listStarted: () => {
        objects = new Map();
        unreadable = new Set();
      },
      listed: (object) => {
        const key = objectKey(object.metadata);
        const record = this.#read(object);
        if (record === undefined) unreadable.add(key);
        else objects.set(key, record);
      },
      unlisted: ({ metadata }) => {
        objects.delete(objectKey(metadata));
        unreadable.delete(objectKey(metadata));
      },
      listFinished: (resourceVersion) => {
        const changes = this.#replica.replace({ objects, unreadable, resourceVersion });
        const listed = objects.size + unreadable.size;
        objects = new Map();
        unreadable = new Set();
        this.#tell(changes);
        this.#synced = true;
        this.#firstSync.resolve();
        this.#observe((observer) => observer.listed?.(kind, listed));
      },
      told: (object) => {
        const record = this.#read(object);
        if (record !== undefined) this.#tell(this.#replica.told(record));
        this.#observe((observer) => observer.event?.(kind, 'told'));
      },
      toldDeleted: (object) => {
        this.#tell(this.#replica.toldDeleted(object));
        this.#observe((observer) => observer.event?.(kind, 'deleted'));
      },
      toldBookmark: (resourceVersion) => {
        this.#replica.toldBookmark(resourceVersion);
        this.#observe((observer) => observer.event?.(kind, 'bookmark'));
      },
    };
  }

  /** What the store keeps of an object; undefined when it cannot be read: one strange object must not hold up its kind. */
  #read(object: T): R | undefined {
    const { transform, resource } = this.#options;
    try {
      if (isKeptWhole<T, R>(object, transform)) return object;
      return transform?.(object);
    } catch (error) {
      this.#observe((observer) => observer.unreadable?.(resource.kind, objectKey(object.metadata), error));
      return undefined;
    }
  }

  /** A listener may itself absorb something: that is told after what is being told now, so that all hear the same order. */
  #tell(changes: readonly Change<R>[]): void {
    for (const change of changes) this.#untold.push(change);
    if (this.#telling) return;
    this.#telling = true;
    for (let next = 0; next < this.#untold.length; next++) {
      const change = this.#untold[next];
      if (change !== undefined) this.#tellListeners(change);
    }
    this.#untold.length = 0;
    this.#telling = false;
  }

  #tellListeners(change: Change<R>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#observe((observer) => observer.listenerFailed?.(this.#options.resource.kind, error));
      }
    }
  }

  #observe(tell: (observer: InformerObserver) => void): void {
    const { observer } = this.#options;
    if (observer === undefined) return;
    try {
      tell(observer);
    } catch {
      // Logs and metrics never decide whether the cache lives; and whom would we tell?
    }
  }
}

/** Without a transform there is no other R than T. */
function isKeptWhole<T extends KubeObject, R extends KubeObject>(
  _object: T | R,
  transform: ((object: T) => R) | undefined,
): _object is R {
  return transform === undefined;
}
