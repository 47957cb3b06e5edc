import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderDaemonSet,
  aLoaderPod,
  aNode,
  aPluginPod,
  aSnapshot,
  keyOf,
  keysOf,
  MINUTE,
  NOW,
  type NodeBuilder,
  type PodBuilder,
  type SnapshotBuilder,
  stored,
} from '../../../test/harness/plan-world.ts';
import { parseLoadedRecord } from './loaded-record.ts';
import { type ModulePlan, planModule } from './plan.ts';
import { isFailing } from './plan-rollout.ts';

const KERNEL = '5.4.0';
const OTHER = '6.1.0';
const base = aModule('m').withSelector({});
const module = stored(base);
const keys = keysOf(module);
const SINCE = new Date(NOW - MINUTE).toISOString();

const loadedNode = (name: string, kernel = KERNEL) => aNode(name).running(kernel).loaded(keys, `c-${name}`);
const replacedNode = (name: string, kernel = KERNEL) =>
  aNode(name)
    .running(kernel)
    .holding(keys)
    .recorded(keys, { instance: `c-${name}`, replacingSince: SINCE });
const outdatedPod = (name: string, kernel = KERNEL) =>
  aLoaderPod(name, kernel).named(`old-${name}`).madeFrom('old').ready(`c-${name}`);
const newPod = (name: string, kernel = KERNEL) => aLoaderPod(name, kernel).named(`new-${name}`).madeFrom('new');

/** A cluster whose DaemonSets have been updated to new inputs. */
function world(
  nodes: readonly NodeBuilder[],
  loaderPods: readonly PodBuilder[],
  builder = base,
  kernels: readonly string[] = [KERNEL],
): SnapshotBuilder {
  const edited = stored(builder);
  return aSnapshot(edited)
    .withNodes(...nodes)
    .withLoaderPods(...loaderPods)
    .withLoaderDaemonSets(...kernels.map((kernel) => aLoaderDaemonSet(edited, kernel).madeFrom('new')));
}

interface Told {
  /** Nodes whose replacement begins with this plan. */
  readonly begun: readonly string[];
  readonly deleted: readonly (string | undefined)[];
  /** Names of nodes that get back the ready label. */
  readonly readied: readonly string[];
  readonly plan: ModulePlan;
}

function told(snapshot: SnapshotBuilder): Told {
  const plan = planModule(snapshot.build());
  const requests = [...plan.nodeRequests];
  return {
    plan,
    deleted: plan.podDeletions.map(({ metadata }) => metadata.name),
    begun: requests.flatMap(([name, { patch }]) =>
      parseLoadedRecord(patch.annotations[keys.loaded] ?? undefined)?.replacingSince === undefined ? [] : [name],
    ),
    readied: requests.flatMap(([name, { patch }]) => (patch.labels[keys.ready] === '' ? [name] : [])),
  };
}

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5'];

describe('a rollout', () => {
  it('has nothing to do when every loader was made from the inputs of its DaemonSet', () => {
    const { begun, deleted, plan } = told(world([loadedNode('n1')], [newPod('n1').ready('c-n1')]));
    expect({ begun, deleted }).toEqual({ begun: [], deleted: [] });
    expect(plan.rollout).toMatchObject({ outdated: 0, replacing: 0, skipped: 0 });
    expect(plan.nodeRequests.size).toBe(0);
  });

  it('begins with one node and takes its ready label, and marks it in the same patch, and deletes nothing yet', () => {
    const { begun, deleted, plan } = told(
      world(
        NAMES.map((name) => loadedNode(name)),
        NAMES.map((name) => outdatedPod(name)),
      ),
    );
    expect({ begun, deleted }).toEqual({ begun: ['n1'], deleted: [] });
    expect([...plan.nodeRequests.keys()]).toEqual(['n1']);
    expect(plan.nodeRequests.get('n1')?.patch).toEqual({
      labels: { [keys.ready]: null },
      annotations: { [keys.loaded]: `boot=n1-boot-1,container=c-n1,replacing=${new Date(NOW).toISOString()}` },
    });
    expect(plan.rollout).toMatchObject({ outdated: 5, replacing: 1, skipped: 0 });
  });

  it.each<[string, PodBuilder]>([
    ['runs', aPluginPod('n1').ready()],
    ['is stopping', aPluginPod('n1').ready().terminating()],
  ])('waits with the loader pod while the device-plugin pod of the node %s', (_what, plugin) => {
    const { deleted, plan } = told(world([replacedNode('n1')], [outdatedPod('n1')]).withPluginPods(plugin));
    expect(deleted).toEqual([]);
    expect(plan.nodeRequests.size).toBe(0);
  });

  it('deletes the loader pod when the device-plugin pod has gone', () => {
    const plugins = [aPluginPod('n2').ready()];
    const { deleted } = told(
      world([replacedNode('n1'), loadedNode('n2')], [outdatedPod('n1'), outdatedPod('n2')]).withPluginPods(...plugins),
    );
    expect(deleted).toEqual(['old-n1']);
  });

  it.each<[string, readonly PodBuilder[]]>([
    ['the old pod is stopping', [outdatedPod('n1').terminating()]],
    ['there is no pod', []],
    ['the new pod is pending', [newPod('n1')]],
    ['the new pod is not Ready yet', [newPod('n1').running('c2')]],
  ])('waits for the new loader while %s, and begins with no other node', (_what, pods) => {
    const { begun, deleted, readied, plan } = told(
      world([replacedNode('n1'), loadedNode('n2')], [...pods, outdatedPod('n2')]),
    );
    expect({ begun, deleted, readied }).toEqual({ begun: [], deleted: [], readied: [] });
    expect(plan.rollout.replacing).toBe(1);
  });

  it('gives back the ready label when the new loader is Ready, and goes on with the next node when that is written', () => {
    const pods = [newPod('n1').ready('c2'), outdatedPod('n2')];
    const first = told(world([replacedNode('n1'), loadedNode('n2')], pods));
    // Both patches at once could arrive in either order, and then two nodes would be without the module for a moment.
    expect(first).toMatchObject({ readied: ['n1'], begun: [] });
    const written = aNode('n1').running(KERNEL).loaded(keys, 'c2');
    expect(told(world([written, loadedNode('n2')], pods)).begun).toEqual(['n2']);
  });

  it('forgets nothing when the operator restarts in the middle: what is being replaced stands on the node', () => {
    const nodes = [loadedNode('n1'), replacedNode('n2'), loadedNode('n3')];
    const { begun, deleted } = told(world(nodes, [outdatedPod('n1'), outdatedPod('n2'), outdatedPod('n3')]));
    expect(begun).toEqual([]);
    expect(deleted).toEqual(['old-n2']);
  });

  it('takes its nodes by name, in whatever order the cache gives them', () => {
    const nodes = ['n3', 'n1', 'n2'].map((name) => loadedNode(name));
    const pods = NAMES.slice(0, 3).map((name) => outdatedPod(name));
    expect(told(world(nodes, pods)).begun).toEqual(['n1']);
    expect(told(world(nodes.toReversed(), pods)).begun).toEqual(['n1']);
  });

  it('takes a loader back that is no longer outdated: the ready label returns and nothing is deleted', () => {
    const { deleted, readied, plan } = told(world([replacedNode('n1')], [newPod('n1').ready('c-n1')]));
    expect({ deleted, readied }).toEqual({ deleted: [], readied: ['n1'] });
    expect(plan.nodeRequests.get('n1')?.patch.annotations).toEqual({ [keys.loaded]: 'boot=n1-boot-1,container=c-n1' });
  });

  it('does nothing before the DaemonSet controller has seen the new template: a deleted pod would come back old', () => {
    const unseen = (node: NodeBuilder) =>
      aSnapshot(module)
        .withNodes(node)
        .withLoaderPods(outdatedPod('n1'))
        .withLoaderDaemonSets(aLoaderDaemonSet(module, KERNEL).madeFrom('new').atGeneration(2, 1));
    for (const node of [loadedNode('n1'), replacedNode('n1')]) {
      const { begun, deleted, plan } = told(unseen(node));
      expect({ begun, deleted }).toEqual({ begun: [], deleted: [] });
      expect(plan.rollout.outdated).toBe(1);
    }
  });

  it('judges pods by what their DaemonSet is made from, not by what it is about to be made from', () => {
    const edited = stored(base.withLoader({ command: ['edited'] }));
    const { begun, plan } = told(
      aSnapshot(edited)
        .withNodes(loadedNode('n1'))
        .withLoaderPods(newPod('n1').ready('c-n1'))
        .withLoaderDaemonSets(aLoaderDaemonSet(edited, KERNEL).madeFrom('new')),
    );
    expect(plan.daemonSets).toMatchObject([{ kind: 'update' }]);
    expect(begun).toEqual([]);
  });

  it('leaves a node alone that is on its way out', () => {
    const leaving = replacedNode('n1').running(OTHER);
    const { deleted, plan } = told(world([leaving], [outdatedPod('n1')]));
    expect(deleted).toEqual([]);
    expect(plan.nodeRequests.get('n1')?.patch.labels).toEqual({ [keys.load]: null });
  });
});

describe('the budget of a rollout', () => {
  it.each<[number | string, number, number]>([
    [1, 5, 1],
    [2, 5, 2],
    [10, 5, 5],
    ['10%', 5, 1],
    ['40%', 5, 2],
    ['41%', 5, 3],
    ['100%', 5, 5],
    ['1%', 1, 1],
  ])('of %s lets a rollout over %i nodes begin with %i', (maxUnavailable, count, expected) => {
    const names = NAMES.slice(0, count);
    const { begun } = told(
      world(
        names.map((name) => loadedNode(name)),
        names.map((name) => outdatedPod(name)),
        base.withMaxUnavailable(maxUnavailable),
      ),
    );
    expect(begun).toHaveLength(expected);
  });

  it('is one for all kernels of a Module together', () => {
    const nodes = [loadedNode('n1'), loadedNode('n2', OTHER)];
    const pods = [outdatedPod('n1'), outdatedPod('n2', OTHER)];
    expect(told(world(nodes, pods, base, [KERNEL, OTHER])).begun).toEqual(['n1']);
    const busy = [loadedNode('n1'), replacedNode('n2', OTHER)];
    expect(told(world(busy, pods, base, [KERNEL, OTHER])).begun).toEqual([]);
  });

  it('counts the mark that the plan before asked for, which may be on its way: another kernel’s node does not come first', () => {
    const nodes = [loadedNode('n1', OTHER), loadedNode('n2', KERNEL)];
    const rolled = world(nodes, [outdatedPod('n1', OTHER), outdatedPod('n2', KERNEL)], base, [KERNEL, OTHER]);
    expect(told(rolled).begun).toEqual(['n1']);
    expect(told(rolled.withMarksAsked('n2')).begun).toEqual(['n2']);
    // It is counted also where its node has nothing to be replaced any more.
    const upToDate = world(nodes, [outdatedPod('n1', OTHER), newPod('n2', KERNEL).ready('c-n2')], base, [
      KERNEL,
      OTHER,
    ]);
    expect(told(upToDate.withMarksAsked('n2')).begun).toEqual([]);
  });

  it('counts the nodes that are being replaced already', () => {
    const nodes = [replacedNode('n1'), ...NAMES.slice(1).map((name) => loadedNode(name))];
    const pods = NAMES.map((name) => outdatedPod(name));
    expect(told(world(nodes, pods, base.withMaxUnavailable(3))).begun).toEqual(['n2', 'n3']);
  });

  /** What a rollout has done to a node so far. */
  type Step = 'outdated' | 'replaced' | 'done';
  const nodeAt = (name: string, step: Step) => (step === 'replaced' ? replacedNode(name) : loadedNode(name));
  const podAt = (name: string, step: Step) => (step === 'done' ? newPod(name).ready(`c-${name}`) : outdatedPod(name));

  it.each<[number, readonly Step[], readonly string[]]>([
    [2, ['replaced', 'outdated', 'outdated'], ['n2']],
    [1, ['replaced', 'replaced', 'outdated'], []],
    [1, ['done', 'replaced', 'outdated'], []],
    [1, ['done', 'done', 'outdated'], ['n3']],
  ])(
    'of %i that was 2 when the rollout began: with %j it begins with %j, and goes on with what is under way',
    (...row) => {
      const [maxUnavailable, steps, expected] = row;
      const names = NAMES.slice(0, steps.length);
      const at = (index: number) => steps[index] ?? 'outdated';
      const { begun, deleted } = told(
        world(
          names.map((name, index) => nodeAt(name, at(index))),
          names.map((name, index) => podAt(name, at(index))),
          base.withMaxUnavailable(maxUnavailable),
        ),
      );
      expect(begun).toEqual(expected);
      expect(deleted).toEqual(names.filter((_, index) => at(index) === 'replaced').map((name) => `old-${name}`));
    },
  );

  it('is a percentage of the nodes that have the label, not of all that match', () => {
    const held = NAMES.map((name) => loadedNode(name));
    const tainted = Array.from({ length: 20 }, (_, index) => aNode(`t${index}`).running(KERNEL).tainted('x'));
    const pods = NAMES.map((name) => outdatedPod(name));
    expect(told(world([...held, ...tainted], pods, base.withMaxUnavailable('20%'))).begun).toHaveLength(1);
  });

  it('is not used up by a node that is not Ready, which is skipped and counted', () => {
    const nodes = [loadedNode('n1').notReady(), loadedNode('n2'), replacedNode('n3').notReady()];
    const pods = ['n1', 'n2', 'n3'].map((name) => outdatedPod(name));
    const { begun, deleted, plan } = told(world(nodes, pods));
    expect({ begun, deleted }).toEqual({ begun: ['n2'], deleted: [] });
    expect(plan.rollout).toMatchObject({ outdated: 3, skipped: 2 });
  });

  it('is not used up by a node that was broken before the rollout', () => {
    const broken = aNode('n1').running(KERNEL).holding(keys);
    const { begun } = told(world([broken, loadedNode('n2')], [newPod('n1').running('c'), outdatedPod('n2')]));
    expect(begun).toEqual(['n2']);
  });
});

describe('an outdated loader that is not loaded', () => {
  const holding = aNode('n1').running(KERNEL).holding(keys);
  const old = aLoaderPod('n1', KERNEL).named('old-n1').madeFrom('old');

  it.each<[string, PodBuilder]>([
    ['cannot pull its image', old.waiting('ImagePullBackOff')],
    ['crashes', old.waiting('CrashLoopBackOff', '', 3)],
    ['cannot be scheduled', old.blocked('0/1 nodes are available')],
    ['was failed by the kubelet', old.phase('Failed')],
  ])('is replaced at once when it %s: nothing of it is in use', (_what, pod) => {
    const { deleted, begun } = told(world([holding, loadedNode('n2')], [pod, outdatedPod('n2')]));
    expect(deleted).toEqual(['old-n1']);
    // And it takes nobody's turn.
    expect(begun).toEqual(['n2']);
  });

  it.each<[string, PodBuilder]>([
    ['is pending', old],
    ['is being created', old.waiting('ContainerCreating')],
    ['runs and is not Ready yet', old.running('c')],
  ])(
    'is left to finish for a minute when it %s, and then replaced: the edit may have corrected what it waits for',
    (_what, pod) => {
      const { deleted, plan } = told(world([holding], [pod.createdAt(NOW - 59_000)]));
      expect(deleted).toEqual([]);
      expect(plan.lookAgainAtMs).toBe(NOW + 1_000);
      expect(told(world([holding], [pod.createdAt(NOW - 60_000)])).deleted).toEqual(['old-n1']);
    },
  );

  it.each<[string, NodeBuilder, readonly PodBuilder[]]>([
    ['the node still carries the ready label', loadedNode('n1').booted('n1-boot-2'), []],
    ['a device-plugin pod runs on the node again', holding, [aPluginPod('n1').ready()]],
    ['a device-plugin pod of the node is stopping', holding, [aPluginPod('n1').ready().terminating()]],
  ])('after a crash or a reboot stays while %s, which may use what it loads again', (_what, node, plugins) => {
    const restarted = old.running('c2').createdAt(NOW - MINUTE);
    expect(told(world([node], [restarted]).withPluginPods(...plugins)).deleted).toEqual([]);
    expect(told(world([holding], [restarted])).deleted).toEqual(['old-n1']);
  });

  it('is not waited for until a time that another clock wrote: the one here may have been set back by hours', () => {
    expect(told(world([holding], [old.createdAt(NOW + 30_000)])).deleted).toEqual([]);
    expect(told(world([holding], [old.createdAt(NOW + 300 * MINUTE)])).deleted).toEqual(['old-n1']);
  });

  it('is left alone on a node that is not Ready', () => {
    const { deleted, plan } = told(world([holding.notReady()], [old.waiting('ImagePullBackOff')]));
    expect(deleted).toEqual([]);
    expect(plan.rollout.skipped).toBe(1);
  });

  it('is not deleted a second time while it stops', () => {
    const pod = old.waiting('ImagePullBackOff').terminating();
    expect(told(world([holding], [pod])).deleted).toEqual([]);
  });

  it('is not deleted when it is not outdated: the kubelet tries again by itself', () => {
    const pod = old.madeFrom('new').waiting('CrashLoopBackOff', '', 3);
    expect(told(world([holding], [pod])).deleted).toEqual([]);
  });
});

describe('a loader pod is failing', () => {
  const pod = aLoaderPod('n1', KERNEL);
  const ended = (exitCode: number) => ({ exitCode, reason: 'Error', message: '' });

  it.each([
    'CrashLoopBackOff',
    'CreateContainerConfigError',
    'CreateContainerError',
    'ErrImageNeverPull',
    'ErrImagePull',
    'ImageInspectError',
    'ImagePullBackOff',
    'InvalidImageName',
    'PostStartHookError',
    'RunContainerError',
  ])('when its container waits for %s', (reason) => {
    expect(isFailing(pod.waiting(reason).build())).toBe(true);
  });

  it.each<[string, PodBuilder, boolean]>([
    [
      'its container ended with an exit code',
      pod.running().withContainer({ running: false, terminated: ended(1) }),
      true,
    ],
    [
      'the container before ended so and this one is not Ready',
      pod.running().withContainer({ terminated: ended(1) }),
      true,
    ],
    ['the container before ended so and this one is Ready', pod.ready().withContainer({ terminated: ended(1) }), false],
    ['its container ended well', pod.running().withContainer({ running: false, terminated: ended(0) }), false],
    ['it is Pending', pod, false],
    ['it waits for its container to be created', pod.waiting('ContainerCreating'), false],
    ['it runs', pod.ready(), false],
  ])('or not, when %s', (_what, built, expected) => {
    expect(isFailing(built.build())).toBe(expected);
  });
});

it('a node in grace is rolled like any other: it has the module', () => {
  const unlabelled = loadedNode('n1');
  const selective = base.withSelector({ gpu: 'yes' });
  const { begun } = told(world([unlabelled], [outdatedPod('n1')], selective));
  expect(begun).toEqual(['n1']);
  expect(planModule(world([unlabelled], [outdatedPod('n1')], selective).build()).nodes[0]?.placement).toMatchObject({
    verdict: 'grace',
    key: keyOf(KERNEL),
  });
});
