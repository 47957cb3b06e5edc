/** What becomes of an informer when its API server goes or forgets. Each test counts how often it connected and listed again. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { type Cluster, clusterAround } from '../harness/cluster.ts';
import { type ControlPlane, startControlPlane } from '../harness/control-plane.ts';
import { eventually } from '../harness/eventually.ts';
import {
  changeTheWorld,
  clientOf,
  createTheWorld,
  type Followed,
  follow,
  inPages,
  WHAT_CHANGED,
} from './watch-fixture.ts';
import { TcpProxy } from './watch-proxy.ts';

let controlPlane: ControlPlane;
let cluster: Cluster;
let namespace: string;
let proxy: TcpProxy;
let followed: Followed | undefined;

beforeAll(async () => {
  controlPlane = await startControlPlane({ name: 'watch', audit: false });
  cluster = await clusterAround(controlPlane);
});

afterAll(async () => {
  await cluster?.admin.close();
  await controlPlane?.stop();
});

beforeEach(async () => {
  namespace = await cluster.freshNamespace('watch');
  await createTheWorld(cluster.admin, namespace);
  proxy = await TcpProxy.start(controlPlane.server);
});

afterEach(async () => {
  await followed?.stop();
  followed = undefined;
  await proxy?.close();
});

async function followThroughProxy(wrap: typeof inPages = (client) => client, idleTimeoutMs = 2_000): Promise<Followed> {
  const client = await clientOf(controlPlane, { server: proxy.url });
  followed = await follow(client, cluster.admin, namespace, { idleTimeoutMs, client: wrap(client) });
  await followed.expectServersList();
  followed.journal.forget();
  return followed;
}

describe('an informer whose API server', () => {
  test('is killed and started again resumes where it was, and lists only if it is told that this is forgotten', async () => {
    // A server that starts takes connections before it answers: silence is not what is tested here.
    const { journal, expectServersList } = await followThroughProxy(undefined, 60_000);
    await controlPlane.killApiServer();
    await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(1), { what: 'the first failed retry' });
    await controlPlane.startApiServer();
    await changeTheWorld(cluster.admin, namespace);
    await expectServersList();
    expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
    // A server's watch cache knows nothing older than its own first list (kubernetes, apiserver/pkg/storage/cacher/watch_cache.go,
    // getAllEventsSinceLocked): where anything at all was written between our last event and its start, it says 410.
    const forgotten = journal.interruptions.filter((reason) => reason === 'gone');
    expect(forgotten.length).toBeLessThanOrEqual(1);
    expect(journal.lists).toEqual(forgotten.map(() => 'streaming'));
    expect(new Set(journal.interruptions)).toEqual(new Set(['failed', ...forgotten]));
  });

  test('is stopped with its connections open notices the silence, and goes on once it runs again', async () => {
    const { journal, expectServersList } = await followThroughProxy();
    await controlPlane.pause('kube-apiserver');
    await eventually(() => expect(journal.interruptions.length).toBeGreaterThan(1), { what: 'two silent connections' });
    await controlPlane.resume('kube-apiserver');
    await changeTheWorld(cluster.admin, namespace);
    await expectServersList();
    expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
    expect(journal.lists).toEqual([]);
    expect(new Set(journal.interruptions)).toEqual(new Set(['idle']));
  });

  test.each([
    ['a streamed list', undefined, 'streaming'],
    ['a list in pages', inPages, 'listing'],
  ])(
    'has forgotten where it was gets %s, which tells an object that was created anew as a delete and an add',
    async (_, wrap, how) => {
      const { journal, expectServersList } = await followThroughProxy(wrap);
      proxy.swallow(true);
      await changeTheWorld(cluster.admin, namespace);
      await controlPlane.expireHistory();
      expect(journal.changes).toEqual([]);
      proxy.swallow(false);
      await expectServersList();
      expect(journal.changes.toSorted()).toEqual(WHAT_CHANGED);
      expect(journal.changes.indexOf('deleted reborn')).toBeLessThan(journal.changes.indexOf('added reborn'));
      expect(journal.lists).toEqual([how]);
      expect(journal.interruptions.filter((reason) => reason === 'gone')).toHaveLength(1);
    },
  );
});
