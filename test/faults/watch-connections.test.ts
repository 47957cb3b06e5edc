/** What becomes of an informer when its connections go and the API server stays. Each test counts how often it connected again. */

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CONFIG_MAPS } from '../../src/kube/core.ts';
import { ApiError } from '../../src/kube/errors.ts';
import { Informer } from '../../src/kube/informer.ts';
import { type Cluster, useCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import {
  aConfigMap,
  changeTheWorld,
  clientOf,
  createTheWorld,
  type Followed,
  follow,
  Journal,
  WHAT_CHANGED,
} from './watch-fixture.ts';
import { TcpProxy } from './watch-proxy.ts';

let cluster: Cluster;
let namespace: string;
let proxy: TcpProxy;
let followed: Followed | undefined;

beforeAll(async () => {
  cluster = await useCluster();
});

beforeEach(async () => {
  namespace = await cluster.freshNamespace('watch-connections');
  await createTheWorld(cluster.admin, namespace);
  proxy = await TcpProxy.start(cluster.controlPlane.server);
});

afterEach(async () => {
  await followed?.stop();
  followed = undefined;
  await proxy?.close();
});

async function followThroughProxy(options: Parameters<typeof follow>[3] = {}): Promise<Followed> {
  const client = await clientOf(cluster.controlPlane, { server: proxy.url });
  followed = await follow(client, cluster.admin, namespace, { idleTimeoutMs: 2_000, ...options });
  await followed.expectServersList();
  followed.journal.forget();
  return followed;
}

describe('an informer whose connection', () => {
  test('is reset connects once more and resumes, without a list', async () => {
    const { journal, expectServersList } = await followThroughProxy({ idleTimeoutMs: 30_000 });
    const connections = proxy.accepted;
    proxy.resetAll();
    await changeTheWorld(cluster.admin, namespace);
    await expectServersList();
    expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
    expect(journal.interruptions).toEqual(['failed']);
    expect(journal.lists).toEqual([]);
    expect(proxy.accepted - connections).toBe(1);
  });

  test('is half-open, with no bytes and no FIN, is given up and resumed, without a list', async () => {
    const { informer, journal, expectServersList } = await followThroughProxy();
    const connections = proxy.accepted;
    const whenFirstTold: { interruptions: readonly string[]; connections: number }[] = [];
    informer.onChange(() =>
      whenFirstTold.push({ interruptions: [...journal.interruptions], connections: proxy.accepted - connections }),
    );
    proxy.silenceAll();
    await changeTheWorld(cluster.admin, namespace);
    await expectServersList();
    expect(whenFirstTold[0]).toEqual({ interruptions: ['idle'], connections: 1 });
    expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
    expect(journal.lists).toEqual([]);
  });

  test('is ended in order by the server resumes at once on the same socket, and never lists', async () => {
    const { journal, expectServersList } = await followThroughProxy({ watchSeconds: 1, idleTimeoutMs: 30_000 });
    const connections = proxy.accepted;
    await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(2), { what: 'three ends of a watch' });
    await changeTheWorld(cluster.admin, namespace);
    await expectServersList();
    expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
    expect(new Set(journal.interruptions)).toEqual(new Set(['ended']));
    expect(journal.lists).toEqual([]);
    expect(proxy.accepted - connections).toBeLessThanOrEqual(1);
  });

  test('is away while an object is deleted and created anew tells a delete and an add, of two uids', async () => {
    const { informer, journal, expectServersList } = await followThroughProxy();
    const uids: string[] = [];
    informer.onChange(({ type, object }) => {
      if (object.metadata.name === 'reborn') uids.push(`${type} ${object.metadata.uid}`);
    });
    const before = informer.store.get(`${namespace}/reborn`)?.metadata.uid;
    proxy.swallow(true);
    await changeTheWorld(cluster.admin, namespace);
    await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(1), { what: 'two silent connections' });
    expect(journal.changes).toEqual([]);
    proxy.swallow(false);
    await expectServersList();
    const after = informer.store.get(`${namespace}/reborn`)?.metadata.uid;
    expect(uids).toEqual([`deleted ${before}`, `added ${after}`]);
    expect(journal.lists).toEqual([]);
  });

  test('cannot be made at first syncs as soon as it can', async () => {
    const client = await clientOf(cluster.controlPlane, { server: proxy.url });
    const journal = new Journal();
    proxy.swallow(true);
    const informer = new Informer({
      client,
      resource: CONFIG_MAPS,
      namespace,
      observer: journal,
      idleTimeoutMs: 1_000,
    });
    const end = new AbortController();
    const running = informer.run(end.signal);
    try {
      await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(1), { what: 'two failures' });
      expect(informer.synced).toBe(false);
      proxy.swallow(false);
      await informer.waitForSync(AbortSignal.timeout(30_000));
      expect(informer.store.get(`${namespace}/kept`)).toBeDefined();
    } finally {
      end.abort();
      await running;
      await client.close();
    }
  });
});

test('an informer that loses its rights keeps what it knows, says so, and goes on when it has them again', async () => {
  const { admin, controlPlane } = cluster;
  await controlPlane.kubectl(['create', 'serviceaccount', 'follower', '-n', namespace]);
  const grant = (): Promise<string> =>
    controlPlane.kubectl([
      'create',
      'rolebinding',
      'view',
      '-n',
      namespace,
      '--clusterrole=view',
      `--serviceaccount=${namespace}:follower`,
    ]);
  await grant();
  const kubeconfig = await controlPlane.serviceAccountKubeconfig(namespace, 'follower');
  const client = await clientOf(controlPlane, { kubeconfig });
  followed = await follow(client, admin, namespace, { watchSeconds: 1 });
  const { informer, journal, expectServersList } = followed;
  await expectServersList();
  journal.forget();

  await controlPlane.kubectl(['delete', 'rolebinding', 'view', '-n', namespace]);
  await eventually(() => expect(journal.errors.length).toBeGreaterThan(1), { what: 'two refusals' });
  expect(journal.errors.every((error) => error instanceof ApiError && error.status === 403)).toBe(true);
  expect(informer.synced).toBe(true);
  expect(informer.store.get(`${namespace}/kept`)).toBeDefined();
  await admin.create(CONFIG_MAPS, aConfigMap(namespace, 'unseen'));

  await grant();
  await expectServersList();
  expect(journal.lists).toEqual([]);
});
