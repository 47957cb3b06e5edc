import { describe, expect, it } from 'vitest';
import { BUILDING } from '../../../test/harness/builds.ts';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderPod,
  aNode,
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
import { kernelKey } from '../../kernel/grouping.ts';
import type { TaintEffect } from '../../kube/core.ts';
import { planKernels } from './plan-kernels.ts';
import { isAlive, type Placement, planPlacement } from './plan-placement.ts';

const KERNEL = '5.4.0-1054-gke';
const OTHER_KERNEL = '5.16.11-200.fc35.x86_64';

/** Selects driver=yes and maps both kernels. */
const base = aModule('m')
  .withSelector({ driver: 'yes' })
  .withKernel(KERNEL, 'registry.test/m:gke')
  .withKernel(OTHER_KERNEL, 'registry.test/m:fc35');
const module = stored(base);
const keys = keysOf(module);

const node = aNode('n1').running(KERNEL).withLabel('driver', 'yes');
const holder = node.holding(keys);

function place(
  built: NodeBuilder,
  { world = aSnapshot(module), pods = [] }: { world?: SnapshotBuilder; pods?: readonly PodBuilder[] } = {},
): Placement {
  const snapshot = world.withNodes(built).build();
  const it = built.build();
  const info = it.status?.nodeInfo;
  const kernels = planKernels(snapshot, [it]);
  const own = info === undefined ? undefined : kernels.get(kernelKey(info.kernelVersion, info.architecture));
  return planPlacement(
    snapshot,
    it,
    own,
    pods.map((pod) => pod.build()),
  );
}

const placed = { verdict: 'placed', key: keyOf(KERNEL) };

describe('a node that does not carry the load label', () => {
  it('gets the label of its kernel when the selector names it and a mapping matches', () => {
    expect(place(node)).toEqual(placed);
  });

  it('is outside when a label of the selector is missing or differs', () => {
    expect(place(aNode('n1').running(KERNEL))).toEqual({ verdict: 'outside' });
    expect(place(node.withLabel('driver', 'no'))).toEqual({ verdict: 'outside' });
  });

  it('is selected by an empty selector whatever its labels are', () => {
    const everywhere = aSnapshot(stored(base.withSelector({})));
    expect(place(aNode('n1').running(KERNEL), { world: everywhere })).toEqual(placed);
  });

  it('gets the label of its own architecture', () => {
    expect(place(aNode('n1').running(KERNEL, 'arm64').withLabel('driver', 'yes'))).toEqual({
      verdict: 'placed',
      key: keyOf(KERNEL, 'arm64'),
    });
  });

  it.each<[string, NodeBuilder, SnapshotBuilder, string, RegExp]>([
    [
      'has not reported a kernel',
      aNode('n1').withLabel('driver', 'yes'),
      aSnapshot(module),
      'KernelUnknown',
      /kubelet/,
    ],
    [
      'runs a kernel that no mapping matches',
      aNode('n1').running('9.9.9').withLabel('driver', 'yes'),
      aSnapshot(module),
      'NoKernelMapping',
      /9\.9\.9/,
    ],
    [
      'runs a kernel whose mapping has an unknown variable',
      node,
      aSnapshot(stored(base.withSpec({ kernelMappings: [] }).withKernel(KERNEL, 'registry.test/m:${NONSENSE}'))),
      'InvalidMapping',
      /spec\.kernelMappings\[0\]\.containerImage.*NONSENSE/,
    ],
    [
      'runs a kernel whose image has to be built first',
      node,
      aSnapshot(
        stored(
          base.withSpec({
            kernelMappings: [
              { literal: KERNEL, containerImage: 'registry.test/m:1', build: { dockerfileConfigMap: { name: 'x' } } },
            ],
          }),
        ),
      ),
      'WaitingForImage',
      /registry\.test\/m:1 has to be built/,
    ],
    [
      'has a taint that nothing tolerates',
      node.tainted('gpu', 'NoSchedule', 'only'),
      aSnapshot(module),
      'Tainted',
      /gpu=only:NoSchedule/,
    ],
    ['is not Ready', node.notReady('False'), aSnapshot(module), 'NodeNotReady', /not Ready/],
    ['is unreachable', node.notReady('Unknown'), aSnapshot(module), 'NodeNotReady', /not Ready/],
  ])('waits without the label while it %s', (_what, built, world, why, message) => {
    expect(place(built, { world })).toEqual({ verdict: 'withheld', why, message: expect.stringMatching(message) });
  });

  it.each<[string, NodeBuilder, true | undefined]>([
    ['no taint', node, undefined],
    ['a taint that is tolerated', node.tainted('mine'), undefined],
    ['a taint that is not tolerated', node.tainted('gpu'), true],
    ['the taint of a node that is not Ready', node.notReady('False'), true],
  ])('waits for its image first, and the plan remembers that it has %s', (_what, built, taintedToo) => {
    const mapping = { ...BUILDING, literal: KERNEL };
    const building = base.withSpec({ kernelMappings: [mapping] }).withToleration({ key: 'mine', operator: 'Exists' });
    const placement = place(built, { world: aSnapshot(stored(building)) });
    expect(placement).toMatchObject({ verdict: 'withheld', why: 'WaitingForImage' });
    expect('taintedToo' in placement ? placement.taintedToo : undefined).toBe(taintedToo);
  });

  it.each<[string, string, TaintEffect]>([
    ['a cordon', 'node.kubernetes.io/unschedulable', 'NoSchedule'],
    ['disk pressure', 'node.kubernetes.io/disk-pressure', 'NoSchedule'],
    ['memory pressure', 'node.kubernetes.io/memory-pressure', 'NoSchedule'],
    ['pid pressure', 'node.kubernetes.io/pid-pressure', 'NoSchedule'],
    ['a taint that only prefers', 'gpu', 'PreferNoSchedule'],
  ])('gets the label in spite of %s', (_what, key, effect) => {
    expect(place(node.tainted(key, effect))).toEqual(placed);
  });

  it.each<TaintEffect>(['NoSchedule', 'NoExecute'])(
    'gets the label when spec.tolerations tolerates its %s taint',
    (effect) => {
      const tainted = node.tainted('gpu', effect, 'only');
      expect(place(tainted)).toMatchObject({ why: 'Tainted' });
      const tolerant = aSnapshot(stored(base.withToleration({ key: 'gpu', operator: 'Exists' })));
      expect(place(tainted, { world: tolerant })).toEqual(placed);
    },
  );

  it('names the first of several taints that is not tolerated', () => {
    const tolerant = aSnapshot(stored(base.withToleration({ key: 'a', operator: 'Exists' })));
    expect(place(node.tainted('a').tainted('b').tainted('c'), { world: tolerant })).toMatchObject({
      message: expect.stringContaining('taint b:NoSchedule'),
    });
  });

  it.each<[string, PodBuilder]>([
    ['runs', aLoaderPod('n1', OTHER_KERNEL).ready()],
    ['is stopping', aLoaderPod('n1', OTHER_KERNEL).ready().terminating()],
  ])('waits while a loader of another kernel %s on it, whose preStop would unload the new module', (_what, pod) => {
    expect(place(node, { pods: [pod] })).toMatchObject({ verdict: 'withheld', why: 'OldLoaderStillThere' });
  });

  it('waits while a loader of this kernel from before is on it and nothing is known of this boot (a Node registered again under its name)', () => {
    const pods = [aLoaderPod('n1', KERNEL).ready()];
    expect(place(node, { pods })).toMatchObject({
      verdict: 'withheld',
      why: 'OldLoaderStillThere',
      message: expect.stringContaining('module-loader-on-n1'),
    });
    expect(place(node.recorded(keys, { bootID: 'earlier', instance: 'first' }), { pods })).toMatchObject({
      why: 'OldLoaderStillThere',
    });
  });

  it('gets the label back at once where it was taken by hand, so that nothing is unloaded', () => {
    const pods = [aLoaderPod('n1', KERNEL).ready()];
    expect(place(node.recorded(keys, { instance: 'first' }), { pods })).toEqual(placed);
  });

  it('gets the label while a loader of its kernel stops, because the DaemonSet makes the next one only when that is gone', () => {
    expect(place(node, { pods: [aLoaderPod('n1', KERNEL).ready().terminating()] })).toEqual(placed);
  });
});

describe('a node that carries the load label', () => {
  it.each<[string, NodeBuilder]>([
    ['is cordoned', holder.cordoned()],
    ['gets a NoSchedule taint', holder.tainted('gpu')],
    ['gets a NoExecute taint', holder.tainted('gpu', 'NoExecute')],
    ['is not Ready', holder.notReady('False')],
    ['is unreachable', holder.notReady('Unknown')],
    ['has no conditions at all', holder.notReady().tainted('node.kubernetes.io/out-of-service', 'NoExecute')],
    ['has lost its nodeInfo', aNode('n1').withLabel('driver', 'yes').withLabel(keys.load, keyOf(KERNEL))],
  ])('keeps it when it %s (I1)', (_what, built) => {
    expect(place(built)).toEqual(placed);
  });

  it('keeps it when its mapping can no longer be resolved: an error never unloads', () => {
    const broken = aSnapshot(
      stored(base.withSpec({ kernelMappings: [] }).withKernel(KERNEL, 'registry.test/m:${NONSENSE}')),
    );
    expect(place(holder, { world: broken })).toEqual(placed);
  });

  it('keeps it when its image would now have to be built', () => {
    const mapping = {
      literal: KERNEL,
      containerImage: 'registry.test/m:1',
      build: { dockerfileConfigMap: { name: 'x' } },
    };
    expect(place(holder, { world: aSnapshot(stored(base.withSpec({ kernelMappings: [mapping] }))) })).toEqual(placed);
  });

  it('loses it when no mapping matches its kernel any more', () => {
    const edited = aSnapshot(
      stored(base.withSpec({ kernelMappings: [] }).withKernel(OTHER_KERNEL, 'registry.test/m:1')),
    );
    expect(place(holder, { world: edited })).toEqual({
      verdict: 'leaving',
      key: keyOf(KERNEL),
      why: 'NoKernelMapping',
    });
  });

  it('loses it when it runs another kernel, even one that is not mapped', () => {
    const rebooted = node.holding(keys, OTHER_KERNEL);
    expect(place(rebooted)).toEqual({ verdict: 'leaving', key: keyOf(OTHER_KERNEL), why: 'KernelChanged' });
    const unmapped = aNode('n1').running('9.9.9').withLabel('driver', 'yes').withLabel(keys.load, keyOf(KERNEL));
    expect(place(unmapped)).toMatchObject({ verdict: 'leaving', why: 'KernelChanged' });
  });

  it('gets its own label back at once when somebody wrote another value over it', () => {
    const edited = node.loaded(keys, 'c1').withLabel(keys.load, 'by-hand');
    const pods = [aLoaderPod('n1', KERNEL).ready('c1')];
    expect(place(edited, { pods })).toEqual(placed);
  });

  it('loses a label that was written by hand and is of no kernel of its', () => {
    expect(place(node.withLabel(keys.load, 'by-hand'))).toEqual({
      verdict: 'leaving',
      key: 'by-hand',
      why: 'KernelChanged',
    });
  });

  it('loses it at once when an edit of the selector left it out', () => {
    const edited = stored(base.withSelector({ driver: 'never' }));
    const memory = {
      selector: { driver: 'never' },
      unmatched: new Map([['n1', { sinceMs: NOW, cause: 'SelectorEdited' as const }]]),
    };
    expect(place(holder, { world: aSnapshot(edited).remembering(memory) })).toEqual({
      verdict: 'leaving',
      key: keyOf(KERNEL),
      why: 'SelectorEdited',
    });
  });

  describe('and whose selector label vanished', () => {
    const unlabelled = aNode('n1').running(KERNEL).holding(keys);
    const vanishedSince = (sinceMs: number) =>
      aSnapshot(module).remembering({
        selector: module.spec.selector,
        unmatched: new Map([['n1', { sinceMs, cause: 'LabelVanished' as const }]]),
      });

    it('keeps it for the grace period', () => {
      const sinceMs = NOW - 10 * MINUTE + 1;
      expect(place(unlabelled, { world: vanishedSince(sinceMs) })).toEqual({
        verdict: 'grace',
        key: keyOf(KERNEL),
        untilMs: NOW + 1,
      });
    });

    it('loses it when the grace period is over', () => {
      expect(place(unlabelled, { world: vanishedSince(NOW - 10 * MINUTE) })).toEqual({
        verdict: 'leaving',
        key: keyOf(KERNEL),
        why: 'LabelVanished',
      });
    });

    it('begins its grace now when nobody remembers since when', () => {
      expect(place(unlabelled)).toEqual({ verdict: 'grace', key: keyOf(KERNEL), untilMs: NOW + 10 * MINUTE });
    });

    it('loses it at once when the mapping is edited meanwhile so that nothing matches', () => {
      const edited = stored(base.withSpec({ kernelMappings: [] }).withKernel(OTHER_KERNEL, 'registry.test/m:1'));
      expect(place(unlabelled, { world: aSnapshot(edited) })).toMatchObject({
        verdict: 'leaving',
        why: 'NoKernelMapping',
      });
    });

    it('keeps it when the label comes back', () => {
      expect(place(holder, { world: vanishedSince(NOW - 60 * MINUTE) })).toEqual(placed);
    });

    it('loses it at once for another kernel: nothing of ours is loaded in that boot', () => {
      const rebooted = aNode('n1').running(OTHER_KERNEL).withLabel(keys.load, keyOf(KERNEL));
      expect(place(rebooted, { world: vanishedSince(NOW) })).toMatchObject({
        verdict: 'leaving',
        why: 'KernelChanged',
      });
    });
  });
});

describe('a node is alive', () => {
  it('when its kubelet reports Ready', () => {
    expect(isAlive(node.build())).toBe(true);
  });

  it.each<[string, ReturnType<NodeBuilder['build']>]>([
    ['the kubelet reports not Ready', node.notReady('False').build()],
    ['the kubelet is silent', node.notReady('Unknown').build()],
    ['nothing was reported yet', { metadata: { name: 'n1' } }],
  ])('but not when %s', (_what, built) => {
    expect(isAlive(built)).toBe(false);
  });
});
