/** Two operators that both believe they lead: each has a Lease of its own. */
import { expect, it } from 'vitest';

import { readyLabel } from '../../../src/api/labels.ts';
import { countByVerbAndResource } from '../../harness/audit.ts';
import { eventually } from '../../harness/eventually.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { KeptOperator } from '../kept-operator.ts';
import { untilQuiet } from '../quiet.ts';
import { fourNodes, mapped, untilGone, untilLoadedEverywhere } from './loaded.ts';
import { LONG_TEST_MS } from './settings.ts';

const kmm = useOperatedCluster('split');

it(
  'two leaders do not fight: they keep to the budget together, come to the same end, and are silent then',
  async () => {
    await kmm.operator.stop();
    const both = ['one', 'other'].map(
      (name) => new KeptOperator(kmm.controlPlane, { flags: [`--leader-election-id=${name}`, '--status-interval=1s'] }),
    );
    try {
      await eventually(
        async () => {
          for (const [index, name] of ['one', 'other'].entries()) {
            expect(await both[index]?.process.metric(`leader_election_master_status{name="${name}"}`)).toBe(1);
          }
        },
        { what: 'both to lead', timeoutMs: 120_000 },
      );
      const ref = await fourNodes(kmm, 'split');
      await untilLoadedEverywhere(kmm, ref, '1');
      await untilQuiet(kmm);
      let most = 0;
      const done = new AbortController();
      const watching = (async () => {
        while (!done.signal.aborted) {
          // One list: nodes that are asked one by one answer of different moments.
          const without = (await kmm.nodes()).filter(
            ({ metadata }) => metadata.labels?.[readyLabel(ref)] === undefined,
          );
          most = Math.max(most, without.length);
        }
      })();
      await kmm.edit(ref, mapped('2'));
      await untilLoadedEverywhere(kmm, ref, '2');
      done.abort();
      await watching;
      expect(most, 'nodes without the module at once, where 1 may be').toBe(1);
      await kmm.cluster.nodes.reboot('split-0', { kernel: '6.9.9' });
      await untilLoadedEverywhere(kmm, ref, '2');
      await untilQuiet(kmm);
      const mark = await kmm.controlPlane.auditMark();
      await untilQuiet(kmm, { apartMs: 20_000 });
      expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(new Map());
      await untilGone(kmm, ref);
      expect(both.flatMap(({ ends }) => ends)).toEqual([]);
      console.log(
        `two leaders: ${most} node at most without the module, ${(await kmm.operatorWrites(0)).length} writes in all`,
      );
    } finally {
      for (const operator of both) await operator.stop();
    }
  },
  LONG_TEST_MS,
);
