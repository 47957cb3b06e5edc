/** Everything takes long, and nothing goes wrong for it. */
import { expect, it } from 'vitest';

import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { FaultProxy, FINE, type Weather } from '../fault-proxy.ts';
import { KeptOperator } from '../kept-operator.ts';
import { PATIENT_LEASE } from '../lease.ts';
import { untilQuiet } from '../quiet.ts';
import { repeatedWrites } from '../repeated-writes.ts';
import { fourNodes, mapped, untilGone, untilLoadedEverywhere } from './loaded.ts';
import { LONG_TEST_MS } from './settings.ts';

const kmm = useOperatedCluster('slow');

it.each<[string, Weather, readonly string[]]>([
  // The lease of an installation, 10 s, cannot be renewed at this pace: a leader steps down in time.
  ['an API server that takes 5 s for each request', { ...FINE, slowMs: 5_000 }, PATIENT_LEASE],
  ['watches that tell everything 30 s late', { ...FINE, lateMs: 30_000 }, ['--leader-elect=false']],
])(
  '%s delays a load, a rollout and a deletion, and has no write made twice',
  async (what, weather, flags) => {
    if (!kmm.operator.hasEnded) await kmm.operator.stop();
    const proxy = await FaultProxy.start(kmm.controlPlane);
    proxy.weather = weather;
    const operator = new KeptOperator(kmm.controlPlane, {
      server: proxy.url,
      flags: [...flags, '--status-interval=1s'],
    });
    try {
      const startedAt = performance.now();
      const ref = await fourNodes(kmm, what.includes('API') ? 'slow' : 'late');
      await untilLoadedEverywhere(kmm, ref, '1');
      const loadedAt = performance.now();
      await kmm.edit(ref, mapped('2'));
      await untilLoadedEverywhere(kmm, ref, '2');
      const rolledAt = performance.now();
      await untilQuiet(kmm, { apartMs: 2 * (weather.lateMs + weather.slowMs) });
      await untilGone(kmm, ref);
      const [load, roll] = [loadedAt - startedAt, rolledAt - loadedAt].map((ms) => Math.round(ms / 1_000));
      console.log(`${what}: loaded after ${load} s, rolled out in ${roll} s, ${proxy.writes.length} writes`);
      expect(repeatedWrites(proxy.writes)).toEqual([]);
      expect(operator.ends).toEqual([]);
    } finally {
      await operator.stop();
      await proxy.close();
    }
  },
  LONG_TEST_MS,
);
