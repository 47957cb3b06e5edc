import { expect } from 'vitest';

import type { OperatedCluster } from '../harness/operated-cluster.ts';
import type { OperatorProcess } from '../harness/operator.ts';
import { untilQuiet } from './quiet.ts';
import { untilCachesAreServed } from './served-caches.ts';

/**
 * I2: the operator comes to rest with caches that hold what the API server has, and one that starts in its place has the same and writes
 * nothing.
 * @param replace kills `operator`, does what it is given while there is none, and starts the next
 */
export async function expectNothingDue(
  kmm: OperatedCluster,
  operator: OperatorProcess,
  replace: (between: () => Promise<void>) => Promise<OperatorProcess>,
  quiet: Parameters<typeof untilQuiet>[1] = { apartMs: 2_000, timeoutMs: 60_000 },
): Promise<void> {
  await untilQuiet(kmm, quiet);
  await untilCachesAreServed(kmm, operator);
  const marks: number[] = [];
  // Not before: an event that a fault held up is written up to 21 s later, when all else has been quiet for long.
  const next = await replace(async () => {
    marks.push(await kmm.controlPlane.auditMark());
  });
  const [mark] = marks;
  if (mark === undefined) throw new Error('nobody was told when the operator before was dead');
  await next.waitUntilReady();
  await kmm.untilIdle(next);
  await untilQuiet(kmm, quiet);
  await untilCachesAreServed(kmm, next);
  const writes = await kmm.operatorWrites(mark);
  expect(
    writes.map(({ at, verb, resource, subresource, namespace, name }) => [
      at,
      verb,
      resource,
      subresource,
      namespace,
      name,
    ]),
    'I2: writes after a restart',
  ).toEqual([]);
}
