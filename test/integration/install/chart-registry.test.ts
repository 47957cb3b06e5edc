/** The chart's registry without a cluster: that it is what the component of kustomize brings, and what its values change in it. */
import { beforeAll, expect, it } from 'vitest';

import type { KubeObject } from '../../../src/kube/objects.ts';
import { useCluster } from '../../harness/cluster.ts';
import type { ControlPlane } from '../../harness/control-plane.ts';
import { CHART, Helm } from '../../harness/helm.ts';
import { kustomize } from '../../harness/kustomization.ts';
import { flagsOf, isWorkload, objectsIn, titleOf } from '../../harness/rendered.ts';

let helm: Helm;
let controlPlane: ControlPlane;

beforeAll(async () => {
  ({ controlPlane } = await useCluster());
  helm = await Helm.on(controlPlane);
});

it("brings the cluster's registry as the component does, and the flags for it", async () => {
  const overlay = { resources: ['default'], components: ['components/registry'] };
  const ofRegistry = (objects: readonly KubeObject[]): ReadonlyMap<string, KubeObject> =>
    new Map(
      objects
        .filter(({ metadata }) => metadata.name?.startsWith('kmm-registry') === true)
        .map((object) => [titleOf(object), object]),
    );
  const component = objectsIn(await kustomize(controlPlane, overlay));
  const rendered = await helm.template('registry.enabled=true');
  expect(ofRegistry(component).size).toBeGreaterThan(8);
  expect(ofRegistry(rendered)).toEqual(ofRegistry(component));
  expect([...flagsOf(rendered)].sort()).toEqual([...flagsOf(component)].sort());
  const elsewhere = JSON.stringify(
    objectsIn(
      await helm.run('template', 'kmm', CHART, '--namespace', 'mine', '--set', 'registry.enabled=true,image.tag=v9'),
    ).filter(({ metadata }) => metadata.name?.startsWith('kmm-registry')),
  );
  expect(elsewhere).not.toContain('kmm-system');
  expect(elsewhere).toContain('kmm-operator:v9');
  expect(elsewhere).toContain('"--namespace=mine"');
  expect(elsewhere).toContain('"--tls-names=kmm-registry.mine.svc,');
});

it("pulls the registry's images as the operator's, at the modules' priority, and as users that OpenShift takes", async () => {
  const podsOf = async (...args: readonly string[]) =>
    objectsIn(await helm.run('template', 'kmm', CHART, '--set', 'registry.enabled=true', ...args))
      .filter(({ metadata }) => metadata.name?.startsWith('kmm-registry'))
      .filter(isWorkload)
      .map(({ spec }) => spec.template.spec);
  const values = 'imagePullSecrets[0].name=mine,image.pullPolicy=Always,modules.priorityClassName=important';
  const ours = await podsOf('--set', values);
  expect(ours).toHaveLength(2);
  for (const pod of ours) {
    expect(pod).toMatchObject({
      imagePullSecrets: [{ name: 'mine' }],
      containers: [{ imagePullPolicy: 'Always' }, ...pod.containers.slice(1)],
    });
    expect(pod.securityContext).toMatchObject({ runAsUser: 65532 });
  }
  expect(ours.map(({ priorityClassName }) => priorityClassName).filter(Boolean)).toEqual(['important']);
  const none = await podsOf('--set', 'modules.priorityClassName=');
  expect(none.map(({ priorityClassName }) => priorityClassName).filter(Boolean)).toEqual([]);
  for (const { securityContext } of await podsOf('--api-versions', 'security.openshift.io/v1')) {
    expect(securityContext).toMatchObject({ runAsNonRoot: true });
    for (const field of ['runAsUser', 'runAsGroup', 'fsGroup']) expect(securityContext).not.toHaveProperty(field);
  }
});

it('lets nodes pull on another port of their loopback, and tells the operator', async () => {
  const rendered = await helm.template('registry.enabled=true', 'registry.port=15780');
  expect(flagsOf(rendered)).toContain('--registry-pull-host=127.0.0.1:15780');
  const node = rendered.find(({ kind }) => kind === 'DaemonSet');
  const httpGet = { host: '127.0.0.1', port: 15_780 };
  const [front] = node !== undefined && isWorkload(node) ? node.spec.template.spec.containers : [];
  expect(front).toMatchObject({
    args: expect.arrayContaining(['--listen-address=127.0.0.1:15780']),
    startupProbe: { httpGet },
    livenessProbe: { httpGet },
  });
  expect(JSON.stringify(rendered)).not.toMatch(/\b5780\b/);
});

it("keeps the registry's images on a claim as the component does", async () => {
  const components = ['components/registry', 'components/registry-volume'];
  const stored = (objects: readonly KubeObject[]): readonly KubeObject[] =>
    objects.filter(
      ({ kind, metadata }) =>
        metadata.name === 'kmm-registry' && ['Deployment', 'PersistentVolumeClaim'].includes(kind ?? ''),
    );
  const component = stored(objectsIn(await kustomize(controlPlane, { resources: ['default'], components })));
  const rendered = stored(await helm.template('registry.enabled=true', 'registry.volume.enabled=true'));
  expect(component).toHaveLength(2);
  expect(new Set(rendered)).toEqual(new Set(component));
  const named = await helm.template(
    'registry.enabled=true',
    'registry.volume.enabled=true',
    'registry.volume.size=1Ti',
    'registry.volume.storageClassName=slow',
  );
  const claim = stored(named).find(({ kind }) => kind === 'PersistentVolumeClaim');
  expect(claim).toMatchObject({ spec: { storageClassName: 'slow', resources: { requests: { storage: '1Ti' } } } });
});
