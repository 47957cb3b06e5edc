/** Random histories on an API server that refuses now and then; `make faults` plays hundreds. */
import { expect, it } from 'vitest';

import { useOperatedCluster } from '../harness/operated-cluster.ts';
import { FaultProxy, FINE, STORMY } from './fault-proxy.ts';
import { KeptOperator } from './kept-operator.ts';
import { expectNothingDue } from './nothing-due.ts';
import { playTogether } from './server-history.ts';

// A control plane of its own: where the API server had been killed twice before, pods stayed Pending on their nodes in two runs of three.
const kmm = useOperatedCluster('histories');

/** The same every time in CI; FAULTS_SEED plays others. */
const SEED = Number(process.env['FAULTS_SEED'] ?? 1);

it('20 random histories, with 429s and 500s among the answers and the operator killed now and then, come to a good end', async () => {
  await kmm.operator.stop();
  console.log(`20 histories on the API server, FAULTS_SEED=${SEED}`);
  const proxy = await FaultProxy.start(kmm.controlPlane, { seed: SEED });
  proxy.weather = STORMY;
  const operator = new KeptOperator(kmm.controlPlane, {
    server: proxy.url,
    flags: ['--leader-elect=false', '--status-interval=100ms'],
  });
  try {
    await playTogether(kmm, { seed: SEED, count: 20, steps: 8 }, () => operator.kill());
    console.log(
      `answered with 429: ${proxy.met.tooMany}, 500: ${proxy.met.broken}, 500 after it was done: ${proxy.met.brokenAfter}; kills: ${operator.ends.length}`,
    );
    expect(proxy.met.tooMany).toBeGreaterThan(0);
    expect(proxy.met.broken).toBeGreaterThan(0);
    expect(proxy.met.brokenAfter).toBeGreaterThan(0);
    proxy.weather = FINE;
    await expectNothingDue(kmm, operator.process, (between) => operator.replace(between));
  } finally {
    await operator.stop();
    await proxy.close();
  }
}, 900_000);
