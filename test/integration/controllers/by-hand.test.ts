import { describe, expect, it } from 'vitest';
import { loadedAnnotation, readyLabel } from '../../../src/api/labels.ts';
import { NODES } from '../../../src/kube/core.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';

const kmm = useOperatedCluster('by-hand');

describe('what a person takes off a node', () => {
  // Without a device plugin no pod starts or stops for it: nothing but the Node itself tells.
  it.each([
    ['the ready label', 'hand-ready', 'labels', readyLabel],
    ['the loaded annotation', 'hand-loaded', 'annotations', loadedAnnotation],
  ] as const)('is put back: %s', async (_what, name, field, keyOf) => {
    const [node] = await kmm.addNodes(name, nodesOf(name), '6.1.0-50-cloud-amd64');
    expect.assert(node !== undefined);
    const ref = await kmm.apply(aModule(name).inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilLoaded(ref, 1);
    await kmm.untilIdle();
    const before = await kmm.marks(ref, node);
    await kmm.cluster.admin.patch(NODES, { name: node }, { metadata: { [field]: { [keyOf(ref)]: null } } });
    await eventually(async () => expect(await kmm.marks(ref, node)).toEqual(before), { what: 'it to be back' });
  });
});

describe('a DaemonSet without pods that was deleted by hand', () => {
  it('is created again: no pod that goes tells of it', async () => {
    const name = 'no-pods';
    await kmm.cluster.nodes.create({
      name: `${name}-sim-never-ready`,
      kernel: '6.1.0-50-cloud-amd64',
      labels: nodesOf(name),
    });
    const ref = await kmm.apply(
      aModule(name)
        .inNamespace(await kmm.cluster.freshNamespace())
        .withDevicePlugin(),
    );
    const [before] = await eventually(
      async () => {
        const found = await kmm.daemonSets(ref, 'device-plugin');
        expect(found).toHaveLength(1);
        return found;
      },
      { what: 'the plugin DaemonSet' },
    );
    await kmm.untilIdle();
    await kmm.controlPlane.kubectl(['delete', 'daemonset', before?.metadata.name ?? '', '-n', ref.namespace]);
    await eventually(
      async () => {
        const [after] = await kmm.daemonSets(ref, 'device-plugin');
        expect(after?.metadata.uid).toEqual(expect.any(String));
        expect(after?.metadata.uid).not.toBe(before?.metadata.uid);
      },
      { what: 'another DaemonSet' },
    );
  });
});

describe('a selector label that vanished while no operator ran', () => {
  it('waits out the grace period all the same: nobody is known to have edited the selector', async () => {
    const name = 'hand-vanished';
    const [node] = await kmm.addNodes(name, nodesOf(name), '6.1.0-50-cloud-amd64');
    expect.assert(node !== undefined);
    const ref = await kmm.apply(aModule(name).inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilLoaded(ref, 1);
    const before = await kmm.untilLoaderOn(ref, node);
    await kmm.operator.stop();
    await kmm.cluster.nodes.label(node, { [Object.keys(nodesOf(name))[0] ?? '']: null });
    await kmm.startOperator(['--selector-grace-period=1h']);
    await kmm.untilIdle();
    const after = await kmm.podOn(ref, 'module-loader', node);
    expect(after?.metadata.uid).toBe(before.metadata.uid);
    expect(await kmm.marks(ref, node)).toMatchObject({ load: expect.any(String), ready: '' });
    await kmm.operator.stop();
    await kmm.startOperator();
  });
});

describe('the finalizer', () => {
  it('stands before anything of ours exists, so that nothing can outlive the Module', async () => {
    const name = 'hand-finalizer';
    await kmm.addNodes(name, nodesOf(name), '6.1.0-50-cloud-amd64');
    await kmm.untilIdle();
    const mark = await kmm.controlPlane.auditMark();
    const ref = await kmm.apply(
      aModule(name)
        .inNamespace(await kmm.cluster.freshNamespace())
        .withDevicePlugin(),
    );
    await kmm.untilLoaded(ref, 1);
    const written = (await kmm.operatorWrites(mark))
      .toSorted((a, b) => (a.at < b.at ? -1 : 1))
      .map(({ verb, resource, subresource }) => `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`);
    expect(written[0]).toBe('patch modules');
    expect(written).toContain('create daemonsets');
    expect(written).toContain('patch nodes');
  });
});
