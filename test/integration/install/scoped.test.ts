/** An operator that was installed for two namespaces: it has Roles in these, and a ClusterRole for nodes alone. */
import { describe, expect, it } from 'vitest';

import { loadLabel } from '../../../src/api/labels.ts';
import { CONFIG_MAPS, NODES } from '../../../src/kube/core.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { CHART, deployedOperator, Helm, RELEASE } from '../../harness/helm.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_NAMESPACE, OPERATOR_USER } from '../../harness/operator.ts';

const KERNEL = '6.1.0-50-cloud-amd64';
const WATCHED = ['drivers', 'storage'];
const FOREIGN = 'foreign';

const kmm = useOperatedCluster('scoped', {
  install: async (controlPlane) => {
    for (const name of [...WATCHED, FOREIGN]) await controlPlane.kubectl(['create', 'namespace', name]);
    const helm = await Helm.on(controlPlane);
    const values = ['--set', `watchNamespaces={${WATCHED.join()}}`];
    await helm.run('install', RELEASE, CHART, '--namespace', OPERATOR_NAMESPACE, '--create-namespace', ...values);
    await controlPlane.kubectl(['wait', '--for=condition=Established', 'crd/modules.kmm.sigs.x-k8s.io']);
    return deployedOperator(controlPlane);
  },
});

async function loadedIn(namespace: string): Promise<ModuleRef> {
  const name = `in-${namespace}`;
  await kmm.addNodes(name, nodesOf(name), KERNEL, '6.12.1');
  const ref = await kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin());
  await kmm.untilLoaded(ref, 2);
  return ref;
}

describe('an operator of some namespaces', () => {
  it.each(WATCHED)('loads and unloads a Module in %s with no right but its Roles', async (namespace) => {
    const ref = await loadedIn(namespace);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect(await kmm.marks(ref, `in-${namespace}-0`)).toEqual({});
  });

  it('builds an image from a ConfigMap there', async () => {
    const [namespace = ''] = WATCHED;
    await kmm.addNodes('build', nodesOf('build'), KERNEL);
    await kmm.cluster.admin.create(CONFIG_MAPS, {
      metadata: { name: 'build', namespace },
      data: { dockerfile: 'FROM scratch\n' },
    });
    const build = { dockerfileConfigMap: { name: 'build' } };
    const ref = await kmm.apply(
      aModule('build')
        .inNamespace(namespace)
        .withMapping({ literal: KERNEL, containerImage: 'registry.test/kmod:1', build }),
    );
    await new BuildPods(kmm.cluster.admin).next(ref);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
  });

  it("says why a Module's pods are refused there", async () => {
    const [, namespace = ''] = WATCHED;
    const labels = { 'pod-security.kubernetes.io/enforce': 'baseline' };
    await kmm.cluster.admin.patch(NAMESPACES, { name: namespace }, { metadata: { labels } });
    await kmm.addNodes('refused', nodesOf('refused'), KERNEL);
    const ref = await kmm.apply(aModule('refused').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'PodsRefused' });
  });

  it('leaves Modules elsewhere alone, and what others have put on nodes for them (I1)', async () => {
    const ref: ModuleRef = { name: 'other', namespace: FOREIGN };
    const label = loadLabel(ref);
    const [node = ''] = await kmm.addNodes('other', { ...nodesOf('other'), [label]: 'kernel' }, KERNEL);
    await kmm.apply(aModule('other').inNamespace(FOREIGN));
    // A Module that is worked on, on the same node: once it is loaded, the node has been looked at.
    const mine = await kmm.apply(
      aModule('mine')
        .inNamespace(WATCHED[0] ?? '')
        .withSelector(nodesOf('other')),
    );
    await kmm.untilLoaded(mine, 1);
    await kmm.untilIdle();
    expect((await kmm.cluster.admin.get(NODES, { name: node })).metadata.labels).toHaveProperty([label], 'kernel');
    expect(await kmm.module(ref)).not.toHaveProperty('status');
    expect((await kmm.module(ref)).metadata.finalizers).toBeUndefined();
  });

  it('was never refused anything, and asked for nothing elsewhere', async () => {
    const events = (await kmm.controlPlane.auditEvents()).filter(({ user }) => user === OPERATOR_USER);
    expect(events.length).toBeGreaterThan(50);
    expect(events.filter(({ code }) => code === 401 || code === 403)).toEqual([]);
    const elsewhere = events.filter(
      ({ resource, namespace }) =>
        resource !== '' && resource !== 'nodes' && ![...WATCHED, OPERATOR_NAMESPACE].includes(namespace),
    );
    expect(elsewhere).toEqual([]);
  });
});
