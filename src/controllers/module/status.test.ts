import { describe, expect, it } from 'vitest';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import {
  aLoaderDaemonSet,
  aLoaderPod,
  aNode,
  aPluginDaemonSet,
  aPluginPod,
  aSnapshot,
  keysOf,
  MINUTE,
  NOW,
  type NodeBuilder,
  type SnapshotBuilder,
  stored,
  upToDate,
} from '../../../test/harness/plan-world.ts';
import { findCondition } from '../../api/conditions.ts';
import type { Module, ModuleStatus } from '../../api/module.ts';
import type { WriteProblem } from './node-state.ts';
import { planModule } from './plan.ts';
import { CONDITION_REASONS } from './reasons.ts';
import { moduleStatus, unloadingStatus, unsupportedStatus } from './status.ts';
import { statusWrite } from './status-write.ts';

const KERNEL = '5.4.0';
const OTHER = '6.1.0';
const DIGEST = `sha256:${'a'.repeat(64)}`;
const base = aModule('m').withSelector({ gpu: 'yes' });
const module = stored(base);
const keys = keysOf(module);

const aGpuNode = (name: string, kernel = KERNEL) => aNode(name).running(kernel).withLabel('gpu', 'yes');
const aLoadedNode = (name: string, kernel = KERNEL) => aGpuNode(name, kernel).loaded(keys, `c-${name}`);
const aRunningLoader = (name: string, kernel = KERNEL) =>
  aLoaderPod(name, kernel)
    .ready(`c-${name}`)
    .withContainer({ imageID: `registry.test/m@${DIGEST}` });

function statusOf(world: SnapshotBuilder, problems: ReadonlyMap<string, WriteProblem> = new Map()): ModuleStatus {
  const snapshot = upToDate(world.build());
  return moduleStatus(snapshot, planModule(snapshot), problems);
}

/** The world of `builder` with DaemonSets for the usual kernels, from whose inputs the pods are made. */
function worldOf(builder: ModuleBuilder = base, extra: Partial<Module> = {}): SnapshotBuilder {
  const edited = stored(builder, extra);
  const daemonSets = [KERNEL, OTHER].map((kernel) => aLoaderDaemonSet(edited, kernel));
  return aSnapshot(edited).withLoaderDaemonSets(...daemonSets);
}

const loadedWorld = worldOf()
  .withNodes(aLoadedNode('n1'), aLoadedNode('n2'))
  .withLoaderPods(aRunningLoader('n1'), aRunningLoader('n2'));

interface Verdict {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

function verdicts({ conditions }: ModuleStatus): Record<string, Verdict> {
  return Object.fromEntries(
    ['Ready', 'Progressing', 'Degraded'].map((type) => {
      const { status = '', reason = '', message = '' } = findCondition(conditions, type) ?? {};
      return [type, { status, reason, message }];
    }),
  );
}

/** `Ready=<status>/<reason> Progressing=... Degraded=...` */
function outline(status: ModuleStatus): string {
  return Object.entries(verdicts(status))
    .map(([type, verdict]) => `${type}=${verdict.status}/${verdict.reason}`)
    .join(' ');
}

const holding = aGpuNode('n1').holding(keys);
const rolling = aSnapshot(module).withLoaderDaemonSets(aLoaderDaemonSet(module, KERNEL).madeFrom('new'));
const replacing = holding.recorded(keys, { instance: 'c-n1', replacingSince: '2026-03-01T11:59:00.000Z' });
const withPlugin = base.withDevicePlugin();
const crash = { exitCode: 1, reason: 'Error', message: 'insmod: Invalid module format' };
const daemonSetOf = (world: SnapshotBuilder) => [...planModule(world.build()).kernels.values()][0]?.daemonSetName ?? '';

describe('the conditions of a Module', () => {
  it.each<[string, SnapshotBuilder, string]>([
    ['no node matches', worldOf(), 'Ready=False/NoNodes Progressing=False/Done Degraded=False/Healthy'],
    ['all is loaded', loadedWorld, 'Ready=True/AllLoaded Progressing=False/Done Degraded=False/Healthy'],
    [
      'loaders start',
      worldOf().withNodes(holding),
      'Ready=False/Loading Progressing=True/Loading Degraded=False/Healthy',
    ],
    [
      'no mapping matches any node',
      worldOf(base.withKernel(OTHER, 'registry.test/m:1')).withNodes(aGpuNode('n1')),
      'Ready=False/NoKernelMapping Progressing=False/Done Degraded=False/Healthy',
    ],
    [
      'no mapping matches some of them',
      loadedWorld
        .with({ ...worldOf(base.withKernel(KERNEL, 'registry.test/m:1')).build(), ...nodesOf(loadedWorld) })
        .withNodes(aGpuNode('n9', '9.9.9')),
      'Ready=True/AllLoaded Progressing=False/Done Degraded=False/Healthy',
    ],
    [
      'an image has to be built',
      worldOf(
        base.withMapping({ regexp: '.', containerImage: 'registry.test/m:1', build: { dockerfile: 'FROM scratch' } }),
      ).withNodes(aGpuNode('n1')),
      'Ready=False/WaitingForImage Progressing=True/WaitingForImage Degraded=False/Healthy',
    ],
    [
      'a mapping is broken',
      worldOf(base.withKernel(KERNEL, 'registry.test/m:${NONSENSE}')).withNodes(aGpuNode('n1')),
      'Ready=False/InvalidMapping Progressing=True/InvalidMapping Degraded=True/InvalidMapping',
    ],
    [
      'an image cannot be pulled',
      worldOf().withNodes(holding).withLoaderPods(aLoaderPod('n1', KERNEL).waiting('ImagePullBackOff', 'x')),
      'Ready=False/ImagePullFailed Progressing=True/ImagePullFailed Degraded=True/ImagePullFailed',
    ],
    [
      'a loader fails',
      worldOf()
        .withNodes(holding)
        .withLoaderPods(aLoaderPod('n1', KERNEL).waiting('CrashLoopBackOff').withContainer({ terminated: crash })),
      'Ready=False/LoaderFailing Progressing=True/LoaderFailing Degraded=True/LoaderFailing',
    ],
    [
      'pods are refused',
      worldOf()
        .withNodes(holding)
        .withRefusal(aLoaderDaemonSet(module, KERNEL).build().metadata.uid ?? '', 'forbidden'),
      'Ready=False/PodsRefused Progressing=True/PodsRefused Degraded=True/PodsRefused',
    ],
    [
      'every node is tainted: that is the wish of a person',
      worldOf().withNodes(aGpuNode('n1').tainted('x')),
      'Ready=False/NodesSkipped Progressing=False/Done Degraded=False/Healthy',
    ],
    [
      'every node is not Ready',
      worldOf().withNodes(aGpuNode('n1').notReady()),
      'Ready=False/NodesSkipped Progressing=False/Done Degraded=True/NodesSkipped',
    ],
    [
      'all is loaded but for a node that is not Ready',
      loadedWorld.withNodes(aGpuNode('n3', OTHER).notReady()),
      'Ready=True/AllLoaded Progressing=False/Done Degraded=True/NodesSkipped',
    ],
    [
      'a node that has the module is cordoned or not Ready: it still has it',
      worldOf()
        .withNodes(aLoadedNode('n1').cordoned(), aLoadedNode('n2').notReady())
        .withLoaderPods(aRunningLoader('n1'), aRunningLoader('n2')),
      'Ready=True/AllLoaded Progressing=False/Done Degraded=False/Healthy',
    ],
    [
      'a rollout waits for its first node',
      rolling.withNodes(replacing).withLoaderPods(aRunningLoader('n1').madeFrom('old')),
      'Ready=False/RollingOut Progressing=True/RollingOut Degraded=False/Healthy',
    ],
    [
      'a rollout is stuck on a loader that fails',
      rolling
        .withNodes(replacing)
        .withLoaderPods(aLoaderPod('n1', KERNEL).madeFrom('new').waiting('ErrImagePull', 'x')),
      'Ready=False/ImagePullFailed Progressing=True/RollingOut Degraded=True/ImagePullFailed',
    ],
    [
      'nodes leave and none is left',
      leavingWorld(),
      'Ready=False/NoNodes Progressing=True/Unloading Degraded=False/Healthy',
    ],
    [
      'the device plugin is not up yet',
      worldOf(withPlugin).withNodes(aLoadedNode('n1')).withLoaderPods(aRunningLoader('n1')),
      'Ready=False/DevicePluginUnavailable Progressing=True/DevicePluginUnavailable Degraded=False/Healthy',
    ],
    [
      'the device plugin fails',
      worldOf(withPlugin)
        .withNodes(aLoadedNode('n1'))
        .withLoaderPods(aRunningLoader('n1'))
        .withPluginPods(aPluginPod('n1').waiting('ErrImagePull', 'not found')),
      'Ready=False/DevicePluginUnavailable Progressing=True/DevicePluginUnavailable Degraded=True/DevicePluginUnavailable',
    ],
    [
      'the device plugin is up',
      worldOf(withPlugin)
        .withNodes(aLoadedNode('n1'))
        .withLoaderPods(aRunningLoader('n1'))
        .withPluginPods(aPluginPod('n1').ready()),
      'Ready=True/AllLoaded Progressing=False/Done Degraded=False/Healthy',
    ],
    [
      'a kernel is not known yet',
      worldOf().withNodes(aNode('n1').withLabel('gpu', 'yes')),
      'Ready=False/NodesSkipped Progressing=False/Done Degraded=False/Healthy',
    ],
  ])('say when %s', (_what, world, expected) => {
    const status = statusOf(world);
    expect(outline(status)).toBe(expected);
    const documented = new Set(CONDITION_REASONS.map(({ reason }) => reason));
    for (const { reason, message } of status.conditions ?? []) {
      expect(documented).toContain(reason);
      expect(message).not.toBe('');
    }
  });

  it.each<WriteProblem>([
    { state: 'NameTaken', message: 'DaemonSet x exists and is not of this Module' },
    { state: 'WriteRefused', message: 'create daemonsets: spec.template: Invalid value' },
  ])('say $state with the sentence, of a DaemonSet that could not be written', (problem) => {
    const world = worldOf().withNodes(holding);
    const status = statusOf(world, new Map([[daemonSetOf(world), problem]]));
    expect(outline(status)).toBe(
      `Ready=False/${problem.state} Progressing=True/${problem.state} Degraded=True/${problem.state}`,
    );
    expect(verdicts(status)['Degraded']?.message).toContain(problem.message);
  });

  it.each<[string, SnapshotBuilder, ReadonlyMap<string, WriteProblem>]>([
    [
      'its DaemonSet could not be written',
      worldOf(withPlugin).withNodes(aLoadedNode('n1')).withLoaderPods(aRunningLoader('n1')),
      new Map([['any-other-name', { state: 'WriteRefused', message: 'in the words of the server' }]]),
    ],
    [
      'its pods are refused',
      worldOf(withPlugin)
        .withNodes(aLoadedNode('n1'))
        .withLoaderPods(aRunningLoader('n1'))
        .withPluginDaemonSets(aPluginDaemonSet(module))
        .withRefusal(aPluginDaemonSet(module).build().metadata.uid ?? '', 'in the words of the server'),
      new Map(),
    ],
  ])('say in the words of the server why the device plugin does not run, when %s', (_what, world, problems) => {
    const { Degraded } = verdicts(statusOf(world, problems));
    expect(Degraded).toEqual({
      status: 'True',
      reason: 'DevicePluginUnavailable',
      message: 'in the words of the server',
    });
  });

  it.each<[string, SnapshotBuilder, string]>([
    ['it has no pod there', worldOf(withPlugin).withNodes(aLoadedNode('n1')), 'it has no pod on node n1 yet'],
    ['the node is down', worldOf(withPlugin).withNodes(aLoadedNode('n1').notReady()), 'node n1 is not Ready'],
    [
      'its pod is not Ready',
      worldOf(withPlugin).withNodes(aLoadedNode('n1')).withPluginPods(aPluginPod('n1')),
      'pod device-plugin-on-n1 on node n1 is not Ready since ',
    ],
    [
      'its pod is on its way out',
      worldOf(withPlugin).withNodes(aLoadedNode('n1')).withPluginPods(aPluginPod('n1').terminating()),
      'pod device-plugin-on-n1 on node n1 is stopping',
    ],
  ])('name the node, and what is there, where the device plugin does not run because %s', (_what, world, cause) => {
    const { Ready, Progressing } = verdicts(statusOf(world.withLoaderPods(aRunningLoader('n1'))));
    for (const verdict of [Ready, Progressing]) {
      expect(verdict?.message).toContain(`The device plugin does not run yet on 1 of 1 node: ${cause}`);
    }
  });

  it('say that a node cannot be labelled, in the words of the server, while something is due there', () => {
    const sentence = 'admission policy node-labels denied the request';
    const world = worldOf().withNodes(aGpuNode('n1').holding(keys)).withLoaderPods(aRunningLoader('n1'));
    const status = statusOf(world.withNodeRefusal('n1', sentence));
    expect(outline(status)).toBe('Ready=False/WriteRefused Progressing=True/WriteRefused Degraded=True/WriteRefused');
    expect(verdicts(status)['Degraded']?.message).toContain(`node n1 cannot be labelled: ${sentence}`);
    // Of a node on which all is as it should be an old refusal says nothing.
    expect(statusOf(loadedWorld.withNodeRefusal('n1', sentence))).toEqual(statusOf(loadedWorld));
  });

  it('are about the generation that was read', () => {
    const status = statusOf(worldOf(base, { metadata: { generation: 7 } }));
    expect(status.observedGeneration).toBe(7);
    for (const { observedGeneration } of status.conditions ?? []) expect(observedGeneration).toBe(7);
  });

  it('name the first cause and how many more kernels have one', () => {
    const kernels = ['1.0', '2.0', '3.0'];
    const world = worldOf(base)
      .withNodes(...kernels.map((kernel) => aGpuNode(`n-${kernel}`, kernel).holding(keys)))
      .withLoaderPods(
        aLoaderPod('n-1.0', '1.0').waiting('CrashLoopBackOff').withContainer({ terminated: crash }),
        aLoaderPod('n-2.0', '2.0').waiting('ErrImagePull', 'no such image'),
        aLoaderPod('n-3.0', '3.0').waiting('ErrImagePull', 'another'),
      );
    expect(verdicts(statusOf(world))['Degraded']).toEqual({
      status: 'True',
      reason: 'ImagePullFailed',
      message: 'ImagePullFailed on 1 node with kernel 2.0: no such image (and 2 more kernels)',
    });
  });

  it('name how many nodes of the kernel are in the state', () => {
    const failing = ['n1', 'n2', 'n3'].map((name) => aLoaderPod(name, KERNEL).waiting('ErrImagePull', 'no such image'));
    const world = worldOf()
      .withNodes(...['n1', 'n2', 'n3'].map((name) => aGpuNode(name).holding(keys)), aLoadedNode('n4'))
      .withLoaderPods(...failing, aRunningLoader('n4'));
    expect(verdicts(statusOf(world))['Ready']?.message).toBe(
      'Loaded on 1 of 4 nodes. ImagePullFailed on 3 nodes with kernel 5.4.0: no such image.',
    );
  });

  it('say how many nodes are left out, which kernels are not mapped, and an example of why', () => {
    const world = worldOf(base.withKernel(KERNEL, 'registry.test/m:1'))
      .withNodes(aLoadedNode('n1'), aGpuNode('t', KERNEL).tainted('x'))
      .withNodes(...['1', '2', '3', '4'].map((kernel) => aGpuNode(`u${kernel}`, kernel)))
      .withLoaderPods(aRunningLoader('n1'));
    expect(verdicts(statusOf(world))['Ready']).toMatchObject({
      status: 'True',
      message:
        'Loaded on 1 of 1 nodes. No mapping matches 4 nodes (kernel 1, 2, 3 and 1 more). ' +
        'Skipped: 1 node (taint x:NoSchedule is not tolerated by spec.tolerations).',
    });
  });

  it('say how far a rollout is, and what it waits for', () => {
    const world = rolling
      .withNodes(replacing, aLoadedNode('n2'), aLoadedNode('n3').notReady())
      .withLoaderPods(...['n1', 'n2', 'n3'].map((name) => aRunningLoader(name).madeFrom('old')));
    expect(verdicts(statusOf(world))['Progressing']?.message).toBe(
      'Outdated loaders: 3, nodes being replaced: 1, skipped because not Ready: 1. RollingOut on 3 nodes with kernel 5.4.0: ' +
        'waiting for loader pod module-loader-on-n1 to stop on node n1 since 2026-03-01T11:59:00.000Z',
    );
  });

  it('stay short, whatever a container says', () => {
    const message = 'x'.repeat(512);
    const world = worldOf()
      .withNodes(holding)
      .withLoaderPods(aLoaderPod('n1', KERNEL).waiting('ErrImagePull', message));
    const status = statusOf(world);
    for (const condition of status.conditions ?? []) expect(condition.message.length).toBeLessThanOrEqual(480);
    expect(status.kernels?.[0]?.message).toHaveLength(200);
  });
});

describe('the numbers of a status', () => {
  it('count nodes that match, that ought to have the module, and that have it', () => {
    const world = worldOf(base.withKernel(KERNEL, 'registry.test/m:1'))
      .withNodes(aLoadedNode('n1'), aGpuNode('n2').holding(keys), aGpuNode('n3'))
      .withNodes(aGpuNode('tainted').tainted('x'), aGpuNode('unmapped', '9'), aNode('other').running(KERNEL))
      .withNodes(aLoadedNode('dead-loaded').notReady(), aGpuNode('dead').holding(keys).notReady())
      .withLoaderPods(aRunningLoader('n1'), aRunningLoader('dead-loaded'));
    const status = statusOf(world);
    expect(status.moduleLoader).toEqual({ nodesMatchingSelectorNumber: 7, desiredNumber: 4, availableNumber: 2 });
    expect(status.loaded).toBe('2/4');
    expect(status).not.toHaveProperty('devicePlugin');
  });

  it('count the device plugin among the nodes that have the module', () => {
    const world = worldOf(withPlugin)
      .withNodes(...['n1', 'n2', 'n3', 'n4'].map((name) => aLoadedNode(name)), aGpuNode('n5').holding(keys))
      .withLoaderPods(...['n1', 'n2', 'n3', 'n4'].map((name) => aRunningLoader(name)))
      .withPluginPods(aPluginPod('n1').ready(), aPluginPod('n2'), aPluginPod('n3').ready().terminating());
    expect(statusOf(world).devicePlugin).toEqual({
      nodesMatchingSelectorNumber: 4,
      desiredNumber: 4,
      availableNumber: 1,
    });
  });

  it('list each kernel with its image, the digest that runs, its nodes and since when it is so', () => {
    const world = loadedWorld.withNodes(aGpuNode('n3', OTHER), aGpuNode('n4', OTHER));
    expect(statusOf(world)).toMatchObject({
      kernelsNumber: 2,
      kernels: [
        {
          kernelVersion: KERNEL,
          architecture: 'amd64',
          image: 'registry.test/kmod:5.4.0',
          imageDigest: DIGEST,
          nodes: 2,
          loaded: 2,
          state: 'Loaded',
          since: '2026-03-01T12:00:00Z',
        },
        { kernelVersion: OTHER, nodes: 2, loaded: 0, state: 'Loading' },
      ],
    });
    expect(statusOf(world)).not.toHaveProperty('kernelsOmitted');
  });

  it('show the worst state of the nodes of a kernel', () => {
    const world = worldOf()
      .withNodes(aLoadedNode('n1'), aGpuNode('n2').holding(keys), aGpuNode('n3').tainted('x'))
      .withLoaderPods(aRunningLoader('n1'), aLoaderPod('n2', KERNEL).waiting('ErrImagePull', 'words'));
    expect(statusOf(world).kernels).toMatchObject([
      { nodes: 3, loaded: 1, state: 'ImagePullFailed', message: 'words' },
    ]);
  });
});

describe('an unchanged world', () => {
  const later = (world: SnapshotBuilder, nowMs = NOW + 60 * MINUTE) => {
    const before = statusOf(world);
    const snapshot = world.at(nowMs).build();
    return { before, next: statusOf(world.with({ module: { ...snapshot.module, status: before }, nowMs })) };
  };

  it.each<[string, SnapshotBuilder]>([
    ['all is loaded', loadedWorld],
    [
      'a loader fails',
      worldOf().withNodes(holding).withLoaderPods(aLoaderPod('n1', KERNEL).waiting('ErrImagePull', 'x')),
    ],
    [
      'a rollout is stuck',
      rolling.withNodes(replacing).withLoaderPods(aRunningLoader('n1').madeFrom('old').terminating()),
    ],
    ['no node matches', worldOf()],
    [
      'the device plugin is missing',
      worldOf(withPlugin).withNodes(aLoadedNode('n1')).withLoaderPods(aRunningLoader('n1')),
    ],
  ])('gives an equal status an hour later, so that nothing is written, while %s', (_what, world) => {
    const { before, next } = later(world);
    expect(next).toEqual(before);
    expect(statusWrite(before, next)).toBe('none');
  });

  it('gives the same status in whatever order caches give it, as after a restart', () => {
    const names = ['n1', 'n2', 'n3', 'n4'];
    const nodes = names.map((name) => aGpuNode(name).holding(keys).build());
    const pods = names.map((name) => aLoaderPod(name, KERNEL).waiting('ErrImagePull', `cause on ${name}`).build());
    const world = worldOf(base.withKernel(KERNEL, 'x:1').withKernel(OTHER, 'x:2'));
    const tainted = [aGpuNode('t1', OTHER).tainted('b').build(), aGpuNode('t2', OTHER).tainted('a').build()];
    const one = statusOf(world.with({ nodes: [...nodes, ...tainted], loaderPods: pods }));
    const other = statusOf(world.with({ nodes: [...nodes, ...tainted].toReversed(), loaderPods: pods.toReversed() }));
    expect(other).toEqual(one);
  });

  it('keeps since when a kernel is in its state, and moves it when the state does', () => {
    const before = statusOf(loadedWorld);
    const changed = worldOf(base, { status: before })
      .at(NOW + MINUTE)
      .withNodes(aLoadedNode('n1'), aGpuNode('n2').holding(keys))
      .withLoaderPods(aRunningLoader('n1'));
    expect(statusOf(changed).kernels).toMatchObject([{ state: 'Loading', since: '2026-03-01T12:01:00Z' }]);
    const same = worldOf(base, { status: before })
      .at(NOW + MINUTE)
      .withNodes(aLoadedNode('n1'))
      .withLoaderPods(aRunningLoader('n1'));
    expect(statusOf(same).kernels).toMatchObject([{ state: 'Loaded', since: '2026-03-01T12:00:00Z' }]);
  });

  it('moves lastTransitionTime only when a condition flips', () => {
    const before = statusOf(worldOf().withNodes(holding));
    const failing = worldOf(base, { status: before })
      .at(NOW + MINUTE)
      .withNodes(holding)
      .withLoaderPods(aLoaderPod('n1', KERNEL).waiting('ErrImagePull', 'x'));
    const { conditions } = statusOf(failing);
    expect(findCondition(conditions, 'Ready')).toMatchObject({
      reason: 'ImagePullFailed',
      lastTransitionTime: '2026-03-01T12:00:00Z',
    });
    expect(findCondition(conditions, 'Degraded')?.lastTransitionTime).toBe('2026-03-01T12:01:00Z');
  });
});

describe('the size of a status', () => {
  /** `count` nodes over `kernels` kernels, half of them failing with long words, each image reference as long as it may be. */
  function large(count: number, kernels: number): SnapshotBuilder {
    const image = `registry.test/${'path/'.repeat(48)}m:\${KERNEL_FULL_VERSION}`;
    const world = aSnapshot(stored(base.withMapping({ regexp: '.', containerImage: image })));
    const nodes: NodeBuilder[] = [];
    const pods = [];
    for (let index = 0; index < count; index += 1) {
      const name = `node-${index}`;
      const kernel = `5.4.0-${1000 + (index % kernels)}-${'x'.repeat(50)}`;
      nodes.push(aGpuNode(name, kernel).holding(keys));
      if (index % 2 === 0) pods.push(aLoaderPod(name, kernel).waiting('ErrImagePull', `ü${'words '.repeat(80)}`));
    }
    return world.withNodes(...nodes).withLoaderPods(...pods);
  }

  const sizeOf = (status: ModuleStatus) => Buffer.byteLength(JSON.stringify(status));

  it.each([
    [5_000, 200],
    [5_000, 300],
    [300, 300],
  ])('stays under 100 KB at %i nodes and %i kernels, and what is not listed is counted', (nodes, kernels) => {
    const status = statusOf(large(nodes, kernels));
    expect(sizeOf(status)).toBeLessThan(100_000);
    expect(status.kernelsNumber).toBe(kernels);
    expect((status.kernels?.length ?? 0) + (status.kernelsOmitted ?? 0)).toBe(kernels);
    expect(status.kernels?.length).toBeLessThanOrEqual(200);
  });

  it('has room for 200 kernels of ordinary length', () => {
    const nodes = Array.from({ length: 300 }, (_, index) =>
      aGpuNode(`n${index}`, `5.4.0-${1000 + index}-gke`).holding(keys),
    );
    const status = statusOf(worldOf().withNodes(...nodes));
    expect(status.kernels).toHaveLength(200);
    expect(status.kernelsOmitted).toBe(100);
    expect(sizeOf(status)).toBeLessThan(100_000);
  });
});

describe('the status of a Module', () => {
  it('that is stored but not acted on says so, and keeps what else is there', () => {
    const before: ModuleStatus = { dra: { desiredNumber: 1 } };
    const status = unsupportedStatus(stored(base, { status: before }), 'words', NOW);
    expect(outline(status)).toBe(
      'Ready=False/NotSupportedYet Progressing=False/NotSupportedYet Degraded=True/NotSupportedYet',
    );
    expect(status).toMatchObject({ observedGeneration: 1, dra: { desiredNumber: 1 } });
    expect(unsupportedStatus(stored(base, { status }), 'words', NOW + MINUTE)).toEqual(status);
  });

  it('that is being deleted says what is waited for', () => {
    const status = unloadingStatus(stored(base, { status: statusOf(loadedWorld) }), 'waiting for x', NOW + MINUTE);
    expect(outline(status)).toBe('Ready=False/Unloading Progressing=True/Unloading Degraded=False/Unloading');
    expect(verdicts(status)['Ready']?.message).toBe('waiting for x');
    expect(status.loaded).toBe('2/2');
  });
});

function nodesOf(world: SnapshotBuilder) {
  const { nodes, loaderPods } = world.build();
  return { nodes, loaderPods };
}

/** One node that an edit of the selector has left out, whose plugin still runs. */
function leavingWorld(): SnapshotBuilder {
  const selector = { gpu: 'no' };
  return worldOf(base.withSelector(selector))
    .remembering({ selector, unmatched: new Map([['n1', { sinceMs: NOW, cause: 'SelectorEdited' }]]) })
    .withNodes(aLoadedNode('n1'))
    .withLoaderPods(aRunningLoader('n1'))
    .withPluginPods(aPluginPod('n1').ready());
}
