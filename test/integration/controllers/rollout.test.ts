import { describe, expect, it } from 'vitest';

import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';

const KERNEL = '6.1.0-50-cloud-amd64';
const OTHER = '6.1.0-56-cloud-amd64';

const kmm = useOperatedCluster('rollout');

const imageFor = (tag: string) => ({ kernelMappings: [{ regexp: '.', containerImage: `registry.test/kmod:${tag}` }] });

async function images(ref: ModuleRef): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (const { spec } of await kmm.pods(ref, 'module-loader')) {
    const image = spec?.containers[0]?.image ?? '';
    counts[image] = (counts[image] ?? 0) + 1;
  }
  return counts;
}

/** Applies a Module of that name and waits until it is loaded on a node for each kernel. */
async function loaded(
  name: string,
  kernels: readonly string[],
  change: (module: ReturnType<typeof aModule>) => ReturnType<typeof aModule> = (module) => module,
): Promise<{ ref: ModuleRef; nodes: readonly string[] }> {
  const namespace = await kmm.cluster.freshNamespace();
  const nodes = await kmm.addNodes(name, nodesOf(name), ...kernels);
  const ref = await kmm.apply(change(aModule(name).inNamespace(namespace).withSpec(imageFor('1'))));
  await kmm.untilLoaded(ref, nodes.length);
  return { ref, nodes };
}

describe('an edited image', () => {
  it('rolls out node by node over all kernels, never more than one without the module', async () => {
    const { ref, nodes } = await loaded('node-by-node', [KERNEL, KERNEL, OTHER, OTHER]);
    const mark = await kmm.controlPlane.auditMark();
    await kmm.edit(ref, imageFor('2'));
    await eventually(
      async () => {
        const marks = await Promise.all(nodes.map((node) => kmm.marks(ref, node)));
        expect(marks.filter(({ ready }) => ready === undefined).length).toBeLessThanOrEqual(1);
        expect(await images(ref)).toEqual({ 'registry.test/kmod:2': 4 });
      },
      { what: 'every loader to run the new image', intervalMs: 10 },
    );
    await kmm.untilLoaded(ref, 4);
    // Exact, from the log of requests: a pod is deleted only when every node before it has its ready label back.
    const ours = await kmm.operatorWrites(mark);
    const story = ours.filter(
      ({ verb, resource }) => (verb === 'delete' && resource === 'pods') || (verb === 'patch' && resource === 'nodes'),
    );
    const deletions = story.filter(({ resource }) => resource === 'pods');
    expect(deletions).toHaveLength(4);
    // Per node: ready label off, pod deleted, ready label on.
    expect(story.map(({ verb }) => verb)).toEqual([
      'patch',
      'delete',
      'patch',
      'patch',
      'delete',
      'patch',
      'patch',
      'delete',
      'patch',
      'patch',
      'delete',
      'patch',
    ]);
    await kmm.untilEvent(ref, { type: 'Normal', reason: 'RollingOut' });
  });

  it('waits on each node until the device plugin has gone', async () => {
    const { ref, nodes } = await loaded('plugin-first', [KERNEL], (module) => module.withDevicePlugin());
    const [node] = nodes;
    expect.assert(node !== undefined);
    const plugin = await eventually(
      async () => {
        const pod = await kmm.podOn(ref, 'device-plugin', node);
        if (pod === undefined) throw new Error('there is none');
        return pod;
      },
      { what: 'the plugin' },
    );
    const loader = await kmm.untilLoaderOn(ref, node);
    await kmm.cluster.pods.holdDeletion(plugin);
    await kmm.edit(ref, imageFor('2'));
    await eventually(
      async () => expect((await kmm.cluster.pods.get(plugin)).metadata.deletionTimestamp).toBeDefined(),
      { what: 'the plugin to be asked to go' },
    );
    const module = await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'RollingOut' });
    await eventually(
      async () => {
        const { status } = await kmm.module(ref);
        expect(status?.conditions?.find(({ type }) => type === 'Progressing')?.message).toContain(
          `waiting for device-plugin pod ${plugin.metadata.name}`,
        );
      },
      { what: 'status to say what is waited for' },
    );
    expect(module.status).toBeDefined();
    await kmm.untilIdle();
    expect((await kmm.cluster.pods.get(loader)).metadata.deletionTimestamp).toBeUndefined();
    await kmm.cluster.pods.releaseDeletion(plugin);
    await kmm.untilLoaderOn(ref, node, ({ spec }) => spec?.containers[0]?.image === 'registry.test/kmod:2');
    await kmm.untilLoaded(ref, 1);
  });

  it('replaces as many nodes at once as maxUnavailable says', async () => {
    const { ref, nodes } = await loaded('half', [KERNEL, KERNEL, KERNEL, KERNEL], (module) =>
      module.withMaxUnavailable('50%'),
    );
    const loaders = await kmm.pods(ref, 'module-loader');
    for (const pod of loaders) await kmm.cluster.pods.holdDeletion(pod);
    await kmm.edit(ref, imageFor('2'));
    const going = async () =>
      (await kmm.pods(ref, 'module-loader')).filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
    await eventually(async () => expect(await going()).toHaveLength(2), { what: 'two loaders to be replaced' });
    await kmm.untilIdle();
    expect(await going()).toHaveLength(2);
    for (const pod of loaders) await kmm.cluster.pods.releaseDeletion(pod);
    await eventually(async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:2': nodes.length }), {
      what: 'the rollout',
    });
    await kmm.untilLoaded(ref, 4);
  });

  it('skips and counts a node that is NotReady, which uses up nothing, and reaches it when it is back', async () => {
    const { ref, nodes } = await loaded('down', [KERNEL, KERNEL, KERNEL]);
    const [down] = nodes;
    expect.assert(down !== undefined);
    await kmm.cluster.nodes.setReady(down, 'Unknown');
    await kmm.edit(ref, imageFor('2'));
    await eventually(
      async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:1': 1, 'registry.test/kmod:2': 2 }),
      { what: 'the other nodes' },
    );
    const module = await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'RollingOut' });
    expect(module.status?.conditions?.find(({ type }) => type === 'Progressing')?.message).toContain(
      'skipped because not Ready: 1',
    );
    await kmm.cluster.nodes.setReady(down, true);
    await eventually(async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:2': 3 }), {
      what: 'the node that was down',
    });
    await kmm.untilLoaded(ref, 3);
  });

  it('to an image that cannot be pulled stops at the first node, says so, and goes on when it is corrected', async () => {
    const { ref } = await loaded('bad-image', [KERNEL, KERNEL, KERNEL]);
    await kmm.edit(ref, imageFor('sim-pull-fails'));
    const module = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'ImagePullFailed' });
    expect(module.status?.conditions?.find(({ type }) => type === 'Degraded')?.message).toContain('manifest unknown');
    await kmm.untilIdle();
    expect(await images(ref)).toEqual({ 'registry.test/kmod:1': 2, 'registry.test/kmod:sim-pull-fails': 1 });
    await kmm.edit(ref, imageFor('3'));
    await eventually(async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:3': 3 }), {
      what: 'the corrected image',
    });
    await kmm.untilLoaded(ref, 3);
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'False' });
  });

  it('is followed by another in the middle, and the last one wins', async () => {
    const { ref, nodes } = await loaded('twice', [KERNEL, KERNEL, KERNEL]);
    await kmm.edit(ref, imageFor('2'));
    await eventually(async () => expect(await images(ref)).toHaveProperty(['registry.test/kmod:2']), {
      what: 'the rollout to begin',
      intervalMs: 5,
    });
    await kmm.edit(ref, imageFor('3'));
    await eventually(async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:3': nodes.length }), {
      what: 'the last image',
    });
    await kmm.untilLoaded(ref, 3);
  });

  it('goes on where it was when the operator is killed in the middle', async () => {
    const { ref, nodes } = await loaded('killed', [KERNEL, KERNEL, KERNEL]);
    const [first] = await kmm.pods(ref, 'module-loader');
    for (const pod of await kmm.pods(ref, 'module-loader')) await kmm.cluster.pods.holdDeletion(pod);
    await kmm.edit(ref, imageFor('2'));
    const replaced = await eventually(
      async () => {
        const going = (await kmm.pods(ref, 'module-loader')).filter(
          ({ metadata }) => metadata.deletionTimestamp !== undefined,
        );
        if (going.length !== 1) throw new Error(`${going.length} are going`);
        return going[0];
      },
      { what: 'a loader to be replaced' },
    );
    await kmm.operator.kill();
    await kmm.startOperator();
    await kmm.untilIdle();
    const going = (await kmm.pods(ref, 'module-loader')).filter(
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    expect(going.map(({ metadata }) => metadata.uid)).toEqual([replaced?.metadata.uid]);
    for (const pod of await kmm.pods(ref, 'module-loader')) await kmm.cluster.pods.releaseDeletion(pod);
    await eventually(async () => expect(await images(ref)).toEqual({ 'registry.test/kmod:2': nodes.length }), {
      what: 'the rollout to end',
    });
    await kmm.untilLoaded(ref, 3);
    expect(first).toBeDefined();
  });
});

describe('what rolls nothing', () => {
  it.each([
    ['selector', { selector: { ...nodesOf('quiet-selector'), 'kubernetes.io/os': 'linux' } }],
    [
      'mapping',
      { kernelMappings: [{ literal: 'other', containerImage: 'registry.test/x:1' }, ...imageFor('1').kernelMappings] },
    ],
    ['toleration', { tolerations: [{ operator: 'Exists' }] }],
    ['budget', { upgradePolicy: { maxUnavailable: 3 } }],
    ['plugin', { devicePlugin: { image: 'registry.test/plugin:2' } }],
  ])('an edit that leaves the loader what it was: %s', async (what, spec) => {
    const { ref, nodes } = await loaded(`quiet-${what}`, [KERNEL], (module) => module.withDevicePlugin());
    const [node] = nodes;
    expect.assert(node !== undefined);
    const before = await kmm.untilLoaderOn(ref, node);
    await kmm.edit(ref, spec);
    await kmm.untilCondition(ref, { type: 'Ready', status: 'True' });
    await kmm.untilIdle();
    const after = await kmm.untilLoaderOn(ref, node);
    expect(after.metadata.uid).toBe(before.metadata.uid);
  });
});
