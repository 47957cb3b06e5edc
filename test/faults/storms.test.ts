/** What becomes of the operator when the way to its API server is bad, or gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';

import { countByVerbAndResource } from '../harness/audit.ts';
import { eventually, holds } from '../harness/eventually.ts';
import { aModule, nodesOf } from '../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../harness/operated-cluster.ts';
import { KeptOperator } from './kept-operator.ts';
import { PATIENT_LEASE } from './lease.ts';
import { untilQuiet as untilQuietFor } from './quiet.ts';
import { TcpProxy } from './watch-proxy.ts';

const kmm = useOperatedCluster('storms');

/** A lease that an outage of 10 s outlasts, and a busy machine does not. */
const LEASE = [
  '--leader-elect-lease-duration=8s',
  '--leader-elect-renew-deadline=6s',
  '--leader-elect-retry-period=500ms',
  '--status-interval=100ms',
];
const PATIENT = [...PATIENT_LEASE, '--status-interval=100ms'];

/** The silence after the last change in which an operator that has nothing to do writes nothing. */
const untilQuiet = (): Promise<void> => untilQuietFor(kmm, { apartMs: 2_000, timeoutMs: 60_000 });

async function loaders(ref: ModuleRef): Promise<readonly string[]> {
  const pods = await kmm.pods(ref, 'module-loader');
  return pods
    .map(({ metadata, status }) => `${metadata.uid} ${status?.containerStatuses?.[0]?.containerID}`)
    .toSorted();
}

async function loadedModule(name: string): Promise<ModuleRef> {
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes(name, nodesOf(name), '6.1.0', '6.12.1');
  const ref = await kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin());
  await eventually(
    async () =>
      expect((await kmm.module(ref)).status).toMatchObject({ loaded: '2/2', devicePlugin: { availableNumber: 2 } }),
    { what: `${name} to be loaded`, timeoutMs: 120_000 },
  );
  await untilQuiet();
  return ref;
}

interface Outage {
  readonly server: string;
  /** Away, and back again; `stays` holds meanwhile, where there is a way to see it. */
  readonly pass: (stays: () => Promise<void>) => Promise<void>;
  readonly close: () => Promise<void>;
}

async function killedFor(ms: number): Promise<Outage> {
  const { controlPlane } = kmm;
  const pass = async (): Promise<void> => {
    await controlPlane.killApiServer();
    await delay(ms);
    await controlPlane.startApiServer();
  };
  return { server: controlPlane.server, pass, close: async () => undefined };
}

describe('an API server that is away', () => {
  it.each<[what: string, name: string, flags: readonly string[], away: () => Promise<Outage>]>([
    [
      'cut off without a word for 10 s: a leader ends when it cannot renew, and whoever is started then',
      'cut-off',
      LEASE,
      async () => {
        const proxy = await TcpProxy.start(kmm.controlPlane.server);
        return {
          server: proxy.url,
          pass: async (stays) => {
            proxy.swallow(true);
            await holds(stays, { what: 'what is loaded', forMs: 10_000, intervalMs: 1_000 });
            proxy.swallow(false);
          },
          close: () => proxy.close(),
        };
      },
    ],
    [
      'killed for 30 s: a leader ends when it cannot renew, and whoever is started then',
      'killed-long',
      LEASE,
      () => killedFor(30_000),
    ],
    ['killed for a second: the leader stays, and', 'killed-shortly', PATIENT, () => killedFor(1_000)],
  ])(
    '%s does what is due and no more',
    async (_what, name, flags, away) => {
      await kmm.operator.stop();
      const outage = await away();
      const operator = new KeptOperator(kmm.controlPlane, { server: outage.server, flags });
      try {
        const ref = await loadedModule(name);
        const before = await loaders(ref);
        const mark = await kmm.controlPlane.auditMark();
        await outage.pass(async () => expect(await loaders(ref)).toEqual(before));
        await kmm.edit(ref, { upgradePolicy: { maxUnavailable: 2 } });
        await eventually(
          async () => {
            const { metadata, status } = await kmm.module(ref);
            expect(status?.observedGeneration).toBe(metadata.generation);
          },
          { what: 'the edit after the outage to be seen', timeoutMs: 60_000 },
        );
        await untilQuiet();
        expect(await loaders(ref)).toEqual(before);
        // The edit changes the plugin's rolling update and the generation in status.
        const written = await kmm.operatorWrites(mark);
        expect(countByVerbAndResource(written)).toEqual(
          new Map([
            ['update daemonsets', 1],
            ['patch modules/status', 1],
          ]),
        );
        expect([...new Set(operator.ends)]).toEqual(flags === LEASE ? [1] : []);
      } finally {
        await operator.stop();
        await outage.close();
      }
    },
    180_000,
  );
});
