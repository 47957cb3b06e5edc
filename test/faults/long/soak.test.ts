/** The operator at work for long, with an API server that is restarted again and again. */
import { expect, it } from 'vitest';
import { MODULE_NAME_LABEL } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { DAEMONSETS, NODES, PODS } from '../../../src/kube/core.ts';
import { usageOf } from '../../bench/process-usage.ts';
import { countByVerbAndResource } from '../../harness/audit.ts';
import { eventually } from '../../harness/eventually.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { untilQuiet } from '../quiet.ts';
import { playTogether } from '../server-history.ts';
import { PATIENT_LEASE } from './loaded.ts';
import { LONG_TEST_MS, MINUTES, SEED } from './settings.ts';

const AT_ONCE = 6;
/** What memory may grow by from the first quarter of the soak to its last. */
const MOST_GROWTH_MB = 60;

const kmm = useOperatedCluster('soak', {
  flags: PATIENT_LEASE,
});

/** What the operator caches, against what the server has; a list of what differs. */
async function cacheDifferences(): Promise<readonly string[]> {
  const { admin } = kmm.cluster;
  const ours = { labelSelector: MODULE_NAME_LABEL };
  const served = {
    modules: (await admin.list(MODULES)).length,
    nodes: (await admin.list(NODES)).length,
    daemonSets: (await admin.list(DAEMONSETS, ours)).length,
    pods: (await admin.list(PODS, ours)).length,
  };
  const differences: string[] = [];
  for (const [kind, count] of Object.entries(served)) {
    const cached = await kmm.operator.metric(`kmm_cache_objects{kind="${kind}"}`);
    if (cached !== count) differences.push(`${kind}: ${cached} cached, ${count} served`);
  }
  return differences;
}

it(
  'for as long as it lasts: memory keeps within bounds, and in the end caches equal the server',
  async () => {
    const endsAt = performance.now() + MINUTES * 60_000;
    const memory: number[] = [];
    let restarts = 0;
    for (let round = 0; performance.now() < endsAt || round < 2; round += 1) {
      // No kills: it is the same process from beginning to end.
      await playTogether(kmm, { seed: SEED + round * AT_ONCE, count: AT_ONCE, steps: 10 }, async () => undefined);
      await kmm.cluster.nodes.deleteAll();
      await kmm.controlPlane.restartApiServer();
      restarts += 1;
      const { rssMB } = await usageOf(kmm.operator.pid);
      memory.push(Math.round(rssMB));
      console.log(`round ${round}: ${Math.round(rssMB)} MB, ${restarts} restarts of the API server`);
    }
    await eventually(async () => expect(await cacheDifferences()).toEqual([]), {
      what: 'caches to equal the server',
      timeoutMs: 120_000,
      intervalMs: 1_000,
    });
    const quarter = Math.max(1, Math.floor(memory.length / 4));
    const [first, last] = [memory.slice(0, quarter), memory.slice(-quarter)].map((part) => Math.max(...part));
    console.log(`memory by round, MB: ${memory.join(', ')}`);
    expect((last ?? 0) - (first ?? 0)).toBeLessThan(MOST_GROWTH_MB);
    expect(kmm.operator.hasEnded).toBe(false);
    // What the old caches led to is what fresh ones lead to.
    await untilQuiet(kmm);
    const mark = await kmm.controlPlane.auditMark();
    await kmm.operator.kill();
    // Alone, as the lease of the dead one holds for a minute.
    await kmm.startOperator(['--leader-elect=false']);
    await kmm.untilIdle();
    expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(new Map());
  },
  LONG_TEST_MS,
);
