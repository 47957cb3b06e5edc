import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderPod,
  aNode,
  aPluginDaemonSet,
  aPluginPod,
  aSnapshot,
  keyOf,
  keysOf,
  MINUTE,
  NOW,
  type SnapshotBuilder,
  stored,
} from '../../../test/harness/plan-world.ts';
import type { NodePatch } from '../node/label-patch.ts';
import { carriesAnything, clearingPatch, planModule } from './plan.ts';
import { CRASH_SETTLE_MS } from './plan-ready.ts';

const KERNEL = '5.4.0';
const OTHER = '6.1.0';
const base = aModule('m').withSelector({ gpu: 'yes' }).withDevicePlugin();
const module = stored(base);
const keys = keysOf(module);
const node = aNode('n1').running(KERNEL).withLabel('gpu', 'yes');
const loaded = node.loaded(keys, 'c1');
const loader = aLoaderPod('n1', KERNEL).ready('c1');

function patches(world: SnapshotBuilder): Record<string, NodePatch> {
  return Object.fromEntries([...planModule(world.build()).nodeRequests].map(([name, { patch }]) => [name, patch]));
}

const world = aSnapshot(module);

describe('what a plan writes on nodes', () => {
  it('is the load label of the kernel, on a node that is to have the module', () => {
    expect(patches(world.withNodes(node))).toEqual({
      n1: { labels: { [keys.load]: keyOf(KERNEL) }, annotations: {} },
    });
  });

  it('is the ready label and the record in one patch, when the loader is Ready', () => {
    expect(patches(world.withNodes(node.holding(keys)).withLoaderPods(loader))).toEqual({
      n1: { labels: { [keys.ready]: '' }, annotations: { [keys.loaded]: 'boot=n1-boot-1,container=c1' } },
    });
  });

  it('is nothing when all of it is there (I2)', () => {
    expect(patches(world.withNodes(loaded).withLoaderPods(loader))).toEqual({});
  });

  it('is nothing on nodes that are none of its business', () => {
    expect(patches(world.withNodes(aNode('n2').running(KERNEL), aNode('n3')))).toEqual({});
  });

  it('takes the ready label at a reboot and keeps the record, by which the container of that boot is known', () => {
    expect(patches(world.withNodes(loaded.booted('boot-2')).withLoaderPods(loader))).toEqual({
      n1: {
        labels: { [keys.ready]: null },
        annotations: { [keys.loaded]: 'boot=n1-boot-1,container=c1,reboot=boot-2@2026-03-01T12:00:00.000Z' },
      },
    });
  });

  it('takes all three at once on a node that runs another kernel: nothing of ours is loaded there', () => {
    const rebooted = loaded.running(OTHER).booted('boot-2');
    expect(patches(world.withNodes(rebooted).withLoaderPods(loader).withPluginPods(aPluginPod('n1')))).toEqual({
      n1: { labels: { [keys.load]: null, [keys.ready]: null }, annotations: { [keys.loaded]: null } },
    });
  });

  it('gives the new load label only when the loader of the old kernel has gone', () => {
    const rebooted = node.running(OTHER).booted('boot-2');
    expect(patches(world.withNodes(rebooted).withLoaderPods(loader.terminating()))).toEqual({});
    expect(patches(world.withNodes(rebooted))).toEqual({
      n1: { labels: { [keys.load]: keyOf(OTHER) }, annotations: {} },
    });
  });

  it('is asked for the very Node and boot that it was decided for', () => {
    const { nodeRequests } = planModule(world.withNodes(node.booted('boot-7')).build());
    expect(nodeRequests.get('n1')).toMatchObject({ nodeUID: 'uid-of-n1', bootID: 'boot-7' });
  });

  it('takes off what a person put there and nothing accounts for', () => {
    expect(patches(world.withNodes(node.holding(keys).withLabel(keys.ready)))).toEqual({
      n1: { labels: { [keys.ready]: null }, annotations: {} },
    });
    expect(patches(world.withNodes(aNode('n1').running(KERNEL).withLabel(keys.ready)))).toEqual({
      n1: { labels: { [keys.ready]: null }, annotations: {} },
    });
  });
});

describe('a node that an edit of the selector left out', () => {
  const edited = stored(base.withSelector({ gpu: 'no' }));
  const unloading = aSnapshot(edited)
    .remembering({
      selector: edited.spec.selector,
      unmatched: new Map([['n1', { sinceMs: NOW, cause: 'SelectorEdited' }]]),
    })
    .withLoaderPods(loader);

  it('loses the ready label first, and the load label when the device-plugin pod has gone', () => {
    const plugin = aPluginPod('n1').ready();
    expect(patches(unloading.withNodes(loaded).withPluginPods(plugin))).toEqual({
      n1: { labels: { [keys.ready]: null }, annotations: {} },
    });
    expect(patches(unloading.withNodes(loaded))).toEqual({
      n1: { labels: { [keys.load]: null, [keys.ready]: null }, annotations: { [keys.loaded]: null } },
    });
  });

  it('loses the ready label alone also where no device-plugin pod is seen: one may have come since', () => {
    const pluggable = unloading.withPluginDaemonSets(aPluginDaemonSet(edited));
    expect(patches(pluggable.withNodes(loaded))).toEqual({
      n1: { labels: { [keys.ready]: null }, annotations: {} },
    });
    const waiting = node.holding(keys).recorded(keys, { instance: 'c1' });
    expect(patches(pluggable.withNodes(waiting))).toEqual({
      n1: { labels: { [keys.load]: null }, annotations: { [keys.loaded]: null } },
    });
  });

  it('is not being replaced any more: the mark goes, and the budget is free for another', () => {
    const replacing = node.holding(keys).recorded(keys, { instance: 'c1', replacingSince: '2026-03-01T11:59:00.000Z' });
    expect(patches(unloading.withNodes(replacing).withPluginPods(aPluginPod('n1').ready()))).toEqual({
      n1: { labels: {}, annotations: { [keys.loaded]: 'boot=n1-boot-1,container=c1' } },
    });
  });

  it('is not waited for when it is dead', () => {
    expect(patches(unloading.withNodes(loaded.notReady()).withPluginPods(aPluginPod('n1').terminating()))).toEqual({
      n1: { labels: { [keys.load]: null, [keys.ready]: null }, annotations: { [keys.loaded]: null } },
    });
  });

  it('keeps its record while it waits: should it come back after a reboot, its old container is still known', () => {
    const plugin = aPluginPod('n1').ready().terminating();
    const waiting = node.holding(keys).recorded(keys, { instance: 'c1' });
    expect(patches(unloading.withNodes(waiting).withPluginPods(plugin))).toEqual({});
    const back = world.withNodes(waiting.booted('boot-2')).withLoaderPods(loader);
    expect(patches(back)['n1']?.labels).toEqual({});
  });
});

describe('when to look again although nothing changes', () => {
  it('is never, in a world that waits for nothing', () => {
    expect(planModule(world.withNodes(loaded).withLoaderPods(loader).build())).not.toHaveProperty('lookAgainAtMs');
  });

  it('is at the end of the first grace period', () => {
    const since = (sinceMs: number) => ({ sinceMs, cause: 'LabelVanished' as const });
    const unmatched = new Map([
      ['n1', since(NOW - MINUTE)],
      ['n2', since(NOW - 3 * MINUTE)],
    ]);
    const holders = ['n1', 'n2'].map((name) => aNode(name).running(KERNEL).holding(keys));
    const plan = planModule(
      world
        .withNodes(...holders)
        .remembering({ selector: module.spec.selector, unmatched })
        .build(),
    );
    expect(plan.lookAgainAtMs).toBe(NOW + 7 * MINUTE);
  });

  it('is when a container that crashed has settled', () => {
    const startedAt = new Date(NOW - 1_000).toISOString();
    const crashed = loader.withContainer({
      restarts: 1,
      startedAt,
      terminated: { exitCode: 1, reason: '', message: '' },
    });
    const plan = planModule(world.withNodes(node.holding(keys)).withLoaderPods(crashed).build());
    expect(plan.lookAgainAtMs).toBe(NOW - 1_000 + CRASH_SETTLE_MS);
  });
});

describe('the nodes of a plan', () => {
  it('are those that the selector names, that carry anything of the Module, or that run a loader of it; by name', () => {
    const marked = aNode('n7').withAnnotation(keys.loaded, 'boot=b,container=c');
    const snapshot = world
      .withNodes(aNode('n9').withLabel('gpu', 'yes'), aNode('n8').withLabel(keys.ready), marked)
      .withNodes(aNode('n6').running(KERNEL), aNode('n5').running(KERNEL).withLabel(keys.load, 'x'), aNode('n4'))
      .withLoaderPods(aLoaderPod('n6', KERNEL));
    expect(planModule(snapshot.build()).nodes.map((plan) => plan.node.metadata.name)).toEqual([
      'n5',
      'n6',
      'n7',
      'n8',
      'n9',
    ]);
  });

  it('do not block one another: a broken mapping of one kernel leaves the other nodes theirs (I3)', () => {
    const mixed = base.withKernel(OTHER, 'registry.test/m:${NONSENSE}').withKernel(KERNEL, 'registry.test/m:1');
    const snapshot = aSnapshot(stored(mixed)).withNodes(node, aNode('n2').running(OTHER).withLabel('gpu', 'yes'));
    expect(Object.keys(patches(snapshot))).toEqual(['n1']);
  });
});

describe('everything of a Module on a node', () => {
  it.each([
    ['the load label', node.holding(keys), true],
    ['the ready label', node.withLabel(keys.ready), true],
    ['the record', node.recorded(keys, { instance: 'c' }), true],
    ['nothing but labels of others', node, false],
  ])('is there with %s', (_what, built, expected) => {
    expect(carriesAnything(built.build(), keys)).toBe(expected);
    expect(clearingPatch(built.build(), keys) !== undefined).toBe(expected);
  });
});

it('the same snapshot gives the same plan', () => {
  const snapshot = world
    .withNodes(loaded, aNode('n2').running(OTHER).withLabel('gpu', 'yes'))
    .withLoaderPods(loader)
    .build();
  expect(planModule(snapshot)).toEqual(planModule(snapshot));
});
