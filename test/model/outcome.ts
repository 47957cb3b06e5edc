/** What must be true of a world that has settled. */
import { expect } from 'vitest';

import type { Node } from '../../src/kube/core.ts';
import { expectReasons } from '../harness/conditions.ts';
import { BROKEN_IMAGE, bootID } from './kubelet.ts';
import { KEYS, madeFrom, recordOf } from './memory.ts';
import { REFUSAL } from './operator.ts';
import { podRecord } from './records.ts';
import { kernelOf, loaderOf, NODES } from './wish.ts';
import type { World } from './world.ts';

interface NodeOutcome {
  readonly loaders: readonly string[];
  readonly plugins: number;
  readonly ready: boolean;
  readonly boot: string | undefined;
  readonly replaced: string | undefined;
}

const NOTHING: NodeOutcome = { loaders: [], plugins: 0, ready: false, boot: undefined, replaced: undefined };

/** I2: an operator that starts now has nothing to do. */
export function expectSilence(world: World): void {
  world.restart();
  world.reconcile();
  expect(world.operator.writes, 'I2: writes after a restart').toBe(0);
}

/** I5: nothing of the Module is left, but what a node that is dead will stop when it comes back. */
export function expectGone({ cluster }: World): void {
  expect(cluster.module, 'I5: the Module').toBeUndefined();
  expect([...cluster.daemonSets.keys()], 'I5: DaemonSets').toEqual([]);
  const left = [...cluster.pods.values()].filter(({ spec }) => cluster.isReady(spec?.nodeName ?? ''));
  expect(left, 'I5: pods on nodes that are alive').toEqual([]);
  for (const node of cluster.nodes.values()) expect(marksOf(node), 'I5: marks').toEqual({});
}

/** Every node is as it was asked for, and status says that nothing is wrong. */
export function expectAsWished(world: World): void {
  for (const name of NODES) expect({ name, ...outcomeOf(world, name) }).toEqual({ name, ...wishedFor(world, name) });
  expect(conditionOf(world, 'Degraded')).toMatchObject({ status: 'False' });
}

/**
 * I3: what is broken is broken alone. A node that is up and whose own image is good has it running; while the budget of a rollout is used up
 * by nodes that do not come back it may still run what it had.
 */
export function expectTheHealthyUnharmed(world: World): void {
  const { cluster, memory } = world;
  if (cluster.refusesPods) return;
  const stuck = NODES.filter((name) => recordOf(cluster.nodes.get(name))?.replacingSince !== undefined);
  for (const name of NODES) {
    const wished = wishedFor(world, name);
    const kernel = kernelOf(cluster.machines.get(name)?.kernel);
    const image = kernel === undefined ? undefined : memory.wish.images[kernel];
    if (!cluster.isReady(name) || cluster.machines.get(name)?.up !== true) continue;
    if (wished.loaders.length === 0 || image?.includes(BROKEN_IMAGE)) continue;
    const { loaders, ready } = outcomeOf(world, name);
    const waits = stuck.length >= memory.wish.maxUnavailable;
    expect({ name, ready, loaders: loaders.length }, 'I3').toEqual({ name, ready: true, loaders: 1 });
    if (!waits) expect({ name, loaders }, 'I3').toEqual({ name, loaders: wished.loaders });
  }
}

/** I4: where anything is not as it was asked for, status says what, why, and what to do next. */
export function expectNoSilentWait(world: World): void {
  const { cluster, memory } = world;
  const late = NODES.filter(
    (name) =>
      cluster.isReady(name) && JSON.stringify(outcomeOf(world, name)) !== JSON.stringify(wishedFor(world, name)),
  );
  expectReasons(cluster.module?.status?.conditions);
  if (late.length === 0) return;
  expect(conditionOf(world, 'Ready'), `I4: ${late.join(', ')} not as wished`).toMatchObject({ status: 'False' });
  const missing = late.some(
    (name) => outcomeOf(world, name).loaders.length === 0 && wishedFor(world, name).loaders.length > 0,
  );
  if (!missing) return;
  const broken = Object.values(memory.wish.images).some((image) => image?.includes(BROKEN_IMAGE));
  if (!broken && !cluster.refusesPods) return;
  expect(conditionOf(world, 'Degraded'), 'I4').toMatchObject({
    status: 'True',
    ...(broken ? {} : { message: expect.stringContaining(REFUSAL) }),
  });
}

function conditionOf({ cluster }: World, wanted: string) {
  return cluster.module?.status?.conditions?.find(({ type }) => type === wanted);
}

function marksOf(node: Node): Record<string, string> {
  const all = { ...node.metadata.labels, ...node.metadata.annotations };
  return Object.fromEntries(Object.entries(all).filter(([key]) => Object.values(KEYS).includes(key)));
}

function outcomeOf({ cluster }: World, name: string): NodeOutcome {
  const here = [...cluster.pods.values()].filter(({ spec }) => spec?.nodeName === name);
  const node = cluster.nodes.get(name);
  const record = recordOf(node);
  return {
    loaders: here
      .filter((pod) => podRecord(pod).role === 'module-loader' && cluster.isRunning(pod.metadata.uid ?? ''))
      .map(madeFrom),
    plugins: here.filter((pod) => podRecord(pod).role === 'device-plugin').length,
    ready: node?.metadata.labels?.[KEYS.ready] !== undefined,
    boot: record?.bootID,
    replaced: record?.replacingSince,
  };
}

function wishedFor({ cluster, memory }: World, name: string): NodeOutcome {
  const machine = cluster.machines.get(name);
  const kernel = kernelOf(machine?.kernel);
  const loader = kernel === undefined ? undefined : loaderOf(memory.wish, kernel);
  const node = cluster.nodes.get(name);
  const tainted = node?.spec?.taints?.some(({ key }) => key === 'theirs') ?? false;
  // A taint keeps the label from being given, never takes it.
  const holds = node?.metadata.labels?.[KEYS.load] !== undefined;
  if (loader === undefined || !memory.matches(name, memory.wish) || (tainted && !holds)) return NOTHING;
  return {
    loaders: [loader],
    plugins: memory.wish.plugin ? 1 : 0,
    ready: true,
    boot: bootID(name, machine?.boot ?? 0),
    replaced: undefined,
  };
}
