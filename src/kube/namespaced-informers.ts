import { Informer, type InformerOptions } from './informer.ts';
import type { KubeObject } from './objects.ts';
import type { Change } from './replica.ts';
import type { Store } from './store.ts';

/** What is known of a kind, kept equal to the server: by one informer, or by one for each of some namespaces. */
export type ObjectCache<T extends KubeObject, R extends KubeObject = T> = Pick<
  Informer<T, R>,
  'store' | 'synced' | 'lastEventAt' | 'onChange' | 'absorb' | 'absorbDeleted' | 'run' | 'waitForSync'
>;

/**
 * Follows a kind in these namespaces, or in all where none are given. Each namespace has a list and a watch of its own, so that a Role in
 * each of them is right enough; a namespace that is not there yet is empty until it is.
 */
export function followNamespaces<T extends KubeObject, R extends KubeObject = T>(
  options: Omit<InformerOptions<T, R>, 'namespace'>,
  namespaces: readonly string[],
): ObjectCache<T, R> {
  if (namespaces.length === 0) return new Informer(options);
  return new NamespacedInformers(
    new Map(namespaces.map((namespace) => [namespace, new Informer({ ...options, namespace })])),
  );
}

class NamespacedInformers<T extends KubeObject, R extends KubeObject> implements ObjectCache<T, R> {
  readonly store: Store<R>;
  readonly #informers: ReadonlyMap<string, Informer<T, R>>;

  constructor(informers: ReadonlyMap<string, Informer<T, R>>) {
    this.#informers = informers;
    this.store = new UnitedStore(new Map([...informers].map(([namespace, { store }]) => [namespace, store])));
  }

  get synced(): boolean {
    return [...this.#informers.values()].every(({ synced }) => synced);
  }

  /** Of the namespace that has been silent longest: a watch that died in one must not hide behind the others. */
  get lastEventAt(): number | undefined {
    let earliest: number | undefined;
    for (const { lastEventAt } of this.#informers.values()) {
      if (lastEventAt === undefined) return undefined;
      earliest = Math.min(earliest ?? lastEventAt, lastEventAt);
    }
    return earliest;
  }

  onChange(listener: (change: Change<R>) => void): () => void {
    const ends = [...this.#informers.values()].map((informer) => informer.onChange(listener));
    return () => {
      for (const end of ends) end();
    };
  }

  /** An object of a namespace that is not followed is nobody's business here. */
  absorb(object: T): void {
    this.#informers.get(object.metadata.namespace ?? '')?.absorb(object);
  }

  absorbDeleted(ref: { readonly name: string; readonly namespace?: string }, uid: string): void {
    this.#informers.get(ref.namespace ?? '')?.absorbDeleted(ref, uid);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.run(signal)));
  }

  async waitForSync(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.waitForSync(signal)));
  }
}

/** The stores of some namespaces, read as one. */
class UnitedStore<R extends KubeObject> implements Store<R> {
  readonly #stores: ReadonlyMap<string, Store<R>>;
  #lists: readonly (readonly R[])[] = [];
  #list: readonly R[] = [];

  constructor(stores: ReadonlyMap<string, Store<R>>) {
    this.#stores = stores;
  }

  get(key: string): R | undefined {
    const [namespace = ''] = key.split('/', 1);
    return this.#stores.get(namespace)?.get(key);
  }

  list(): readonly R[] {
    const lists = this.#all().map((store) => store.list());
    // Each store gives the same array until it changes: so does this one.
    if (lists.some((list, index) => list !== this.#lists[index])) {
      this.#lists = lists;
      this.#list = lists.flat();
    }
    return this.#list;
  }

  get size(): number {
    return this.#all().reduce((sum, { size }) => sum + size, 0);
  }

  addIndex(name: string, keysOf: (object: R) => readonly string[]): void {
    for (const store of this.#all()) store.addIndex(name, keysOf);
  }

  byIndex(name: string, key: string): readonly R[] {
    const found = this.#all()
      .map((store) => store.byIndex(name, key))
      .filter((objects) => objects.length > 0);
    return found.length === 1 ? (found[0] ?? []) : found.flat();
  }

  #all(): readonly Store<R>[] {
    return [...this.#stores.values()];
  }
}
