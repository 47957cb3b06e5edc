/** Random histories on the API server, with faults on the way and the operator killed now and then. */
import { expect, it } from 'vitest';

import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { FaultProxy, FINE, STORMY } from '../fault-proxy.ts';
import { KeptOperator } from '../kept-operator.ts';
import { expectNothingDue } from '../nothing-due.ts';
import { clearAway, playTogether } from '../server-history.ts';
import { HISTORIES, LONG_TEST_MS, SEED } from './settings.ts';

const AT_ONCE = 20;

const kmm = useOperatedCluster('histories');

it(
  'hundreds of random histories come to a good end',
  async () => {
    await kmm.operator.stop();
    const proxy = await FaultProxy.start(kmm.controlPlane, { seed: SEED });
    const operator = new KeptOperator(kmm.controlPlane, {
      server: proxy.url,
      flags: ['--leader-elect=false', '--status-interval=100ms'],
    });
    try {
      for (let played = 0; played < HISTORIES; played += AT_ONCE) {
        const count = Math.min(AT_ONCE, HISTORIES - played);
        proxy.weather = STORMY;
        await playTogether(kmm, { seed: SEED + played, count, steps: 12 }, () => operator.kill());
        proxy.weather = FINE;
        await expectNothingDue(kmm, operator.process, (between) => operator.replace(between));
        await clearAway(kmm);
        console.log(`${played + count} of ${HISTORIES} histories, seeds from ${SEED}; kills: ${operator.ends.length}`);
      }
      expect(new Set(operator.ends)).toEqual(new Set(['SIGKILL']));
    } finally {
      await operator.stop();
      await proxy.close();
    }
  },
  LONG_TEST_MS,
);
