import { describe, expect, it } from 'vitest';

import type { Pod } from '../../../src/kube/core.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';

const KERNEL = '6.1.0-50-cloud-amd64';

const kmm = useOperatedCluster('ready');

async function loadedOnOneNode(name: string): Promise<{ ref: ModuleRef; node: string; loader: Pod }> {
  const namespace = await kmm.cluster.freshNamespace();
  const [node] = await kmm.addNodes(name, nodesOf(name), KERNEL);
  if (node === undefined) throw new Error('no node');
  const ref = await kmm.apply(aModule(name).inNamespace(namespace));
  await kmm.untilLoaded(ref, 1);
  return { ref, node, loader: await kmm.untilLoaderOn(ref, node) };
}

const untilReadyLabel = (ref: ModuleRef, node: string, expected: '' | undefined) =>
  eventually(async () => expect((await kmm.marks(ref, node)).ready).toBe(expected), {
    what: expected === undefined ? 'the ready label to be taken' : 'the ready label to be given',
  });

describe('the ready label', () => {
  it('is withdrawn by a new boot, and not given back by what a pod of the boot before still says', async () => {
    const { ref, node, loader } = await loadedOnOneNode('boot');
    await kmm.cluster.nodes.reboot(node, { containers: 'stale' });
    await untilReadyLabel(ref, node, undefined);
    // The pod is still shown as running and Ready, from before the boot.
    await kmm.cluster.pods.setReady(loader, false);
    await kmm.cluster.pods.setReady(loader, true);
    await kmm.untilIdle();
    expect((await kmm.marks(ref, node)).ready).toBeUndefined();
    const { status } = await kmm.module(ref);
    expect(status?.loaded).toBe('0/1');
    await kmm.cluster.pods.restart(loader);
    await untilReadyLabel(ref, node, '');
    await kmm.untilLoaded(ref, 1);
  });

  it('is not taken by a readiness blip of the same container', async () => {
    const { ref, node, loader } = await loadedOnOneNode('blip');
    const mark = await kmm.controlPlane.auditMark();
    await kmm.cluster.pods.setReady(loader, false);
    await kmm.untilIdle();
    await kmm.cluster.pods.setReady(loader, true);
    await kmm.untilIdle();
    expect((await kmm.marks(ref, node)).ready).toBe('');
    expect(await kmm.operatorWrites(mark)).toEqual([]);
  });

  it('is taken from a node whose loader crashed, and status has its last words', async () => {
    const { ref, node, loader } = await loadedOnOneNode('crash');
    await kmm.cluster.pods.failContainer(loader, {
      exitCode: 1,
      message: 'insmod: Invalid module format',
      crashLoop: true,
    });
    await untilReadyLabel(ref, node, undefined);
    const module = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'LoaderFailing' });
    expect(module.status?.conditions?.find(({ type }) => type === 'Degraded')?.message).toContain(
      'insmod: Invalid module format',
    );
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'LoaderFailing' });
  });

  it('is kept through a restart of the operator, and through a boot that nobody saw it is not', async () => {
    const { ref, node } = await loadedOnOneNode('unseen');
    await kmm.operator.stop();
    await kmm.cluster.nodes.reboot(node, { containers: 'stale' });
    await kmm.startOperator();
    await untilReadyLabel(ref, node, undefined);
  });

  it('waits for a loader that is running but not Ready yet', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.cluster.nodes.create({ name: 'sim-never-ready-1', kernel: KERNEL, labels: nodesOf('slow') });
    const ref = await kmm.apply(aModule('slow').inNamespace(namespace));
    const loader = await kmm.untilLoaderOn(ref, 'sim-never-ready-1');
    await kmm.untilIdle();
    expect((await kmm.marks(ref, 'sim-never-ready-1')).ready).toBeUndefined();
    await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'Loading' });
    await kmm.cluster.pods.setReady(loader, true);
    await untilReadyLabel(ref, 'sim-never-ready-1', '');
  });
});
