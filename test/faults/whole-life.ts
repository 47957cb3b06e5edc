/** The same story twice: with an operator that is left alone, and with one that is killed after every write. */
import { expect } from 'vitest';

import { writes as auditedWrites } from '../harness/audit.ts';
import type { ModuleRef, OperatedCluster } from '../harness/operated-cluster.ts';
import { OPERATOR_USER } from '../harness/operator.ts';
import { DoomedOperator } from './doomed-operator.ts';
import type { Write } from './fault-proxy.ts';
import { repeatedWrites, timeless } from './repeated-writes.ts';

/** Lets things happen, waits for the end of each chapter and tells what stands in the cluster then. Leaves nothing behind. */
export type Story = (tell: (chapter: string, picture: unknown) => void) => Promise<void>;

interface Life {
  readonly pictures: Readonly<Record<string, unknown>>;
  readonly writes: readonly Write[];
  readonly kills: number;
}

/** The end of every chapter is the same, no write is repeated, and there were more than `least` kills. */
export async function expectSameLives(kmm: OperatedCluster, story: Story, least: number): Promise<void> {
  if (!kmm.operator.hasEnded) await kmm.operator.stop();
  const undisturbed = await live(kmm, story, false);
  const mark = await kmm.controlPlane.auditMark();
  const doomed = await live(kmm, story, true);
  console.log(`${doomed.kills} kills; undisturbed it took ${undisturbed.writes.length} writes`);

  expect(doomed.pictures).toEqual(undisturbed.pictures);
  expect(undisturbed.kills).toBe(0);
  expect(doomed.kills).toBe(doomed.writes.length);
  expect(doomed.kills).toBeGreaterThan(least);
  expect({
    doomed: repeatedWrites(doomed.writes),
    undisturbed: repeatedWrites(undisturbed.writes),
  }).toEqual({ doomed: [], undisturbed: [] });
  // The proxy has seen everything: the audit log knows of no other write that was carried out.
  const audited = auditedWrites(
    (await kmm.controlPlane.auditEvents(mark)).filter(({ user }) => user === OPERATOR_USER),
  );
  const carriedOut = audited.filter(({ code, resource }) => code < 300 && resource !== 'events');
  expect(carriedOut).toHaveLength(doomed.writes.length);
}

async function live(kmm: OperatedCluster, story: Story, kills: boolean): Promise<Life> {
  const operator = await DoomedOperator.start(kmm.controlPlane, { kills });
  const pictures: Record<string, unknown> = {};
  try {
    await story((chapter, picture) => {
      pictures[chapter] = picture;
    });
  } finally {
    await operator.stop();
  }
  return { pictures, writes: operator.writes, kills: operator.kills() };
}

/** Everything that the operator made or marked, without what differs between two runs: uids, times, versions, boots and containers. */
export async function pictureOf(kmm: OperatedCluster, ref: ModuleRef, nodes: readonly string[]): Promise<unknown> {
  const { metadata, status } = await kmm.module(ref);
  const daemonSets = await kmm.daemonSets(ref);
  const marks = await Promise.all(nodes.map((name) => kmm.marks(ref, name)));
  return {
    finalizers: metadata.finalizers,
    // The key of a build is made from the Module's uid too.
    status: JSON.parse(timeless(JSON.stringify(status)).replaceAll(/"key":"[0-9a-f]{16}"/g, '"key":"*"')),
    daemonSets: daemonSets
      .map(({ metadata: { name, labels, annotations, generation }, spec }) => ({
        name,
        labels,
        annotations,
        generation,
        spec,
      }))
      .toSorted((a, b) => (`${a.name}` < `${b.name}` ? -1 : 1)),
    marks: marks.map(({ load, ready, loaded }) => ({ load, ready, loaded: loaded?.replaceAll(/=[^,]+/g, '=*') })),
  };
}
