/** The operator's wall clock is set by hours while it runs, as on a host whose clock was wrong. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

import { countByVerbAndResource } from '../../harness/audit.ts';
import { eventually, holds } from '../../harness/eventually.ts';
import { nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { KeptOperator } from '../kept-operator.ts';
import { untilQuiet } from '../quiet.ts';
import { fourNodes, loaderUIDs, mapped, untilGone, untilLoadedEverywhere } from './loaded.ts';
import { LONG_TEST_MS } from './settings.ts';

const HOUR_MS = 3_600_000;
const PRELOAD = fileURLToPath(new URL('./shifted-clock.mjs', import.meta.url));

const kmm = useOperatedCluster('clocks');

it.each<[string, number, readonly string[], readonly number[]]>([
  // What goes forward may be a machine that was suspended, so a leader does not trust its Lease any more.
  ['forward', 5 * HOUR_MS, [], [1]],
  ['forward, alone', 5 * HOUR_MS, ['--leader-elect=false'], []],
  ['back', -5 * HOUR_MS, [], []],
])(
  'a clock that is set %s by five hours unloads nothing, holds nothing up and costs no write',
  async (way, byMs, flags, ends) => {
    if (!kmm.operator.hasEnded) await kmm.operator.stop();
    const name = `clock-${way.replace(', ', '-')}`;
    const file = join(kmm.controlPlane.directory, name);
    await writeFile(file, '0');
    const operator = new KeptOperator(kmm.controlPlane, {
      flags: ['--status-interval=1s', ...flags],
      env: { NODE_OPTIONS: `--import=${PRELOAD}`, CLOCK_OFFSET_FILE: file },
    });
    const told = async (ref: ModuleRef) => (await kmm.module(ref)).status?.kernels?.map(({ message }) => message ?? '');
    try {
      const ref = await fourNodes(kmm, name);
      await untilLoadedEverywhere(kmm, ref, '1');
      const before = await loaderUIDs(kmm, ref);
      // The grace of ten minutes has begun when the clock is set: it is ten minutes all the same.
      await kmm.cluster.nodes.label(
        `${name}-0`,
        Object.fromEntries(Object.keys(nodesOf(name)).map((key) => [key, null])),
      );
      await eventually(
        async () => expect(await told(ref)).toContainEqual(expect.stringContaining('keeps the module')),
        {
          what: 'the grace to begin',
          timeoutMs: 60_000,
        },
      );
      await untilQuiet(kmm);
      const mark = await kmm.controlPlane.auditMark();
      await writeFile(file, String(byMs));
      // Something happens on the node, so that it is looked at with the new time.
      await kmm.cluster.nodes.annotate(`${name}-0`, { touched: 'yes' });
      await kmm.cluster.nodes.cordon(`${name}-0`);
      await holds(async () => expect(await loaderUIDs(kmm, ref)).toEqual(before), {
        what: 'I1: what is loaded',
        forMs: 10_000,
        intervalMs: 500,
      });
      const nodeWrites = (await kmm.operatorWrites(mark)).filter(({ resource }) => resource !== 'modules');
      expect(countByVerbAndResource(nodeWrites)).toEqual(new Map());
      await kmm.cluster.nodes.label(`${name}-0`, nodesOf(name));
      // And it works as before: counts reach status, a rollout ends, reboots are seen.
      await kmm.edit(ref, mapped('2'));
      await untilLoadedEverywhere(kmm, ref, '2');
      await kmm.cluster.nodes.reboot(`${name}-1`);
      await untilLoadedEverywhere(kmm, ref, '2');
      await untilGone(kmm, ref);
      expect(operator.ends, (await operator.lastWords()).join()).toEqual(ends);
      console.log(`clock set ${way} by five hours: loaded, rolled out, rebooted and deleted under it`);
    } finally {
      await operator.stop();
    }
  },
  LONG_TEST_MS,
);
