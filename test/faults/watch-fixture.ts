/** An informer of ConfigMaps on a real API server, and what a test wants to know of it. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse, stringify } from 'yaml';
import { KubeClient } from '../../src/kube/client.ts';
import { loadConnection } from '../../src/kube/config.ts';
import { CONFIG_MAPS, type ConfigMap } from '../../src/kube/core.ts';
import { Informer, type InformerObserver, type InformerOptions } from '../../src/kube/informer.ts';
import { objectKey } from '../../src/kube/store.ts';
import type { ListWatchClient } from '../../src/kube/watcher.ts';
import type { AdminClient } from '../harness/admin.ts';
import type { ControlPlane } from '../harness/control-plane.ts';
import { eventually } from '../harness/eventually.ts';

/** A client of the control plane as its administrator or, with `kubeconfig`, as whoever that names; through `server` if given. */
export async function clientOf(
  controlPlane: ControlPlane,
  options: { readonly kubeconfig?: string; readonly server?: string } = {},
): Promise<KubeClient> {
  let kubeconfig = options.kubeconfig ?? controlPlane.kubeconfig;
  if (options.server !== undefined) {
    const config = parse(await readFile(kubeconfig, 'utf8'));
    for (const { cluster } of config.clusters) cluster.server = options.server;
    kubeconfig = join(controlPlane.directory, `kubeconfig-${new URL(options.server).port}`);
    await writeFile(kubeconfig, stringify(config), { mode: 0o600 });
  }
  return new KubeClient({ connection: await loadConnection({ kubeconfig }), userAgent: 'kmm-informer-test/0' });
}

/** The client, on whose server streamed lists are refused: the server itself finds this form of the request invalid. */
export function inPages(client: ListWatchClient): ListWatchClient {
  return {
    list: (resource, request) => client.list(resource, request),
    watch: (resource, request) =>
      client.watch(
        resource,
        request.sendInitialEvents === true ? { ...request, sendInitialEvents: undefined } : request,
      ),
  };
}

/** What an informer told its observer and listeners, for counting. */
export class Journal implements Required<InformerObserver> {
  readonly lists: string[] = [];
  /** Reasons of interruptions, in order: how often and why the informer had to connect again. */
  readonly interruptions: string[] = [];
  readonly errors: unknown[] = [];
  readonly changes: string[] = [];
  bookmarks = 0;
  told = 0;

  listing(_kind: string, how: string): void {
    this.lists.push(how);
  }

  listed(): void {
    // The test looks at the store.
  }

  interrupted(_kind: string, interruption: Parameters<Required<InformerObserver>['interrupted']>[1]): void {
    this.interruptions.push(interruption.reason);
    if ('error' in interruption) this.errors.push(interruption.error);
  }

  event(_kind: string, type: string): void {
    if (type === 'bookmark') this.bookmarks++;
    else this.told++;
  }

  unreadable(_kind: string, _key: string, error: unknown): void {
    this.errors.push(error);
  }

  listenerFailed(_kind: string, error: unknown): void {
    this.errors.push(error);
  }

  forget(): void {
    for (const list of [this.lists, this.interruptions, this.errors, this.changes]) list.length = 0;
    this.bookmarks = 0;
    this.told = 0;
  }
}

export interface Followed {
  readonly informer: Informer<ConfigMap>;
  readonly journal: Journal;
  /** Waits until the store equals what the server lists, by uid and resourceVersion. */
  readonly expectServersList: () => Promise<void>;
  /** Ends the informer and its client. */
  readonly stop: () => Promise<void>;
}

/** Runs an informer of the namespace's ConfigMaps and returns when it is synced. */
export async function follow(
  client: KubeClient,
  admin: AdminClient,
  namespace: string,
  options: Partial<InformerOptions<ConfigMap>> = {},
): Promise<Followed> {
  const journal = new Journal();
  const informer = new Informer<ConfigMap>({ client, resource: CONFIG_MAPS, namespace, observer: journal, ...options });
  informer.onChange(({ type, object }) => {
    // Each namespace gets this one, at a moment that is not ours to choose.
    if (object.metadata.name !== 'kube-root-ca.crt') journal.changes.push(`${type} ${object.metadata.name}`);
  });
  const end = new AbortController();
  const running = informer.run(end.signal);
  await informer.waitForSync(AbortSignal.timeout(60_000));
  if (journal.interruptions.some((reason) => reason !== 'refused')) {
    throw new Error(`the informer synced only after ${journal.interruptions.join(', ')}`);
  }
  return {
    informer,
    journal,
    expectServersList: () => expectServersList(informer, admin, namespace),
    stop: async () => {
      end.abort();
      await running;
      await client.close();
    },
  };
}

async function expectServersList(informer: Informer<ConfigMap>, admin: AdminClient, namespace: string): Promise<void> {
  await eventually(
    async () => {
      const server = statesOf(await admin.list(CONFIG_MAPS, { namespace }));
      const store = statesOf(informer.store.list());
      if (server !== store) throw new Error(`the server has\n${server}\nand the store\n${store}`);
    },
    { what: 'the store to equal the list of the server', timeoutMs: 60_000 },
  );
}

function statesOf(objects: readonly ConfigMap[]): string {
  return objects
    .map(({ metadata }) => `${objectKey(metadata)} ${metadata.uid}@${metadata.resourceVersion}`)
    .sort()
    .join('\n');
}

/** What a test has there when it begins: one object for each thing that can become of it. */
export async function createTheWorld(admin: AdminClient, namespace: string): Promise<void> {
  for (const name of ['kept', 'doomed', 'reborn']) await admin.create(CONFIG_MAPS, aConfigMap(namespace, name));
}

export async function changeTheWorld(admin: AdminClient, namespace: string): Promise<void> {
  await admin.delete(CONFIG_MAPS, { namespace, name: 'doomed' });
  await admin.delete(CONFIG_MAPS, { namespace, name: 'reborn' });
  await admin.create(CONFIG_MAPS, aConfigMap(namespace, 'reborn'));
  await admin.create(CONFIG_MAPS, aConfigMap(namespace, 'new'));
  await admin.patch(CONFIG_MAPS, { namespace, name: 'kept' }, { data: { value: 'changed' } });
}

/** Each change of changeTheWorld once and no other, sorted. */
export const WHAT_CHANGED = ['added new', 'added reborn', 'deleted doomed', 'deleted reborn', 'updated kept'];

export function aConfigMap(namespace: string, name: string, value = ''): ConfigMap {
  return { metadata: { namespace, name }, data: { value } };
}
