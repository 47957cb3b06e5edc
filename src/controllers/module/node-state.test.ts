import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderDaemonSet,
  aLoaderPod,
  aNode,
  aPluginPod,
  aSnapshot,
  keysOf,
  MINUTE,
  NOW,
  type NodeBuilder,
  type PodBuilder,
  type SnapshotBuilder,
  stored,
  upToDate,
} from '../../../test/harness/plan-world.ts';
import { failureOf, type KernelWorld, type NodeState, nodeState } from './node-state.ts';
import { planModule } from './plan.ts';

const KERNEL = '5.4.0';
const base = aModule('m').withSelector({ gpu: 'yes' });
const module = stored(base);
const keys = keysOf(module);
const node = aNode('n1').running(KERNEL).withLabel('gpu', 'yes');
const holding = node.holding(keys);
const loaded = node.loaded(keys, 'c1');
const pod = aLoaderPod('n1', KERNEL);
const daemonSet = aLoaderDaemonSet(module, KERNEL).build();
const settled = aSnapshot(module).withLoaderDaemonSets(daemonSet);
const calm: KernelWorld = { daemonSet, refusal: undefined, problem: undefined };

interface Given {
  readonly pods?: readonly PodBuilder[];
  readonly plugins?: readonly PodBuilder[];
  readonly world?: SnapshotBuilder;
  readonly kernel?: Partial<KernelWorld>;
}

/** What is said of node n1 when it is `built`; the world may have other nodes. */
function stateOf(built: NodeBuilder, { pods = [], plugins = [], world = settled, kernel }: Given = {}) {
  const snapshot = world
    .withNodes(built)
    .withLoaderPods(...pods)
    .withPluginPods(...plugins);
  const plan = planModule(upToDate(snapshot.build())).nodes.find((each) => each.node.metadata.name === 'n1');
  return plan === undefined ? undefined : nodeState(plan, { ...calm, ...kernel });
}

const refusal = { metadata: {}, daemonSetUID: daemonSet.metadata.uid ?? '', message: 'forbidden: PodSecurity', at: '' };
const rolling = aSnapshot(module).withLoaderDaemonSets(aLoaderDaemonSet(module, KERNEL).madeFrom('new'));
const replacing = node.holding(keys).recorded(keys, { instance: 'c1', replacingSince: '2026-03-01T11:59:00.000Z' });

describe('a container that a reboot has ended', () => {
  const crashed = { restarts: 1, terminated: { exitCode: 255, reason: 'Unknown', message: '' } };
  const rebooted = holding.recorded(keys, { instance: 'c1', bootID: 'the-boot-before' });

  it('has not failed while the one after it comes up', () => {
    expect(stateOf(rebooted, { pods: [pod.running('c2').withContainer(crashed)] })).toMatchObject({ state: 'Loading' });
  });

  it('has failed when the one after it does not come up either, or crashed in this boot', () => {
    const waiting = pod.waiting('CrashLoopBackOff').withContainer(crashed);
    expect(stateOf(rebooted, { pods: [waiting] })?.state).toBe('LoaderFailing');
    const again = pod.running('c2').withContainer(crashed);
    expect(stateOf(holding.recorded(keys, { instance: 'c1' }), { pods: [again] })?.state).toBe('LoaderFailing');
  });
});

describe('the state of a node', () => {
  it('is none for one that is none of the business of the Module', () => {
    expect(stateOf(aNode('n1').running(KERNEL))).toBeUndefined();
    expect(stateOf(aNode('n1').running(KERNEL).withLabel(keys.ready))).toBeUndefined();
  });

  it.each<[string, NodeState, NodeBuilder, Given]>([
    ['the module is in', { state: 'Loaded' }, loaded, { pods: [pod.ready('c1')] }],
    [
      'the loader starts',
      {
        state: 'Loading',
        message: 'pod module-loader-on-n1 on node n1 is not Ready (ContainerCreating) since 2026-03-01T11:59:59.000Z',
      },
      holding,
      { pods: [pod.waiting('ContainerCreating')] },
    ],
    ['there is no pod yet', { state: 'Loading' }, holding, {}],
    [
      'a loader from before is still there',
      { state: 'Loading', message: 'waiting: loader pod module-loader-on-n1 from before is still on the node' },
      node,
      { pods: [aLoaderPod('n1', '6.1.0').terminating()] },
    ],
    [
      'no mapping matches',
      { state: 'NoKernelMapping' },
      aNode('n1').running('9').withLabel('gpu', 'yes'),
      {
        world: aSnapshot(stored(base.withKernel(KERNEL, 'registry.test/m:1'))),
      },
    ],
    [
      'the image has to be built',
      { state: 'WaitingForImage', message: 'registry.test/m:1: waiting for its turn to be built' },
      node,
      {
        world: aSnapshot(
          stored(
            base.withMapping({
              literal: KERNEL,
              containerImage: 'registry.test/m:1',
              build: { dockerfile: 'FROM scratch' },
            }),
          ),
        ),
      },
    ],
    [
      'the mapping is broken',
      { state: 'InvalidMapping', message: expect.stringContaining('NONSENSE') },
      node,
      { world: aSnapshot(stored(base.withKernel(KERNEL, 'registry.test/m:${NONSENSE}'))) },
    ],
    [
      'the mapping broke after the module was loaded',
      { state: 'InvalidMapping', message: expect.stringContaining('NONSENSE') },
      loaded,
      {
        pods: [pod.ready('c1')],
        world: aSnapshot(stored(base.withKernel(KERNEL, 'registry.test/m:${NONSENSE}'))),
      },
    ],
    [
      'it is tainted',
      { state: 'NodesSkipped', message: 'taint x:NoSchedule is not tolerated by spec.tolerations' },
      node.tainted('x'),
      {},
    ],
    [
      'it is not Ready and was never given the label',
      { state: 'NodesSkipped', message: 'the node is not Ready' },
      node.notReady(),
      {},
    ],
    [
      'it died before the module was in',
      { state: 'NodesSkipped', message: 'the node is not Ready' },
      holding.notReady(),
      {},
    ],
    ['it died after the module was in', { state: 'Loaded' }, loaded.notReady(), { pods: [pod.ready('c1')] }],
    [
      'the API server refuses its pod',
      { state: 'PodsRefused', message: 'forbidden: PodSecurity' },
      holding,
      { kernel: { refusal } },
    ],
    [
      'the API server refused it before it had a pod',
      { state: 'Loading', message: expect.stringContaining('is not Ready since') },
      holding,
      { pods: [pod], kernel: { refusal } },
    ],
    [
      'a foreign DaemonSet has the name',
      { state: 'NameTaken', message: 'taken' },
      holding,
      { kernel: { problem: { state: 'NameTaken', message: 'taken' } } },
    ],
    [
      'the API server refuses the DaemonSet',
      { state: 'WriteRefused', message: 'invalid' },
      holding,
      { kernel: { problem: { state: 'WriteRefused', message: 'invalid' } } },
    ],
    [
      'its image cannot be pulled',
      { state: 'ImagePullFailed', message: 'not found' },
      holding,
      { pods: [pod.waiting('ErrImagePull', 'not found')] },
    ],
    [
      'its loader crashes',
      { state: 'LoaderFailing', message: 'exit code 1: insmod: Invalid module format' },
      holding,
      {
        pods: [
          pod
            .waiting('CrashLoopBackOff', 'back-off 5m0s', 3)
            .withContainer({ terminated: { exitCode: 1, reason: 'Error', message: 'insmod: Invalid module format' } }),
        ],
      },
    ],
    [
      'its loader is outdated and waits for its turn',
      { state: 'RollingOut', message: 'outdated loader, waiting for its turn' },
      loaded,
      // Somebody else's replacement uses the budget.
      {
        world: rolling.withNodes(
          aNode('n2').running(KERNEL).holding(keys).recorded(keys, { instance: 'c', replacingSince: 'x' }),
        ),
        pods: [pod.madeFrom('old').ready('c1')],
      },
    ],
    [
      'its DaemonSet is the one of before, which this plan changes',
      { state: 'RollingOut', message: 'outdated loader, waiting for its turn' },
      loaded,
      {
        world: aSnapshot(module).withLoaderDaemonSets(aLoaderDaemonSet(module, KERNEL).madeFrom('old')),
        pods: [pod.madeFrom('old').ready('c1')],
      },
    ],
    [
      'its turn has come and the mark is not on it yet: a time would be another in each plan',
      { state: 'RollingOut', message: 'waiting for loader pod module-loader-on-n1 to stop on node n1' },
      loaded,
      { world: rolling, pods: [pod.madeFrom('old').ready('c1')] },
    ],
    [
      'its plugin is waited for',
      {
        state: 'RollingOut',
        message: 'waiting for device-plugin pod device-plugin-on-n1 to stop on node n1 since 2026-03-01T11:59:00.000Z',
      },
      replacing,
      { world: rolling, pods: [pod.madeFrom('old').ready('c1')], plugins: [aPluginPod('n1').ready()] },
    ],
    [
      'its old loader is waited for',
      {
        state: 'RollingOut',
        message: 'waiting for loader pod module-loader-on-n1 to stop on node n1 since 2026-03-01T11:59:00.000Z',
      },
      replacing,
      { world: rolling, pods: [pod.madeFrom('old').ready('c1')] },
    ],
    [
      'its new loader is waited for',
      { state: 'RollingOut', message: 'waiting for the new loader on node n1 since 2026-03-01T11:59:00.000Z' },
      replacing,
      { world: rolling },
    ],
    [
      'its new loader fails',
      { state: 'ImagePullFailed', message: 'not found' },
      replacing,
      { world: rolling, pods: [pod.madeFrom('new').waiting('ErrImagePull', 'not found')] },
    ],
  ])('says so when %s', (_what, expected, built, given) => {
    expect(stateOf(built, given)).toEqual(expected);
  });

  it('is that it is left out while a selector label is missing, and until when it keeps what it has', () => {
    const unmatched = new Map([['n1', { sinceMs: NOW - MINUTE, cause: 'LabelVanished' as const }]]);
    const world = aSnapshot(module).remembering({ selector: module.spec.selector, unmatched });
    const unlabelled = aNode('n1').running(KERNEL);
    const message = 'a selector label is missing from node n1; it keeps the module until 2026-03-01T12:09:00.000Z';
    expect(stateOf(unlabelled.loaded(keys, 'c1'), { world, pods: [pod.ready('c1')] })).toEqual({
      state: 'Loaded',
      message,
    });
    expect(stateOf(unlabelled.holding(keys), { world })).toEqual({ state: 'NodesSkipped', message });
  });

  it('is that it unloads, why, and which pod it waits for', () => {
    const elsewhere = { gpu: 'no' };
    const unmatched = new Map([['n1', { sinceMs: NOW, cause: 'SelectorEdited' as const }]]);
    const world = aSnapshot(stored(base.withSelector(elsewhere))).remembering({ selector: elsewhere, unmatched });
    const given = { world, pods: [pod.ready('c1')] };
    expect(stateOf(loaded, { ...given, plugins: [aPluginPod('n1').ready()] })).toEqual({
      state: 'Unloading',
      message: 'leaving node n1 (SelectorEdited), waiting for pod device-plugin-on-n1',
    });
    expect(stateOf(loaded, given)).toMatchObject({
      message: 'leaving node n1 (SelectorEdited), waiting for pod module-loader-on-n1',
    });
    expect(stateOf(loaded, { world })).toMatchObject({ message: 'leaving node n1 (SelectorEdited)' });
  });
});

describe('why a loader pod fails', () => {
  const crashed = (reason: string, message: string) => ({ exitCode: 2, reason, message });

  it.each<[string, PodBuilder, NodeState | undefined]>([
    ['nothing, while it runs', pod.ready(), undefined],
    ['nothing, while it starts', pod.waiting('ContainerCreating'), undefined],
    [
      "the scheduler's words",
      pod.blocked('0/1 nodes are available'),
      { state: 'LoaderFailing', message: 'pod module-loader-on-n1: 0/1 nodes are available' },
    ],
    [
      "the container's last words",
      pod.waiting('CrashLoopBackOff').withContainer({ terminated: crashed('Error', 'no such device') }),
      { state: 'LoaderFailing', message: 'exit code 2: no such device' },
    ],
    [
      'how it ended, where it said nothing',
      pod.waiting('CrashLoopBackOff').withContainer({ terminated: crashed('OOMKilled', '') }),
      { state: 'LoaderFailing', message: 'exit code 2: OOMKilled' },
    ],
    [
      "the kubelet's words, where it never ran",
      pod.waiting('CreateContainerConfigError', 'secret "s" not found'),
      { state: 'LoaderFailing', message: 'CreateContainerConfigError: secret "s" not found' },
    ],
    [
      'a crash loop without an exit code other than 0',
      pod
        .waiting('CrashLoopBackOff', 'back-off 10s')
        .withContainer({ terminated: { exitCode: 0, reason: 'Completed', message: '' } }),
      { state: 'LoaderFailing', message: 'CrashLoopBackOff: back-off 10s' },
    ],
    ['a bad reference', pod.waiting('InvalidImageName', 'bad'), { state: 'ImagePullFailed', message: 'bad' }],
    ['a pull that says nothing', pod.waiting('ErrImagePull'), { state: 'ImagePullFailed', message: 'ErrImagePull' }],
  ])('is %s', (_what, built, expected) => {
    expect(failureOf(built.build())).toEqual(expected);
  });

  it('is the same sentence while the kubelet alternates between the failure and its back-off', () => {
    const cause = 'failed to resolve reference "registry.test/m:1": not found';
    const sentences = [
      pod.waiting('ErrImagePull', cause),
      pod.waiting('ImagePullBackOff', `Back-off pulling image "registry.test/m:1": ErrImagePull: ${cause}`),
      pod.waiting('ImagePullBackOff', `Back-off pulling image "registry.test/m:1": ${cause}`),
    ].map((built) => failureOf(built.build())?.message);
    expect(new Set(sentences)).toEqual(new Set([cause]));
  });
});
