import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import {
  aLoaderDaemonSet,
  aLoaderPod,
  aNode,
  aPluginDaemonSet,
  aPluginPod,
  keysOf,
  stored,
} from '../../../test/harness/plan-world.ts';
import { type DeletionSnapshot, describeStep, planDeletion } from './plan-deletion.ts';

const KERNEL = '5.4.0';
const module = stored(aModule('m').withDevicePlugin());
const keys = keysOf(module);
const alive = aNode('n1').running(KERNEL).loaded(keys, 'c1');
const dead = aNode('n2').running(KERNEL).loaded(keys, 'c1').notReady();
const loaderDaemonSet = aLoaderDaemonSet(module, KERNEL).build();
const pluginDaemonSet = aPluginDaemonSet(module).build();
const loaderPod = aLoaderPod('n1', KERNEL).ready().build();
const pluginPod = aPluginPod('n1').ready().build();

const gone: DeletionSnapshot = {
  keys,
  nodes: [],
  loaderDaemonSets: [],
  pluginDaemonSets: [],
  loaderPods: [],
  pluginPods: [],
};
const everything: DeletionSnapshot = {
  keys,
  nodes: [alive.build()],
  loaderDaemonSets: [loaderDaemonSet],
  pluginDaemonSets: [pluginDaemonSet],
  loaderPods: [loaderPod],
  pluginPods: [pluginPod],
};

describe('a Module that is being deleted', () => {
  it('goes in order: plugin DaemonSet, its pods, loader DaemonSets, their pods, labels, finalizer', () => {
    const steps: readonly [DeletionSnapshot, unknown][] = [
      [everything, { kind: 'delete-daemonsets', daemonSets: [pluginDaemonSet] }],
      [
        { ...everything, pluginDaemonSets: [] },
        { kind: 'wait-for-pods', role: 'device-plugin', pods: [pluginPod] },
      ],
      [
        { ...everything, pluginDaemonSets: [], pluginPods: [] },
        { kind: 'delete-daemonsets', daemonSets: [loaderDaemonSet] },
      ],
      [
        { ...gone, nodes: everything.nodes, loaderPods: [loaderPod] },
        { kind: 'wait-for-pods', role: 'module-loader', pods: [loaderPod] },
      ],
      [
        { ...gone, nodes: everything.nodes },
        { kind: 'clear-labels', requests: expect.any(Map) },
      ],
      [{ ...gone, nodes: [aNode('n1').running(KERNEL).build()] }, { kind: 'release' }],
    ];
    for (const [snapshot, step] of steps) expect(planDeletion(snapshot)).toEqual(step);
  });

  it('deletes the loaders of all kernels together', () => {
    const other = aLoaderDaemonSet(module, '6.1.0').build();
    expect(planDeletion({ ...gone, loaderDaemonSets: [loaderDaemonSet, other] })).toEqual({
      kind: 'delete-daemonsets',
      daemonSets: [loaderDaemonSet, other],
    });
  });

  it('waits for a DaemonSet that is still being deleted, also when no pod of it is left', () => {
    const deleting = aPluginDaemonSet(module).deleting().build();
    expect(planDeletion({ ...everything, pluginDaemonSets: [deleting], pluginPods: [] })).toEqual({
      kind: 'wait-for-pods',
      role: 'device-plugin',
      pods: [],
    });
  });

  it('deletes a DaemonSet that stands beside one that is being deleted', () => {
    const deleting = aLoaderDaemonSet(module, '6.1.0').deleting().build();
    expect(planDeletion({ ...gone, loaderDaemonSets: [deleting, loaderDaemonSet] })).toEqual({
      kind: 'delete-daemonsets',
      daemonSets: [loaderDaemonSet],
    });
  });

  it.each([
    ['is not Ready', [dead.build()]],
    ['is gone', []],
  ])('does not wait for the pods of a node that %s (I5)', (_what, nodes) => {
    const snapshot = { ...gone, nodes, loaderPods: [aLoaderPod('n2', KERNEL).ready().terminating().build()] };
    expect(planDeletion(snapshot).kind).not.toBe('wait-for-pods');
  });

  it('waits for those on nodes that can still stop them, and names only those', () => {
    const onDead = aLoaderPod('n2', KERNEL).ready().build();
    const snapshot = { ...gone, nodes: [alive.build(), dead.build()], loaderPods: [onDead, loaderPod] };
    expect(planDeletion(snapshot)).toEqual({ kind: 'wait-for-pods', role: 'module-loader', pods: [loaderPod] });
  });

  it('deletes pods that no DaemonSet has any more, which nobody else would ever do (I5)', () => {
    const orphan = { ...loaderPod, orphaned: true as const };
    const snapshot = { ...gone, nodes: everything.nodes, loaderPods: [loaderPod, orphan] };
    expect(planDeletion(snapshot)).toEqual({ kind: 'delete-pods', pods: [orphan] });
    const stopping = { ...orphan, metadata: { ...orphan.metadata, deletionTimestamp: '2026-03-01T12:02:00Z' } };
    expect(planDeletion({ ...snapshot, loaderPods: [stopping] })).toMatchObject({ kind: 'wait-for-pods' });
  });

  it('deletes orphaned plugin pods before it touches a loader', () => {
    const orphan = { ...pluginPod, orphaned: true as const };
    expect(planDeletion({ ...everything, pluginDaemonSets: [], pluginPods: [orphan] })).toEqual({
      kind: 'delete-pods',
      pods: [orphan],
    });
  });

  it('takes all that is its off every node, dead ones too, and nothing else', () => {
    const step = planDeletion({
      ...gone,
      nodes: [
        alive.withLabel('theirs', 'x').build(),
        dead.build(),
        aNode('n3').withLabel(keys.ready).build(),
        aNode('n4').withLabel('kmm.node.kubernetes.io/kmm-test.other.load', 'x').build(),
      ],
    });
    if (step.kind !== 'clear-labels') throw new Error(step.kind);
    expect([...step.requests.keys()]).toEqual(['n1', 'n2', 'n3']);
    expect(step.requests.get('n1')).toEqual({
      nodeUID: 'uid-of-n1',
      bootID: 'n1-boot-1',
      patch: { labels: { [keys.load]: null, [keys.ready]: null }, annotations: { [keys.loaded]: null } },
    });
    expect(step.requests.get('n3')?.patch).toEqual({ labels: { [keys.ready]: null }, annotations: {} });
  });

  it('that never had anything is released at once', () => {
    expect(planDeletion(gone)).toEqual({ kind: 'release' });
  });
});

it('status names the pod and the node that still unload, since when, and until when they have time', () => {
  const stopping = {
    ...loaderPod,
    metadata: { ...loaderPod.metadata, deletionTimestamp: '2026-05-04T10:05:00Z', deletionGracePeriodSeconds: 300 },
  };
  const step = describeStep({ kind: 'wait-for-pods', role: 'module-loader', pods: [stopping] }, new Map());
  expect(step).toMatch(
    /loader pod \S+ on node n1 to stop since 2026-05-04T10:00:00Z, which has until 2026-05-04T10:05:00Z\./,
  );
});
