import { describe, expect, it } from 'vitest';

import type { Pod } from '../../../src/kube/core.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_USER } from '../../harness/operator.ts';

const KERNEL = '6.1.0-50-cloud-amd64';
const OTHER = '6.1.0-56-cloud-amd64';
const GRACE_MS = 2_000;

const kmm = useOperatedCluster('placement', { flags: [`--selector-grace-period=${GRACE_MS}ms`] });

/** A Module of that name, loaded on one node of its own. */
async function loadedOnOneNode(name: string): Promise<{ ref: ModuleRef; node: string; loader: Pod }> {
  const namespace = await kmm.cluster.freshNamespace();
  const [node] = await kmm.addNodes(name, nodesOf(name), KERNEL);
  if (node === undefined) throw new Error('no node');
  const ref = await kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin());
  await kmm.untilLoaded(ref, 1);
  return { ref, node, loader: await kmm.untilLoaderOn(ref, node) };
}

/** What I1 promises: the very same pod with the very same container, and the node still marked as loaded. */
async function expectUntouched(ref: ModuleRef, node: string, before: Pod): Promise<void> {
  await kmm.untilIdle();
  const [pod, ...more] = await kmm.pods(ref, 'module-loader');
  expect(more).toEqual([]);
  expect(pod?.metadata.uid).toBe(before.metadata.uid);
  expect(pod?.metadata.deletionTimestamp).toBeUndefined();
  expect(pod?.status?.containerStatuses?.[0]?.containerID).toBe(before.status?.containerStatuses?.[0]?.containerID);
  expect(await kmm.marks(ref, node)).toMatchObject({ load: expect.any(String), ready: '' });
}

describe('a module is never unloaded', () => {
  it('because its node was cordoned', async () => {
    const { ref, node, loader } = await loadedOnOneNode('cordoned');
    await kmm.cluster.nodes.cordon(node);
    await expectUntouched(ref, node, loader);
  });

  it.each(['NoSchedule', 'NoExecute'] as const)('because its node was tainted %s', async (effect) => {
    const { ref, node, loader } = await loadedOnOneNode(`tainted-${effect.toLowerCase()}`);
    await kmm.cluster.nodes.taint(node, { key: 'example.com/drain', value: 'soon', effect });
    // The API server's own controllers have acted on the taint when a pod that does not tolerate it is gone.
    await expectUntouched(ref, node, loader);
  });

  it.each([false, 'Unknown'] as const)('because its node is not Ready (%s)', async (state) => {
    const { ref, node, loader } = await loadedOnOneNode(`not-ready-${String(state).toLowerCase()}`);
    // Where most nodes are down, Kubernetes believes that the network is, and taints none of them.
    await kmm.addNodes(`witness-${String(state).toLowerCase()}`, {}, KERNEL, KERNEL, KERNEL);
    await kmm.cluster.nodes.setReady(node, state);
    await eventually(
      async () => {
        const { spec } = await kmm.cluster.nodes.get(node);
        expect(spec?.taints?.map(({ effect }) => effect)).toContain('NoExecute');
      },
      { what: 'the taint of a node that is down', timeoutMs: 60_000 },
    );
    await expectUntouched(ref, node, loader);
    const { status } = await kmm.untilCondition(ref, { type: 'Ready' });
    expect(status?.loaded).toBe('1/1');
    await kmm.cluster.nodes.setReady(node, true);
  });

  it('because a label of its selector was away for less than the grace period', async () => {
    // Long enough that it is not over before the operator is seen to have noticed.
    await kmm.operator.stop();
    await kmm.startOperator(['--selector-grace-period=1h']);
    const { ref, node, loader } = await loadedOnOneNode('flap');
    await kmm.cluster.nodes.label(node, { [Object.keys(nodesOf('flap'))[0] ?? '']: null });
    await eventually(
      async () =>
        expect((await kmm.module(ref)).status?.kernels?.[0]?.message).toContain(
          'a selector label is missing from node',
        ),
      { what: 'the operator to notice' },
    );
    await expectUntouched(ref, node, loader);
    await kmm.cluster.nodes.label(node, nodesOf('flap'));
    await expectUntouched(ref, node, loader);
    await kmm.operator.stop();
    await kmm.startOperator();
  });

  it('because its mapping can no longer be resolved', async () => {
    const { ref, node, loader } = await loadedOnOneNode('unresolvable');
    await kmm.edit(ref, {
      kernelMappings: [{ literal: KERNEL, containerImage: 'registry.test/${MOD_NAME}:${KERNEL_Z:-}@' }],
    });
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'InvalidMapping' });
    await expectUntouched(ref, node, loader);
  });
});

describe('a module is unloaded', () => {
  it('when a label of its selector stays away for longer than the grace period: plugin first, then loader', async () => {
    const { ref, node, loader } = await loadedOnOneNode('vanished');
    const plugin = await kmm.podOn(ref, 'device-plugin', node);
    expect.assert(plugin !== undefined);
    await kmm.cluster.pods.holdDeletion(plugin);
    await kmm.cluster.nodes.label(node, { [Object.keys(nodesOf('vanished'))[0] ?? '']: null });
    await eventually(
      async () => expect((await kmm.cluster.pods.get(plugin)).metadata.deletionTimestamp).toBeDefined(),
      {
        what: 'the plugin to be asked to go',
      },
    );
    await kmm.untilIdle();
    expect((await kmm.cluster.pods.get(loader)).metadata.deletionTimestamp).toBeUndefined();
    await kmm.cluster.pods.releaseDeletion(plugin);
    await eventually(async () => expect(await kmm.pods(ref, 'module-loader')).toEqual([]), {
      what: 'the loader to be gone',
    });
    await eventually(async () => expect(await kmm.marks(ref, node)).toEqual({}), { what: 'the node to be clean' });
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoNodes' });
  });

  it('at once when its selector was edited', async () => {
    const { ref, node } = await loadedOnOneNode('edited');
    await kmm.edit(ref, { selector: { 'example.com/elsewhere': 'yes' } });
    await eventually(async () => expect(await kmm.pods(ref, 'module-loader')).toEqual([]), {
      what: 'the loader to be gone',
    });
    await eventually(async () => expect(await kmm.marks(ref, node)).toEqual({}), { what: 'the node to be clean' });
  });

  it('when its mapping was edited so that nothing matches its kernel', async () => {
    const { ref, node } = await loadedOnOneNode('unmapped');
    await kmm.edit(ref, { kernelMappings: [{ literal: OTHER, containerImage: 'registry.test/kmod:1' }] });
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoKernelMapping' });
    await eventually(async () => expect(await kmm.pods(ref, 'module-loader')).toEqual([]), {
      what: 'the loader to be gone',
    });
    await eventually(async () => expect(await kmm.marks(ref, node)).toEqual({}), { what: 'the node to be clean' });
  });
});

describe('a node gets the module', () => {
  it('only when spec.tolerations tolerates its taints, and status says why not', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const taint = { key: 'example.com/gpu', value: 'a100', effect: 'NoSchedule' } as const;
    await kmm.cluster.nodes.create({ name: 'taints-a', kernel: KERNEL, labels: nodesOf('taints'), taints: [taint] });
    const ref = await kmm.apply(aModule('taints').inNamespace(namespace));
    const module = await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NodesSkipped' });
    expect(module.status?.kernels?.[0]?.message).toContain('example.com/gpu=a100:NoSchedule');
    expect(await kmm.pods(ref, 'module-loader')).toEqual([]);
    await kmm.edit(ref, { tolerations: [{ key: 'example.com/gpu', operator: 'Exists' }] });
    await kmm.untilLoaded(ref, 1);
    // A toleration that is taken away again is no reason to unload.
    const loader = await kmm.untilLoaderOn(ref, 'taints-a');
    await kmm.edit(ref, { tolerations: null });
    await expectUntouched(ref, 'taints-a', loader);
  });

  it('also while it is cordoned', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const [node] = await kmm.addNodes('born-cordoned', {}, KERNEL);
    expect.assert(node !== undefined);
    await kmm.cluster.nodes.cordon(node);
    await kmm.cluster.nodes.label(node, nodesOf('born-cordoned'));
    const ref = await kmm.apply(aModule('born-cordoned').inNamespace(namespace));
    await kmm.untilLoaded(ref, 1);
  });

  it('when it joins later, and is forgotten when it is deleted', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const ref = await kmm.apply(aModule('later').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoNodes' });
    const [node] = await kmm.addNodes('later', nodesOf('later'), KERNEL);
    expect.assert(node !== undefined);
    await kmm.untilLoaded(ref, 1);
    const loader = await kmm.untilLoaderOn(ref, node);
    await kmm.removeNodes(node);
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoNodes' });
    // Its DaemonSet stays for as long as the DaemonSet controller counts a pod; the pod collector takes that one after a minute.
    await kmm.untilIdle();
    expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(1);
    await kmm.cluster.pods.delete(loader, { force: true });
    await eventually(async () => expect(await kmm.daemonSets(ref, 'module-loader')).toEqual([]), {
      what: 'no DaemonSet to be left',
    });
  });

  it('again when it was deleted and came back with the same name', async () => {
    const { ref, node, loader } = await loadedOnOneNode('reborn');
    await kmm.removeNodes(node);
    // The pod collector's work, for which it takes a minute.
    for (const pod of await kmm.cluster.pods.on(node)) await kmm.cluster.pods.delete(pod, { force: true });
    await eventually(async () => expect(await kmm.cluster.pods.on(node)).toEqual([]), { what: 'its pods to be gone' });
    await kmm.addNodes('reborn', nodesOf('reborn'), KERNEL);
    await kmm.untilLoaded(ref, 1);
    expect((await kmm.untilLoaderOn(ref, node)).metadata.uid).not.toBe(loader.metadata.uid);
  });
});

describe('a DaemonSet that no node needs any more', () => {
  it('stays while the API server says that a pod of it is wanted, whatever the lists show', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const [node] = await kmm.addNodes('counted', nodesOf('counted'), KERNEL);
    expect.assert(node !== undefined);
    const ref = await kmm.apply(aModule('counted').inNamespace(namespace));
    await kmm.untilLoaded(ref, 1);
    const loader = await kmm.untilLoaderOn(ref, node);
    const [before] = await kmm.daemonSets(ref, 'module-loader');
    await eventually(
      async () => expect((await kmm.daemonSets(ref, 'module-loader'))[0]?.status?.currentNumberScheduled).toBe(1),
      { what: 'its status to count the pod' },
    );

    // Nobody updates that status now, so neither the missing label nor the missing pod shows in it.
    await kmm.controlPlane.pause('kube-controller-manager');
    const mark = await kmm.controlPlane.auditMark();
    try {
      await kmm.edit(ref, { selector: { 'example.com/elsewhere': 'yes' } });
      await eventually(async () => expect(await kmm.marks(ref, node)).toEqual({}), { what: 'the node to be clean' });
      await kmm.cluster.pods.delete(loader, { force: true });
      await eventually(
        async () => {
          const requests = (await kmm.controlPlane.auditEvents(mark)).filter(({ user }) => user === OPERATOR_USER);
          expect(requests.map(({ verb, resource, name }) => `${verb} ${resource} ${name}`)).toContain(
            `get daemonsets ${before?.metadata.name}`,
          );
        },
        { what: 'the operator to look at the DaemonSet itself' },
      );
      await kmm.untilIdle();
      const [after] = await kmm.daemonSets(ref, 'module-loader');
      expect(after?.metadata.uid).toBe(before?.metadata.uid);
      expect(after?.metadata.deletionTimestamp).toBeUndefined();
      expect((await kmm.operatorWrites(mark)).filter(({ resource }) => resource === 'daemonsets')).toEqual([]);
    } finally {
      await kmm.controlPlane.resume('kube-controller-manager');
    }
    await eventually(async () => expect(await kmm.daemonSets(ref, 'module-loader')).toEqual([]), {
      what: 'the DaemonSet to be removed once its status says that it is unused',
    });
  });
});

describe('a load or ready label that was edited by hand', () => {
  it('is put back', async () => {
    const { ref, node } = await loadedOnOneNode('hand-label');
    const before = await kmm.marks(ref, node);
    const [readyKey] = Object.keys((await kmm.cluster.nodes.get(node)).metadata.labels ?? {}).filter((key) =>
      key.endsWith('.ready'),
    );
    expect.assert(readyKey !== undefined);
    await kmm.cluster.nodes.label(node, { [readyKey]: null });
    await eventually(async () => expect(await kmm.marks(ref, node)).toEqual(before), {
      what: 'the ready label to be back',
    });
    for (const edited of [null, 'by-hand']) {
      await kmm.cluster.nodes.label(node, { [readyKey.replace(/\.ready$/, '.load')]: edited });
      await eventually(async () => expect((await kmm.marks(ref, node)).load).toBe(before.load), {
        what: 'the load label to be back',
      });
      await kmm.untilLoaded(ref, 1);
    }
  });
});
