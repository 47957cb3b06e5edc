import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderDaemonSet,
  aLoaderPod,
  aNode,
  aPluginDaemonSet,
  aSnapshot,
  type DaemonSetBuilder,
  keyOf,
  keysOf,
  type SnapshotBuilder,
  stored,
} from '../../../test/harness/plan-world.ts';
import type { DaemonSetRecord } from '../records.ts';
import { pluginDaemonSetName } from './names.ts';
import { planModule } from './plan.ts';
import { type DaemonSetAction, overLive } from './plan-daemonsets.ts';

const KERNEL = '5.4.0';
const OTHER = '6.1.0';
const base = aModule('m').withSelector({ gpu: 'yes' });
const module = stored(base);
const keys = keysOf(module);
const node = aNode('n1').running(KERNEL).withLabel('gpu', 'yes');

const actionsOf = (world: SnapshotBuilder): readonly DaemonSetAction[] => planModule(world.build()).daemonSets;

/** The DaemonSets as this version makes and finds them. */
function made(world: SnapshotBuilder): DaemonSetRecord[] {
  return actionsOf(world).flatMap((action) => {
    if (action.kind !== 'create') return [];
    const { metadata, spec } = action.desired;
    const selectors = spec.template.spec.nodeSelector ?? {};
    return [
      aLoaderDaemonSet(module, KERNEL)
        .withMetadata({ ...metadata, uid: `uid-of-${metadata.name}`, resourceVersion: '5', generation: 1 })
        .with({
          role: metadata.name?.includes('device-plugin') ? 'device-plugin' : 'module-loader',
          kernelKey: selectors[keys.load] ?? '',
          nodeSelectorKeys: Object.keys(selectors),
          matchLabels: spec.selector.matchLabels,
          inputs: spec.template.metadata?.annotations?.['kmm.node.kubernetes.io/inputs'] ?? '',
        })
        .build(),
    ];
  });
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`${items.length} items, not one`);
  return item;
}

describe('loader DaemonSets', () => {
  it('are made for each kernel and architecture that a node is placed for', () => {
    const world = aSnapshot(module).withNodes(
      node,
      aNode('n2').running(OTHER).withLabel('gpu', 'yes'),
      aNode('n3').running(KERNEL, 'arm64').withLabel('gpu', 'yes'),
      aNode('n4').running('9.9.9'),
    );
    expect(made(world).map(({ kernelKey }) => kernelKey)).toEqual([
      keyOf(KERNEL),
      keyOf(KERNEL, 'arm64'),
      keyOf(OTHER),
    ]);
  });

  it('are not made for a kernel whose only nodes are left out', () => {
    expect(actionsOf(aSnapshot(module).withNodes(node.tainted('x')))).toEqual([]);
  });

  it('are not touched when they are as they should be (I2)', () => {
    const world = aSnapshot(module).withNodes(node);
    const [live] = made(world);
    expect(live).toBeDefined();
    expect(
      actionsOf(
        aSnapshot(module)
          .withNodes(node.holding(keys))
          .withLoaderDaemonSets(...made(world)),
      ),
    ).toEqual([]);
  });

  it('are not touched by an operator whose rendering differs: only the words of the user and the generation count', () => {
    const world = aSnapshot(module).withNodes(node);
    const live = made(world);
    const otherOptions = { selectorGracePeriodMs: 1, priorityClassName: 'another-class' };
    const next = aSnapshot(module).with({ options: otherOptions }).withNodes(node.holding(keys));
    expect(actionsOf(next.withLoaderDaemonSets(...live))).toEqual([]);
  });

  it("are updated when the user's inputs change, over what is there", () => {
    const live = only(made(aSnapshot(module).withNodes(node)));
    const edited = stored(base.withLoader({ command: ['load'] }));
    const action = only(actionsOf(aSnapshot(edited).withNodes(node.holding(keys)).withLoaderDaemonSets(live)));
    expect(action).toMatchObject({
      kind: 'update',
      why: 'InputsChanged',
      desired: { metadata: { name: live.metadata.name, uid: live.metadata.uid, resourceVersion: '5' } },
    });
  });

  const live = only(made(aSnapshot(module).withNodes(node)));
  it.each<[string, DaemonSetRecord['metadata']]>([
    ['its spec', { ...live.metadata, generation: 2 }],
    ['the note of its generation', { ...live.metadata, annotations: { 'kmm.node.kubernetes.io/inputs': live.inputs } }],
    ['a label of ours', { ...live.metadata, labels: { ...live.metadata.labels, 'app.kubernetes.io/name': 'x' } }],
    ['its owner', { ...live.metadata, ownerReferences: [] }],
  ])('are put back when somebody edits %s by hand', (_what, metadata) => {
    const world = aSnapshot(module)
      .withNodes(node.holding(keys))
      .withLoaderDaemonSets({ ...live, metadata });
    expect(only(actionsOf(world))).toMatchObject({
      kind: 'update',
      why: 'EditedByHand',
      desired: {
        metadata: { annotations: { 'kmm.node.kubernetes.io/generation': String((metadata.generation ?? 0) + 1) } },
      },
    });
  });

  it.each<[string, DaemonSetRecord['metadata']]>([
    ['a label of theirs', { ...live.metadata, labels: { ...live.metadata.labels, theirs: 'x' } }],
    ['an annotation of theirs', { ...live.metadata, annotations: { ...live.metadata.annotations, theirs: 'x' } }],
  ])('are left alone when somebody adds %s', (_what, metadata) => {
    const world = aSnapshot(module)
      .withNodes(node.holding(keys))
      .withLoaderDaemonSets({ ...live, metadata });
    expect(actionsOf(world)).toEqual([]);
  });

  it('are left alone while they are being deleted; what comes after is decided when they are gone', () => {
    const deleting = {
      ...live,
      metadata: { ...live.metadata, generation: 9, deletionTimestamp: '2026-03-01T12:00:00Z' },
    };
    expect(actionsOf(aSnapshot(module).withNodes(node.holding(keys)).withLoaderDaemonSets(deleting))).toEqual([]);
    expect(actionsOf(aSnapshot(module).withLoaderDaemonSets(deleting))).toEqual([]);
  });

  it('are made again when somebody has deleted them by hand', () => {
    expect(only(actionsOf(aSnapshot(module).withNodes(node.holding(keys))))).toMatchObject({ kind: 'create' });
  });
});

describe('a loader DaemonSet that seems unneeded', () => {
  const unneeded = aLoaderDaemonSet(module, KERNEL);

  it('is looked at live, and removed only if no pod of it is wanted or running', () => {
    const action = only(actionsOf(aSnapshot(module).withLoaderDaemonSets(unneeded)));
    expect(action).toEqual({ kind: 'remove-if-unused', live: unneeded.build() });
  });

  it('stays while a node carries its label, even one that is leaving', () => {
    const rebooted = aNode('n1').running(OTHER).withLabel('gpu', 'yes').withLabel(keys.load, keyOf(KERNEL));
    const kinds = actionsOf(aSnapshot(module).withNodes(rebooted).withLoaderDaemonSets(unneeded)).map(
      ({ kind }) => kind,
    );
    expect(kinds).not.toContain('remove-if-unused');
  });

  it('stays while a pod of it is known, so that the live look is not made over and over', () => {
    const world = aSnapshot(module)
      .withLoaderDaemonSets(unneeded)
      .withLoaderPods(aLoaderPod('n9', KERNEL).terminating());
    expect(actionsOf(world)).toEqual([]);
  });

  it('stays when its mapping cannot be resolved any more: an error never deletes', () => {
    const broken = stored(aModule('m').withSelector({ gpu: 'yes' }).withKernel(KERNEL, 'registry.test/m:${NONSENSE}'));
    const world = aSnapshot(broken).withNodes(node.holding(keys)).withLoaderDaemonSets(unneeded);
    expect(actionsOf(world)).toEqual([]);
  });

  it('stays as it is when its image would now have to be built', () => {
    const building = stored(
      base.withMapping({
        literal: KERNEL,
        containerImage: 'registry.test/m:new',
        build: { dockerfile: 'FROM scratch' },
      }),
    );
    const world = aSnapshot(building).withNodes(node.holding(keys)).withLoaderDaemonSets(unneeded);
    expect(actionsOf(world)).toEqual([]);
  });

  it('is kept up to date and not made anew while its only node is in grace', () => {
    const unlabelled = aNode('n1').running(KERNEL).holding(keys);
    const world = aSnapshot(module).withNodes(unlabelled);
    expect(actionsOf(world)).toEqual([]);
    expect(only(actionsOf(world.withLoaderDaemonSets(unneeded.madeFrom('older'))))).toMatchObject({ kind: 'update' });
  });
});

describe('the device-plugin DaemonSet', () => {
  const withPlugin = base.withDevicePlugin();
  const plugged = stored(withPlugin);
  const name = pluginDaemonSetName({ namespace: plugged.metadata.namespace ?? '', name: 'm' });

  it('is made at once, for its nodes are chosen by the ready label', () => {
    expect(only(actionsOf(aSnapshot(plugged)))).toMatchObject({ kind: 'create', desired: { metadata: { name } } });
  });

  it('is not touched when it is as it should be', () => {
    const live = made(aSnapshot(plugged));
    expect(actionsOf(aSnapshot(plugged).withPluginDaemonSets(...live))).toEqual([]);
  });

  it.each<[string, typeof withPlugin]>([
    ['another image', withPlugin.withDevicePlugin({ image: 'registry.test/plugin:2' })],
    ['another upgrade policy', withPlugin.withMaxUnavailable(3)],
  ])('is updated for %s', (_what, builder) => {
    const live = made(aSnapshot(plugged));
    expect(only(actionsOf(aSnapshot(stored(builder)).withPluginDaemonSets(...live)))).toMatchObject({
      kind: 'update',
      why: 'InputsChanged',
    });
  });

  it('is deleted when the user takes the plugin out of the spec', () => {
    const [live] = made(aSnapshot(plugged));
    expect(live).toBeDefined();
    const world = aSnapshot(module).withPluginDaemonSets(...made(aSnapshot(plugged)));
    expect(only(actionsOf(world))).toMatchObject({ kind: 'delete', live: { metadata: { name } } });
  });

  it('of another name, from an older operator, is deleted beside the new one', () => {
    const world = aSnapshot(plugged).withPluginDaemonSets(aPluginDaemonSet(plugged, 'old-name'));
    expect(actionsOf(world).map(({ kind }) => kind)).toEqual(['delete', 'create']);
  });

  it('that is being deleted is not deleted again', () => {
    expect(actionsOf(aSnapshot(module).withPluginDaemonSets(aPluginDaemonSet(module).deleting()))).toEqual([]);
  });
});

describe('an update of a DaemonSet that is there', () => {
  const desired = only(
    actionsOf(aSnapshot(module).withNodes(node)).flatMap((action) =>
      action.kind === 'create' ? [action.desired] : [],
    ),
  );
  const update = (live: DaemonSetBuilder) => overLive(live.build(), desired);
  const live = aLoaderDaemonSet(module, KERNEL);

  it('is made only of the very object that was seen', () => {
    expect(update(live.withMetadata({ uid: 'u', resourceVersion: '77' })).metadata).toMatchObject({
      uid: 'u',
      resourceVersion: '77',
    });
  });

  it('notes the generation that it leads to', () => {
    expect(update(live.withMetadata({ generation: 4 })).metadata.annotations).toMatchObject({
      'kmm.node.kubernetes.io/generation': '5',
    });
  });

  it('keeps what others put there, and wins over them where it is ours', () => {
    const edited = live.withMetadata({
      labels: { theirs: 'l', 'app.kubernetes.io/name': 'x' },
      annotations: { theirs: 'a', 'kmm.node.kubernetes.io/inputs': 'x' },
      finalizers: ['theirs/finalizer'],
      ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'theirs', uid: 'theirs' }],
    });
    const { metadata } = update(edited);
    expect(metadata.labels).toMatchObject({ theirs: 'l', 'app.kubernetes.io/name': 'kmm' });
    expect(metadata.annotations).toMatchObject({
      theirs: 'a',
      'kmm.node.kubernetes.io/inputs': desired.metadata.annotations?.['kmm.node.kubernetes.io/inputs'],
    });
    expect(metadata.finalizers).toEqual(['theirs/finalizer']);
    expect(metadata.ownerReferences?.map(({ uid }) => uid)).toEqual(['uid-of-m', 'theirs']);
  });

  it('keeps the selector of an older operator, which is immutable, and a template that matches it', () => {
    const adopted = update(live.with({ matchLabels: { 'older/label': 'x' } }));
    expect(adopted.spec.selector.matchLabels).toEqual({ 'older/label': 'x' });
    expect(adopted.spec.template.metadata?.labels).toMatchObject({
      'older/label': 'x',
      'kmm.node.kubernetes.io/role': 'module-loader',
    });
  });
});
