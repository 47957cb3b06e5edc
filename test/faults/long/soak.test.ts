/** The operator at work for long, with an API server that is restarted again and again. */
import { expect, it } from 'vitest';
import { usageOf } from '../../bench/process-usage.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { IMAGE_NODE_OPTIONS, INSTALLED_MEMORY_MB } from '../../harness/operator.ts';
import { PATIENT_LEASE } from '../lease.ts';
import { expectNothingDue } from '../nothing-due.ts';
import { clearAway, playTogether } from '../server-history.ts';
import { LONG_TEST_MS, MINUTES, SEED } from './settings.ts';

const AT_ONCE = 6;
/** What memory may grow by from the first quarter of the soak to its last. */
const MOST_GROWTH_MB = 60;

const kmm = useOperatedCluster('soak', {
  flags: PATIENT_LEASE,
  nodeOptions: IMAGE_NODE_OPTIONS,
});

it(
  'for as long as it lasts: memory keeps within bounds, and in the end caches equal the server',
  async () => {
    const endsAt = performance.now() + MINUTES * 60_000;
    const memory: number[] = [];
    let restarts = 0;
    for (let round = 0; performance.now() < endsAt || round < 2; round += 1) {
      await clearAway(kmm);
      // No kills: it is the same process from beginning to end.
      await playTogether(kmm, { seed: SEED + round * AT_ONCE, count: AT_ONCE, steps: 10 }, async () => undefined);
      await kmm.controlPlane.restartApiServer();
      restarts += 1;
      const { rssMB } = await usageOf(kmm.operator.pid);
      memory.push(Math.round(rssMB));
      console.log(`round ${round}: ${Math.round(rssMB)} MB, ${restarts} restarts of the API server`);
    }
    const quarter = Math.max(1, Math.floor(memory.length / 4));
    const [first, last] = [memory.slice(0, quarter), memory.slice(-quarter)].map((part) => Math.max(...part));
    console.log(`memory by round, MB: ${memory.join(', ')}`);
    expect((last ?? 0) - (first ?? 0)).toBeLessThan(MOST_GROWTH_MB);
    expect(Math.max(...memory)).toBeLessThan(INSTALLED_MEMORY_MB);
    expect(kmm.operator.hasEnded).toBe(false);
    // What the old caches led to is what fresh ones lead to.
    await expectNothingDue(
      kmm,
      kmm.operator,
      async (between) => {
        await kmm.operator.kill();
        await between();
        // Alone, as the lease of the dead one holds for a minute.
        return kmm.startOperator(['--leader-elect=false']);
      },
      { apartMs: 5_000, timeoutMs: 900_000 },
    );
  },
  LONG_TEST_MS,
);
