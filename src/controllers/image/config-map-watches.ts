import { CONFIG_MAP_METADATA } from '../../kube/core.ts';
import { Informer, type InformerObserver } from '../../kube/informer.ts';
import type { KubeObject } from '../../kube/objects.ts';
import type { ListWatchClient } from '../../kube/watcher.ts';

export type ConfigMapLookup =
  /** Nobody has asked the server yet. */
  | { readonly state: 'unknown' }
  | { readonly state: 'missing' }
  | { readonly state: 'there'; readonly uid: string; readonly resourceVersion: string };

interface Following {
  readonly informer: Informer<KubeObject>;
  readonly stop: AbortController;
  /** Keys of the Modules that build from it. */
  readonly followers: Set<string>;
}

/**
 * Watches, one by one and by metadata alone, the ConfigMaps that hold somebody's Dockerfile: a cluster has thousands of others, which are
 * nobody's business here. A watch ends when no Module names its ConfigMap any more.
 */
export class ConfigMapWatches {
  readonly #client: ListWatchClient;
  readonly #wake: (moduleKey: string) => void;
  readonly #observer: InformerObserver | undefined;
  readonly #following = new Map<string, Following>();
  readonly #runs = new Set<Promise<void>>();
  #signal: AbortSignal | undefined;

  constructor(client: ListWatchClient, wake: (moduleKey: string) => void, observer?: InformerObserver) {
    this.#client = client;
    this.#wake = wake;
    this.#observer = observer;
  }

  /** Until the signal aborts; resolves when every watch has ended. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    for (const following of this.#following.values()) this.#start(following, signal);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.all(this.#runs);
  }

  /** From now on the Module is woken by these ConfigMaps of its namespace, and by no others. */
  follow(moduleKey: string, namespace: string, names: ReadonlySet<string>): void {
    for (const [key, following] of this.#following) {
      const isWanted = key.startsWith(`${namespace}/`) && names.has(key.slice(namespace.length + 1));
      if (isWanted || !following.followers.delete(moduleKey) || following.followers.size > 0) continue;
      following.stop.abort();
      this.#following.delete(key);
    }
    for (const name of names) {
      const key = `${namespace}/${name}`;
      const following = this.#following.get(key) ?? this.#create(key, namespace, name);
      following.followers.add(moduleKey);
    }
  }

  look(namespace: string, name: string): ConfigMapLookup {
    const following = this.#following.get(`${namespace}/${name}`);
    if (following?.informer.synced !== true) return { state: 'unknown' };
    const metadata = following.informer.store.get(`${namespace}/${name}`)?.metadata;
    if (metadata?.uid === undefined || metadata.resourceVersion === undefined) return { state: 'missing' };
    return { state: 'there', uid: metadata.uid, resourceVersion: metadata.resourceVersion };
  }

  #create(key: string, namespace: string, name: string): Following {
    const informer = new Informer({
      client: this.#client,
      resource: CONFIG_MAP_METADATA,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      transform: ({ metadata: { name, namespace, uid, resourceVersion } }: KubeObject): KubeObject => ({
        metadata: { name, namespace, uid, resourceVersion },
      }),
      ...(this.#observer === undefined ? {} : { observer: this.#observer }),
    });
    const following: Following = { informer, stop: new AbortController(), followers: new Set() };
    const wakeAll = (): void => {
      for (const moduleKey of following.followers) this.#wake(moduleKey);
    };
    informer.onChange(wakeAll);
    // That it is not there is news too.
    informer.waitForSync(following.stop.signal).then(wakeAll, () => undefined);
    this.#following.set(key, following);
    if (this.#signal !== undefined) this.#start(following, this.#signal);
    return following;
  }

  #start({ informer, stop }: Following, signal: AbortSignal): void {
    const run = informer.run(AbortSignal.any([signal, stop.signal])).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }
}
