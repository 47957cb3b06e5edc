import { describe, expect, it } from 'vitest';
import { NODES } from '../../../src/kube/core.ts';
import { isNotFound } from '../../harness/admin.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { PROGRAM } from '../../harness/program.ts';
import { run } from '../../harness/run.ts';

const KERNEL = '6.1.0-50-cloud-amd64';
const OTHER = '6.1.0-56-cloud-amd64';

const kmm = useOperatedCluster('deletion');

async function loaded(
  name: string,
  kernels: readonly string[] = [KERNEL],
): Promise<{ ref: ModuleRef; nodes: readonly string[] }> {
  const namespace = await kmm.cluster.freshNamespace();
  const nodes = await kmm.addNodes(name, nodesOf(name), ...kernels);
  const ref = await kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin());
  await eventually(
    async () => {
      const { status } = await kmm.module(ref);
      expect(status).toMatchObject({
        loaded: `${nodes.length}/${nodes.length}`,
        devicePlugin: { availableNumber: nodes.length },
      });
    },
    { what: 'the Module and its plugin' },
  );
  return { ref, nodes };
}

/**
 * The garbage collector looks for new kinds every 30 s. Until it knows Modules it tries an owner that is gone again after pauses that
 * double, so what it has to take can stand for twice as long as the CRD was young.
 */
const GARBAGE_COLLECTED_MS = 120_000;

async function expectNothingLeft(ref: ModuleRef, nodes: readonly string[], timeoutMs?: number): Promise<void> {
  await eventually(
    async () => {
      expect(await kmm.daemonSets(ref)).toEqual([]);
      expect(await kmm.pods(ref, 'module-loader')).toEqual([]);
      expect(await kmm.pods(ref, 'device-plugin')).toEqual([]);
      for (const node of nodes) expect(await kmm.marks(ref, node)).toEqual({});
    },
    { what: `nothing of ${ref.name} to be left`, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
  );
}

describe('a Module that is deleted', () => {
  it('takes its plugin pods, then its loaders, then its labels, then itself', async () => {
    const { ref, nodes } = await loaded('order', [KERNEL, OTHER]);
    const [node] = nodes;
    expect.assert(node !== undefined);
    const plugin = await kmm.podOn(ref, 'device-plugin', node);
    const loader = await kmm.podOn(ref, 'module-loader', node);
    expect.assert(plugin !== undefined && loader !== undefined);
    await kmm.cluster.pods.holdDeletion(plugin);
    await kmm.cluster.pods.holdDeletion(loader);

    await kmm.deleteModule(ref);
    const going = await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'Unloading' });
    expect(going.metadata.deletionTimestamp).toBeDefined();
    await kmm.untilEvent(ref, { type: 'Normal', reason: 'Unloading' });
    await eventually(
      async () => {
        const { status } = await kmm.module(ref);
        expect(status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain(
          `device-plugin pod ${plugin.metadata.name} on node ${node}`,
        );
      },
      { what: 'status to name the plugin pod' },
    );
    expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(2);
    expect(await kmm.marks(ref, node)).toMatchObject({ load: expect.any(String) });

    await kmm.cluster.pods.releaseDeletion(plugin);
    await eventually(
      async () => {
        const { status } = await kmm.module(ref);
        expect(status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain(
          `loader pod ${loader.metadata.name}`,
        );
      },
      { what: 'status to name the loader pod' },
    );
    expect(await kmm.marks(ref, node)).toMatchObject({ load: expect.any(String) });

    await kmm.cluster.pods.releaseDeletion(loader);
    await kmm.untilGone(ref);
    await expectNothingLeft(ref, nodes);
  });

  it('while the operator was down is unloaded when it is back', async () => {
    const { ref, nodes } = await loaded('down');
    await kmm.operator.kill();
    await kmm.deleteModule(ref);
    expect((await kmm.module(ref)).metadata.deletionTimestamp).toBeDefined();
    await kmm.startOperator();
    await kmm.untilGone(ref);
    await expectNothingLeft(ref, nodes);
  });

  it('is unloaded on a node that is being deleted too, which a finalizer keeps while it is drained', async () => {
    const { ref, nodes } = await loaded('drained');
    const [node] = nodes;
    expect.assert(node !== undefined);
    const { admin } = kmm.cluster;
    await admin.patch(NODES, { name: node }, { metadata: { finalizers: ['test.kmm.sigs.x-k8s.io/drain'] } });
    await admin.delete(NODES, { name: node });
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect((await kmm.cluster.nodes.get(node)).metadata.deletionTimestamp).toBeDefined();
    await expectNothingLeft(ref, nodes);
    await admin.patch(NODES, { name: node }, { metadata: { finalizers: null } });
  });

  it('does not wait for a node that is dead', async () => {
    const { ref, nodes } = await loaded('dead', [KERNEL, KERNEL]);
    const [dead, alive] = nodes;
    expect.assert(dead !== undefined && alive !== undefined);
    await kmm.cluster.nodes.stopKubelet(dead);
    await kmm.cluster.nodes.setReady(dead, 'Unknown');
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect(await kmm.marks(ref, dead)).toEqual({});
    expect(await kmm.marks(ref, alive)).toEqual({});
    await kmm.cluster.nodes.startKubelet(dead);
    await kmm.cluster.nodes.setReady(dead, true);
    await expectNothingLeft(ref, nodes);
  });

  it('does not wait for a node that is gone', async () => {
    const { ref, nodes } = await loaded('gone', [KERNEL, KERNEL]);
    const [gone, left] = nodes;
    expect.assert(gone !== undefined && left !== undefined);
    await kmm.removeNodes(gone);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect(await kmm.marks(ref, left)).toEqual({});
  });

  it('in the middle of a rollout ends', async () => {
    const { ref, nodes } = await loaded('rolling', [KERNEL, KERNEL, KERNEL]);
    await kmm.edit(ref, { kernelMappings: [{ regexp: '.', containerImage: 'registry.test/kmod:sim-pull-fails' }] });
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'ImagePullFailed' });
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    await expectNothingLeft(ref, nodes);
  });

  it('that was never acted on goes at once', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const ref = await kmm.apply(aModule('idle').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoNodes' });
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
  });

  it('with its finalizer taken off by hand leaves no labels behind', { timeout: 180_000 }, async () => {
    const { ref, nodes } = await loaded('forced');
    await kmm.operator.kill();
    await kmm.deleteModule(ref);
    await kmm.controlPlane.kubectl([
      'patch',
      'module',
      ref.name,
      '-n',
      ref.namespace,
      '--type=merge',
      '-p',
      '{"metadata":{"finalizers":null}}',
    ]);
    await kmm.untilGone(ref);
    await kmm.startOperator();
    await expectNothingLeft(ref, nodes, GARBAGE_COLLECTED_MS);
  });

  it('takes pods with it that somebody has made orphans of', async () => {
    const { ref, nodes } = await loaded('orphans');
    await kmm.operator.stop();
    for (const { metadata } of await kmm.daemonSets(ref)) {
      await kmm.controlPlane.kubectl([
        'delete',
        'daemonset',
        metadata.name ?? '',
        '-n',
        ref.namespace,
        '--cascade=orphan',
      ]);
    }
    await kmm.deleteModule(ref);
    await kmm.startOperator();
    await kmm.untilGone(ref);
    await expectNothingLeft(ref, nodes);
  });

  it('and created again with the same name starts anew', async () => {
    const { ref, nodes } = await loaded('again');
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    await kmm.apply(aModule('again').inNamespace(ref.namespace));
    await kmm.untilLoaded(ref, nodes.length);
  });
});

describe('a namespace that is deleted', () => {
  it('goes with its Module, and the nodes are clean', async () => {
    const { ref, nodes } = await loaded('namespace', [KERNEL, OTHER]);
    await kmm.cluster.admin.delete(NAMESPACES, { name: ref.namespace });
    await eventually(
      async () => {
        try {
          const { metadata } = await kmm.cluster.admin.get(NAMESPACES, { name: ref.namespace });
          throw new Error(`it is there since ${metadata.deletionTimestamp}`);
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      },
      { what: 'the namespace to be gone', timeoutMs: 60_000 },
    );
    await eventually(
      async () => {
        for (const node of nodes) expect(await kmm.marks(ref, node)).toEqual({});
      },
      { what: 'the nodes to be clean' },
    );
  });
});

describe('kmm purge', () => {
  const purge = (...flags: readonly string[]) =>
    run(process.execPath, [PROGRAM, 'purge', `--kubeconfig=${kmm.controlPlane.kubeconfig}`, ...flags]);

  it('cleans a cluster whose operator is gone, does nothing without --yes, and nothing beside an operator', async () => {
    const { ref, nodes } = await loaded('purge', [KERNEL, OTHER]);
    const beside = await purge('--yes');
    expect(beside).toMatchObject({ code: 1, stderr: expect.stringContaining('An operator is running') });
    await kmm.operator.stop();

    const without = await purge();
    expect(without.stdout).toContain('Nothing was changed; add --yes to do it.');
    expect(await kmm.daemonSets(ref)).not.toEqual([]);

    const { code, stdout } = await purge('--yes');
    expect(stdout).toContain('Nothing of KMM is left');
    expect(code).toBe(0);
    await kmm.untilGone(ref);
    await expectNothingLeft(ref, nodes);
    for (const { metadata } of await kmm.nodes()) {
      const keys = [...Object.keys(metadata.labels ?? {}), ...Object.keys(metadata.annotations ?? {})];
      expect(keys.filter((key) => key.startsWith('kmm.node.kubernetes.io/'))).toEqual([]);
    }
    await kmm.startOperator();
  });
});
