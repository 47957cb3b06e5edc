/** The informer on the real API server, with nothing broken; test/faults/watch*.test.ts breaks things. */

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { KubeClient } from '../../../src/kube/client.ts';
import { CONFIG_MAPS, EVENTS, type Event } from '../../../src/kube/core.ts';
import { Informer } from '../../../src/kube/informer.ts';
import { isNewer } from '../../../src/kube/resource-version.ts';
import type { ListWatchClient } from '../../../src/kube/watcher.ts';
import { aConfigMap, clientOf, type Followed, follow, inPages, Journal } from '../../faults/watch-fixture.ts';
import { type Cluster, useCluster } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { inParallel } from '../../harness/nodes.ts';

let cluster: Cluster;
let namespace: string;
let client: KubeClient;
let followed: Followed | undefined;

beforeAll(async () => {
  cluster = await useCluster();
});

beforeEach(async () => {
  namespace = await cluster.freshNamespace('informer');
  client = await clientOf(cluster.controlPlane);
});

afterEach(async () => {
  await followed?.stop();
  followed = undefined;
  await client?.close();
});

interface Requests {
  readonly lists: { readonly limit: number; readonly continued: boolean }[];
  readonly watchesFrom: string[];
}

/** Notes what is asked of the server, on the way there. */
function noting(requests: Requests, next: ListWatchClient): ListWatchClient {
  return {
    list: (resource, request) => {
      requests.lists.push({ limit: request.limit, continued: request.continue !== undefined });
      return next.list(resource, request);
    },
    watch: (resource, request) => {
      requests.watchesFrom.push(request.resourceVersion ?? 'a streamed list');
      return next.watch(resource, request);
    },
  };
}

describe('1,000 objects', () => {
  beforeEach(async () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `many-${index}`);
    await inParallel(names, 32, async (name) => {
      await cluster.admin.create(CONFIG_MAPS, aConfigMap(namespace, name));
    });
  });

  test('come as one streamed list, with no page asked for', async () => {
    const requests: Requests = { lists: [], watchesFrom: [] };
    followed = await follow(client, cluster.admin, namespace, { client: noting(requests, client) });
    expect(followed.informer.store.size).toBeGreaterThanOrEqual(1_000);
    await followed.expectServersList();
    expect(requests).toEqual({ lists: [], watchesFrom: ['a streamed list'] });
    expect(new Set(followed.journal.changes.map((change) => change.split(' ')[0]))).toEqual(new Set(['added']));
  });

  test('come in pages of 500 where the server streams no lists, and are watched from there', async () => {
    const requests: Requests = { lists: [], watchesFrom: [] };
    followed = await follow(client, cluster.admin, namespace, { client: noting(requests, inPages(client)) });
    expect(followed.informer.store.size).toBeGreaterThanOrEqual(1_000);
    await followed.expectServersList();
    // kube-root-ca.crt, which each namespace gets, makes a third page.
    expect(requests.lists.slice(0, 2)).toEqual([
      { limit: 500, continued: false },
      { limit: 500, continued: true },
    ]);
    expect(requests.lists.length).toBeLessThanOrEqual(3);
    await cluster.admin.delete(CONFIG_MAPS, { namespace, name: 'many-7' });
    await followed.expectServersList();
    expect(followed.journal.interruptions).toEqual(['refused']);
    expect(requests.watchesFrom).toHaveLength(2);
  });
});

test('bookmarks keep a quiet kind up to date: its watch resumes from later than anything that happened to it', async () => {
  const requests: Requests = { lists: [], watchesFrom: [] };
  // A server sends a bookmark two seconds before it ends a watch.
  followed = await follow(client, cluster.admin, namespace, { watchSeconds: 4, client: noting(requests, client) });
  const { informer, journal, expectServersList } = followed;
  // kube-root-ca.crt comes when it comes; only after it is the kind quiet.
  await eventually(() => expect(informer.store.size).toBe(1), { what: "the namespace's first ConfigMap" });
  journal.forget();
  const syncedAt = informer.lastEventAt ?? 0;
  const other = await cluster.freshNamespace('informer-other');
  const elsewhere = await cluster.admin.create(CONFIG_MAPS, aConfigMap(other, 'elsewhere'));
  await eventually(() => expect(journal.bookmarks).toBeGreaterThan(0), { what: 'a bookmark' });
  await eventually(() => expect(journal.interruptions).toContain('ended'), { what: 'the end of the watch' });
  expect(journal.told).toBe(0);
  expect(informer.lastEventAt).toBeGreaterThan(syncedAt);
  await eventually(() => expect(isNewer(elsewhere.metadata.resourceVersion, requests.watchesFrom.at(-1))).toBe(false), {
    what: 'a watch that begins no earlier than the write to another namespace',
  });
  await cluster.admin.create(CONFIG_MAPS, aConfigMap(namespace, 'late'));
  await expectServersList();
  expect(journal.lists).toEqual([]);
});

test('a kind whose quiet watches bring no bookmarks is followed all the same', async () => {
  const journal = new Journal();
  // kube-apiserver keeps no watch cache of Events, and only its watch cache makes bookmarks.
  const fieldSelector = 'involvedObject.kind=DaemonSet,reason=FailedCreate';
  const informer = new Informer<Event>({
    client,
    resource: EVENTS,
    namespace,
    fieldSelector,
    observer: journal,
    idleTimeoutMs: 1_000,
  });
  const anEvent = (name: string): Event => ({
    metadata: { name, namespace },
    involvedObject: { kind: 'DaemonSet', namespace, name: 'd' },
    reason: 'FailedCreate',
  });
  await cluster.admin.create(EVENTS, anEvent('first'));
  const end = new AbortController();
  const running = informer.run(end.signal);
  try {
    await informer.waitForSync(AbortSignal.timeout(30_000));
    expect(informer.store.list().map(({ metadata }) => metadata.name)).toEqual(['first']);
    const syncedAt = informer.lastEventAt ?? 0;
    await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(1), { what: 'two silent watches' });
    expect(informer.lastEventAt, 'each answer to a watch counts').toBeGreaterThan(syncedAt);
    expect(new Set(journal.interruptions)).toEqual(new Set(['idle']));
    await cluster.admin.create(EVENTS, anEvent('second'));
    await eventually(() => expect(informer.store.size).toBe(2), { what: 'the second event' });
    expect(journal.lists).toEqual(['streaming']);
  } finally {
    end.abort();
    await running;
  }
});

test('our own writes are in the store at once, and the watch tells none of them a second time', async () => {
  followed = await follow(client, cluster.admin, namespace);
  const { informer, journal, expectServersList } = followed;
  const ref = { namespace, name: 'own' };
  informer.absorb(await client.create(CONFIG_MAPS, aConfigMap(namespace, 'own')));
  expect(informer.store.get(`${namespace}/own`)?.data).toEqual({ value: '' });
  informer.absorb(await client.patch(CONFIG_MAPS, ref, { type: 'merge', body: { data: { value: 'patched' } } }));
  expect(informer.store.get(`${namespace}/own`)?.data).toEqual({ value: 'patched' });
  const uid = informer.store.get(`${namespace}/own`)?.metadata.uid ?? '';
  await client.delete(CONFIG_MAPS, ref, { preconditions: { uid } });
  informer.absorbDeleted(ref, uid);
  expect(informer.store.get(`${namespace}/own`)).toBeUndefined();
  // A write after ours: when it is there, the watch is past ours.
  await cluster.admin.create(CONFIG_MAPS, aConfigMap(namespace, 'later'));
  await eventually(() => expect(journal.changes).toContain('added later'), { what: 'the later write' });
  await expectServersList();
  expect(journal.changes.filter((change) => change.endsWith(' own'))).toEqual([
    'added own',
    'updated own',
    'deleted own',
  ]);
});

test('only what the selectors select is kept, and an object that they select no more is told as deleted', async () => {
  const labelled = (name: string, value: string) => ({ metadata: { namespace, name, labels: { informer: value } } });
  await cluster.admin.create(CONFIG_MAPS, labelled('in', 'yes'));
  await cluster.admin.create(CONFIG_MAPS, labelled('out', 'no'));
  followed = await follow(client, cluster.admin, namespace, { labelSelector: 'informer=yes' });
  const { informer, journal } = followed;
  expect(journal.changes).toEqual(['added in']);
  await cluster.admin.patch(CONFIG_MAPS, { namespace, name: 'out' }, { metadata: { labels: { informer: 'yes' } } });
  await cluster.admin.patch(CONFIG_MAPS, { namespace, name: 'in' }, { metadata: { labels: { informer: null } } });
  await eventually(() => expect(journal.changes).toEqual(['added in', 'added out', 'deleted in']), {
    what: 'both changes',
  });
  expect(informer.store.list().map(({ metadata }) => metadata.name)).toEqual(['out']);
});
