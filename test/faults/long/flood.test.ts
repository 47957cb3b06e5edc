/** Too much at once: many Modules, many events, and one Module that fails for ever among those that are well. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { MODULES } from '../../../src/api/module.ts';
import { usageOf } from '../../bench/process-usage.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { inParallel } from '../../harness/nodes.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { IMAGE_NODE_OPTIONS, INSTALLED_MEMORY_MB } from '../../harness/operator.ts';
import { PATIENT_LEASE } from '../lease.ts';
import { fourNodes, mapped, untilDegraded, untilLoadedEverywhere } from './loaded.ts';
import { FLOOD_MODULES, LONG_TEST_MS, MINUTES } from './settings.ts';

const EVENTS_A_MINUTE = 10_000;
/** Requests under way at a time, at most. */
const SENDERS = 16;
/** What a full run goes on for: five minutes of it. */
const LEAST_EVENTS = Math.min(5, MINUTES / 6) * EVENTS_A_MINUTE;
/** Among so many the Modules are spread, ten to a node. */
const NODE_COUNT = Math.ceil(FLOOD_MODULES / 10);
/** So often a healthy Module gets another image meanwhile. */
const ROLLOUTS = 5;

const kmm = useOperatedCluster('flood', {
  controlPlane: { disableQpsLimits: true, audit: false },
  flags: PATIENT_LEASE,
  nodeOptions: IMAGE_NODE_OPTIONS,
});

/** One event of the flood: every third one is of a node, which costs the API server twice as much, and the rest are of Modules. */
async function change(namespace: string, event: number): Promise<void> {
  const annotations = { flood: String(event) };
  if (event % 3 === 0) await kmm.cluster.nodes.annotate(`flooded-${(event / 3) % NODE_COUNT}`, annotations);
  else {
    const ref = { namespace, name: `flood-${event % FLOOD_MODULES}` };
    await kmm.cluster.admin.patch(MODULES, ref, { metadata: { annotations } });
  }
}

it(
  'a flood of Modules, of their events and of node events keeps no Module waiting, and one that fails for ever hurts nobody',
  async () => {
    const namespace = await kmm.cluster.freshNamespace('flood');
    await kmm.addNodes('flooded', nodesOf('flooded'), ...Array(NODE_COUNT).fill('6.1.0'));
    const failing = await kmm.apply(
      aModule('failing')
        .inNamespace(namespace)
        .withSelector(nodesOf('flooded'))
        .withKernel('6.1.0', 'registry.test/sim-crash:1'),
    );
    await untilDegraded(kmm, failing);
    const healthy = await fourNodes(kmm, 'healthy');
    await untilLoadedEverywhere(kmm, healthy, '1');

    const indexes = Array.from({ length: FLOOD_MODULES }, (_, index) => index);
    await inParallel(indexes, 16, async (index) => {
      await kmm.apply(
        aModule(`flood-${index}`)
          .inNamespace(namespace)
          .withSelector({ 'kubernetes.io/hostname': `flooded-${index % NODE_COUNT}` }),
      );
    });
    await eventually(
      async () => {
        const modules = await kmm.cluster.admin.list(MODULES, { namespace });
        expect(modules.filter(({ status }) => status?.loaded === '1/1')).toHaveLength(FLOOD_MODULES);
      },
      { what: `${FLOOD_MODULES} Modules to be loaded`, timeoutMs: 1_800_000, intervalMs: 2_000 },
    );

    let sent = 0;
    const done = new AbortController();
    const startedAt = performance.now();
    // Each event has its time, and none waits for the others: where the machine was slow for a moment the senders catch up.
    let next = 0;
    const sender = async (): Promise<void> => {
      while (!done.signal.aborted) {
        const event = next++;
        const dueAt = startedAt + (event / EVENTS_A_MINUTE) * 60_000;
        await delay(Math.max(0, dueAt - performance.now()));
        await change(namespace, event);
        sent++;
      }
    };
    const flood = Promise.all(Array.from({ length: SENDERS }, sender));
    try {
      const took: number[] = [];
      while (took.length < ROLLOUTS) {
        const due = ((took.length + 1) * LEAST_EVENTS) / ROLLOUTS;
        await eventually(() => expect(sent).toBeGreaterThanOrEqual(due), {
          what: `${due} events to be sent`,
          timeoutMs: LONG_TEST_MS,
        });
        const tag = `flood-${took.length}`;
        const editedAt = performance.now();
        await kmm.edit(healthy, mapped(tag));
        await untilLoadedEverywhere(kmm, healthy, tag);
        took.push(Math.round((performance.now() - editedAt) / 1_000));
      }
      const { rssMB, rssPeakMB, cpuSeconds } = await usageOf(kmm.operator.pid);
      const minutes = (performance.now() - startedAt) / 60_000;
      console.log(
        `${FLOOD_MODULES} Modules, ${Math.round(sent / minutes)} events a minute: rollouts over 4 nodes took ${took.join(', ')} s; ` +
          `${Math.round(rssMB)} MB, ${Math.round(rssPeakMB)} at most, ${Math.round(cpuSeconds)} s of a core`,
      );
      await untilDegraded(kmm, failing);
      expect(rssPeakMB).toBeLessThan(INSTALLED_MEMORY_MB);
    } finally {
      done.abort();
      await flood;
    }
  },
  LONG_TEST_MS,
);
