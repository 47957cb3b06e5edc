/** The API server is away for minutes, and has forgotten the past when it comes back. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { countByVerbAndResource } from '../../harness/audit.ts';
import { eventually } from '../../harness/eventually.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { KeptOperator } from '../kept-operator.ts';
import { untilQuiet } from '../quiet.ts';
import { TcpProxy } from '../watch-proxy.ts';
import { fourNodes, loaderUIDs, untilLoadedEverywhere } from './loaded.ts';
import { LONG_TEST_MS, OUTAGE_MS } from './settings.ts';

const kmm = useOperatedCluster('outage');

it(
  'an outage of minutes, with compacted history at its end, replaces no pod and costs no write but what is due',
  async () => {
    await kmm.operator.stop();
    const proxy = await TcpProxy.start(kmm.controlPlane.server);
    // As it is installed: the leader gives up after 10 s, and the kubelet starts it again.
    const operator = new KeptOperator(kmm.controlPlane, { server: proxy.url });
    try {
      const ref = await fourNodes(kmm, 'outage');
      await untilLoadedEverywhere(kmm, ref, '1');
      await untilQuiet(kmm, { apartMs: 12_000 });
      const before = await loaderUIDs(kmm, ref);
      const mark = await kmm.controlPlane.auditMark();
      proxy.swallow(true);
      // What the operator does not see: a label of somebody's comes and goes, and with it the history that it could resume from.
      await kmm.cluster.nodes.label('outage-0', { unseen: 'yes' });
      await kmm.controlPlane.killApiServer();
      await delay(OUTAGE_MS);
      await kmm.controlPlane.startApiServer();
      await kmm.cluster.nodes.label('outage-0', { unseen: null });
      await kmm.controlPlane.expireHistory();
      proxy.swallow(false);
      await kmm.edit(ref, { upgradePolicy: { maxUnavailable: 2 } });
      await eventually(
        async () => {
          const { metadata, status } = await kmm.module(ref);
          expect(status?.observedGeneration).toBe(metadata.generation);
        },
        { what: 'the edit after the outage to be seen', timeoutMs: 180_000 },
      );
      await untilQuiet(kmm, { apartMs: 12_000 });
      console.log(
        `outage of ${OUTAGE_MS / 1_000} s; the operator ended ${operator.ends.length} times: ${operator.ends.join()}`,
      );
      expect(await loaderUIDs(kmm, ref)).toEqual(before);
      expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(
        new Map([
          ['update daemonsets', 1],
          ['patch modules/status', 1],
        ]),
      );
      expect(new Set([1, ...operator.ends])).toEqual(new Set([1]));
    } finally {
      await operator.stop();
      await proxy.close();
    }
  },
  LONG_TEST_MS,
);
