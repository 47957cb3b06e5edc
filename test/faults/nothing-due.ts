import { expect } from 'vitest';

import { countByVerbAndResource } from '../harness/audit.ts';
import type { OperatedCluster } from '../harness/operated-cluster.ts';
import type { OperatorProcess } from '../harness/operator.ts';
import { untilQuiet } from './quiet.ts';
import { untilCachesAreServed } from './served-caches.ts';

/**
 * I2: the operator comes to rest with caches that hold what the API server has, and one that starts in its place has the same and writes
 * nothing.
 * @param replace kills `operator` and starts the next
 */
export async function expectNothingDue(
  kmm: OperatedCluster,
  operator: OperatorProcess,
  replace: () => Promise<OperatorProcess>,
  quiet: Parameters<typeof untilQuiet>[1] = { apartMs: 2_000, timeoutMs: 60_000 },
): Promise<void> {
  await untilQuiet(kmm, quiet);
  await untilCachesAreServed(kmm, operator);
  const mark = await kmm.controlPlane.auditMark();
  const next = await replace();
  await next.waitUntilReady();
  await kmm.untilIdle(next);
  await untilQuiet(kmm, quiet);
  await untilCachesAreServed(kmm, next);
  expect(countByVerbAndResource(await kmm.operatorWrites(mark)), 'I2: writes after a restart').toEqual(new Map());
}
