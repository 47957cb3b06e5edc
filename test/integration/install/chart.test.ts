/** The chart without a cluster: what it refuses, and that its two faces and the program agree. */
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

import { ALERT_DEFAULTS, alertGroups } from '../../../hack/generate/alerts.ts';
import { parseManagerConfig } from '../../../src/commands/config.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { useCluster } from '../../harness/cluster.ts';
import type { ControlPlane } from '../../harness/control-plane.ts';
import { CHART, Helm } from '../../harness/helm.ts';
import { kustomize } from '../../harness/kustomization.ts';
import { deploymentIn, flagsOf, isWorkload, objectsIn, titleOf } from '../../harness/rendered.ts';

const CONFIG = fileURLToPath(new URL('../../../config', import.meta.url));

const DIGEST = `sha256:${'0'.repeat(64)}`;

let helm: Helm;
let controlPlane: ControlPlane;

beforeAll(async () => {
  ({ controlPlane } = await useCluster());
  helm = await Helm.on(controlPlane);
});

describe('the chart', () => {
  it('has nothing that helm lint finds fault with', async () => {
    expect(await helm.run('lint', '--strict', CHART)).toContain('0 chart(s) failed');
  });

  it.each([
    ['replicas=two', '/replicas'],
    ['replicas=21', '/replicas'],
    ['image.tga=x', "/image': additional properties 'tga' not allowed"],
    ['build.engine=kaniko', '/build/engine'],
    ['build.retryBackoff=soon', '/build/retryBackoff'],
    ['logLevel=loud', '/logLevel'],
    ['watchNamespaces={Drivers}', '/watchNamespaces/0'],
    ['networkPolicy.apiServer.cidrs={here}', '/networkPolicy/apiServer/cidrs/0'],
    ['extraArgs={-v}', '/extraArgs/0'],
    ['registry.enabled=perhaps', '/registry/enabled'],
    ['registry.port=0', '/registry/port'],
    ['registry.volume.size=much', '/registry/volume/size'],
    ['admissionPolicy.enabled=perhaps', '/admissionPolicy/enabled'],
    ['admissionPolicy.onlyLabelledNamespaces=true', 'needs admissionPolicy.enabled'],
    ['networkPolicy.modules.namespaces={Drivers}', '/networkPolicy/modules/namespaces/0'],
    ['nonsense=1', 'nonsense'],
  ])('refuses %s and names the field', async (value, expected) => {
    const { code, stderr } = await helm.try('template', 'kmm', CHART, '--set', value);
    expect(code).not.toBe(0);
    expect(stderr).toContain(expected);
  });

  it('gives the same objects as config/default, but for the namespace, which helm makes itself', async () => {
    const withoutHelm = (object: KubeObject): KubeObject => {
      const { labels = {}, annotations = {}, ...metadata } = object.metadata;
      const { 'helm.sh/chart': _chart, 'app.kubernetes.io/managed-by': _manager, ...others } = labels;
      const { 'helm.sh/resource-policy': _policy, ...notes } = annotations;
      return { ...object, metadata: { ...metadata, labels: others, annotations: notes } };
    };
    const byName = (objects: readonly KubeObject[]): ReadonlyMap<string, KubeObject> =>
      new Map(objects.map((object) => [titleOf(object), withoutHelm(object)]));
    const kustomized = objectsIn(await controlPlane.kubectl(['kustomize', `${CONFIG}/default`]));
    const rendered = byName(await helm.template());
    expect([...rendered.keys()].join()).toContain('CustomResourceDefinition');
    expect(byName(kustomized.filter(({ kind }) => kind !== 'Namespace'))).toEqual(rendered);
  });

  it('renders no flag that kmm manager does not know, whatever is set', async () => {
    const values = [
      'watchNamespaces={a,b}',
      'build.seccompProfile=profiles/build.json',
      'build.registriesConf=mirrors',
      'modules.priorityClassName=',
      'metrics.port=9090',
      'metrics.authentication=true',
      'extraArgs={--status-interval=10s}',
      'build.engine=pod',
      'registry.enabled=true',
    ];
    for (const set of [[], values]) {
      const flags = flagsOf(await helm.template(...set));
      const parsed = parseManagerConfig(flags, {}, () => 'kmm-system');
      expect(parsed.ok ? [] : parsed.errors).toEqual([]);
    }
    const flags = flagsOf(await helm.template(...values));
    expect(flags).toContain('--watch-namespaces=a,b');
    expect(flags).toContain('--metrics-bind-address=:9090');
    expect(flags).toContain('--metrics-authentication=true');
    expect(flags).toContain('--priority-class-name=');
    expect(flags).toContain('--status-interval=10s');
  });

  it('runs the operator as nobody, with a root that is read only and no capability', async () => {
    const { spec } = deploymentIn(await helm.template()).spec.template;
    expect(spec.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec.containers).toMatchObject([
      {
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ]);
  });

  // On a node under load Node itself took a minute to start and healthz a minute to answer, and the liveness probe killed replica after replica,
  // later the registry: test/e2e.
  it('gives a replica, and what serves the registry, five minutes to start and two of silence before they are taken for dead', async () => {
    const rendered = await helm.template('registry.enabled=true');
    const containers = rendered.filter(isWorkload).flatMap(({ spec }) => spec.template.spec.containers);
    const probed = containers.filter((container) => 'livenessProbe' in container);
    expect(probed.map(({ name }) => name).toSorted()).toEqual(['front', 'front', 'manager']);
    for (const { name, livenessProbe } of probed) {
      expect(livenessProbe, name).toMatchObject({ periodSeconds: 20, timeoutSeconds: 15, failureThreshold: 6 });
    }
    // Its Service had no endpoint in the middle of pushes once: a TLS handshake took longer than the one second that is the default.
    const readiness = { periodSeconds: 5, timeoutSeconds: 10, failureThreshold: 6 };
    const https = { scheme: 'HTTPS', port: 'https', path: '/readyz' };
    expect(probed).toContainEqual(expect.objectContaining({ readinessProbe: { httpGet: https, ...readiness } }));
    const started = (httpGet: object) => ({
      startupProbe: { httpGet, periodSeconds: 5, timeoutSeconds: 10, failureThreshold: 60 },
    });
    expect(probed).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'manager', ...started({ path: '/healthz', port: 'probes' }) }),
        expect.objectContaining(started({ scheme: 'HTTPS', port: 'https', path: '/healthz' })),
        expect.objectContaining(started({ host: '127.0.0.1', port: 5780, path: '/healthz' })),
      ]),
    );
  });

  it('leaves the user id to OpenShift where it is OpenShift', async () => {
    const own = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
    const args = ['--api-versions', 'security.openshift.io/v1'];
    const byHelm = objectsIn(await helm.run('template', 'kmm', CHART, ...args));
    expect(deploymentIn(byHelm).spec.template.spec.securityContext).toEqual(own);
    const overlay = { resources: ['default'], components: ['components/openshift'] };
    expect(deploymentIn(objectsIn(await kustomize(controlPlane, overlay))).spec.template.spec.securityContext).toEqual(
      own,
    );
  });

  it('gives the rights that building by OpenShift takes, where it is OpenShift, and nowhere else', async () => {
    const rights = (objects: readonly KubeObject[]) =>
      objects
        .filter(({ metadata }) => metadata.name === 'kmm-openshift')
        .map((object) => ({
          ...object,
          metadata: { name: object.metadata.name, namespace: object.metadata.namespace },
        }))
        .toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    const render = async (...args: readonly string[]) =>
      objectsIn(await helm.run('template', 'kmm', CHART, '-n', 'kmm-system', ...args));
    const component = objectsIn(await readFile(`${CONFIG}/components/openshift/rbac.yaml`, 'utf8'));
    const served = ['--api-versions', 'build.openshift.io/v1'];
    expect(rights(await render(...served))).toEqual(rights(component));
    expect(rights(await render('--set', 'build.engine=openshift'))).toEqual(rights(component));
    expect(rights(await render())).toEqual([]);
    expect(rights(await render(...served, '--set', 'build.engine=pod'))).toEqual([]);
    const scoped = await render(...served, '--set', 'watchNamespaces={a}');
    expect(rights(scoped).map(({ kind }) => kind)).toEqual(['Role', 'RoleBinding']);
    const role = scoped.find(({ metadata }) => metadata.name === 'kmm-modules');
    expect(JSON.stringify(role)).toContain('buildconfigs');
  });

  it('makes Roles in the watched namespaces, and its ClusterRole is for nodes alone then', async () => {
    const objects = await helm.template('watchNamespaces={a,b,kmm-system}');
    const names = objects.map(titleOf);
    for (const namespace of ['a', 'b', 'kmm-system']) {
      expect(names).toContain(`Role ${namespace}/kmm-modules`);
      expect(names).toContain(`RoleBinding ${namespace}/kmm-modules`);
    }
    expect(new Set(names).size).toBe(names.length);
    const [clusterRole] = objects.filter(({ kind }) => kind === 'ClusterRole');
    expect(clusterRole).toMatchObject({ rules: [{ apiGroups: [''], resources: ['nodes'] }] });
  });

  it.each([
    ['metrics-auth', 'metrics.authentication=true'],
    ['admission-policy', 'admissionPolicy.enabled=true'],
    ['admission-policy-namespaces', 'admissionPolicy.enabled=true,admissionPolicy.onlyLabelledNamespaces=true'],
  ])('brings what the component %s has, and under the names of another release', async (component, values) => {
    const wanted = objectsIn(await kustomizedComponent(component));
    expect(wanted.length).toBeGreaterThan(1);
    expect(await helm.template(values)).toEqual(expect.arrayContaining([...wanted]));
    const names = new Set((await helm.template()).map(titleOf));
    for (const name of wanted.map(titleOf)) expect(names).not.toContain(name);
    const elsewhere = await helm.run('template', 'other', CHART, '--namespace', 'mine', '--set', values);
    const ours = objectsIn(elsewhere.replaceAll('other-kmm', 'kmm').replaceAll('mine:kmm', 'kmm-system:kmm'));
    const renamed = objectsIn(
      (await kustomizedComponent(component)).replaceAll('namespace: kmm-system', 'namespace: mine'),
    );
    expect(ours).toEqual(expect.arrayContaining([...renamed]));
    expect(elsewhere).not.toContain('kmm-system');
  });

  it('makes the network policies of loaders and builds that the example has, where a namespace is named', async () => {
    const example = objectsIn(await readFile(`${CONFIG}/network-policies/module-namespace.yaml`, 'utf8'));
    const policiesIn = async (...values: readonly string[]): Promise<readonly KubeObject[]> =>
      (await helm.template(...values)).filter(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name !== 'kmm',
      );
    expect(await policiesIn()).toEqual([]);
    const rendered = await policiesIn('networkPolicy.modules.namespaces={a,b}');
    const bare = rendered.map(({ metadata: { labels: _labels, ...metadata }, ...object }) => ({ ...object, metadata }));
    expect(bare).toEqual(
      ['a', 'b'].flatMap((namespace) =>
        example.map((object) => ({ ...object, metadata: { ...object.metadata, namespace } })),
      ),
    );
    const [, builds] = await policiesIn(
      'networkPolicy.modules.namespaces={a}',
      'networkPolicy.modules.buildsTo[0].ipBlock.cidr=10.0.0.0/8',
      'networkPolicy.modules.buildPorts={5000}',
      'registry.enabled=true',
    );
    const registry = { 'app.kubernetes.io/name': 'kmm-registry', 'app.kubernetes.io/component': 'registry' };
    expect(builds).toMatchObject({
      spec: {
        egress: [
          {},
          { to: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [{ protocol: 'TCP', port: 5000 }] },
          { to: [{ podSelector: { matchLabels: registry } }], ports: [{ protocol: 'TCP', port: 'https' }] },
        ],
      },
    });
  });

  it('makes a disruption budget only where a replica can be spared', async () => {
    expect((await helm.template()).map(titleOf).join()).toContain('PodDisruptionBudget');
    expect((await helm.template('replicas=1')).map(titleOf).join()).not.toContain('PodDisruptionBudget');
  });

  it.each([
    ['podDisruptionBudget.enabled=false', 'PodDisruptionBudget'],
    ['networkPolicy.enabled=false', 'NetworkPolicy'],
    ['crds.install=false', 'CustomResourceDefinition'],
  ])('leaves out with %s its %s, and nothing else', async (value, left) => {
    const without = (await helm.template()).filter(({ kind }) => kind !== left);
    expect(await helm.template(value)).toEqual(without);
  });

  it('puts what is for the pods of the operator into them as it was given', async () => {
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } };
    const pod = {
      nodeSelector: { pool: 'system' },
      tolerations: [{ key: 'pool', operator: 'Exists' }],
      affinity,
      priorityClassName: 'important',
      imagePullSecrets: [{ name: 'mine' }],
    };
    const resources = { requests: { cpu: '1' }, limits: { memory: '1Gi' } };
    const values = {
      ...pod,
      resources,
      podAnnotations: { 'mesh.test/inject': 'false' },
      serviceAccount: { annotations: { 'cloud.test/role': 'none' } },
      image: { repository: 'registry.test/kmm', digest: DIGEST, pullPolicy: 'Always' },
    };
    const set = Object.entries(values).flatMap(([name, value]) => ['--set-json', `${name}=${JSON.stringify(value)}`]);
    const rendered = objectsIn(await helm.run('template', 'kmm', CHART, ...set));
    const { template } = deploymentIn(rendered).spec;
    expect(template).toMatchObject({ metadata: { annotations: values.podAnnotations } });
    expect(template.spec).toMatchObject(pod);
    // helm merges maps of values; the preference for different zones has to go nonetheless.
    expect(template.spec).toHaveProperty('affinity', affinity);
    const [manager] = template.spec.containers;
    expect(manager).toMatchObject({ image: `registry.test/kmm@${DIGEST}`, imagePullPolicy: 'Always' });
    expect(manager).toHaveProperty('resources.requests.cpu', '1');
    expect(manager).toHaveProperty('resources.limits.memory', '1Gi');
    const account = rendered.find(({ kind }) => kind === 'ServiceAccount');
    expect(account?.metadata.annotations).toEqual(values.serviceAccount.annotations);
  });

  it('makes a ServiceMonitor where one is wanted, and none else', async () => {
    expect((await helm.template()).map(titleOf).join()).not.toContain('ServiceMonitor');
    const objects = await helm.template('metrics.serviceMonitor.enabled=true', 'metrics.serviceMonitor.labels.team=a');
    const labelled = objects.find(({ kind }) => kind === 'ServiceMonitor');
    expect(labelled?.metadata.labels).toMatchObject({ team: 'a' });
    const component = objectsIn(await kustomizedComponent('monitoring')).find(({ kind }) => kind === 'ServiceMonitor');
    // The selector of a release names the release.
    const scraped = (monitor: KubeObject = { metadata: {} }): unknown =>
      JSON.parse(
        JSON.stringify(monitor, (key, value) => (key === 'metadata' || key === 'selector' ? undefined : value)),
      );
    expect(scraped(component)).toMatchObject({ spec: { endpoints: [{ port: 'metrics' }] } });
    expect(scraped(labelled)).toEqual(scraped(component));
    const authorization = { credentials: { name: 'prometheus', key: 'token' } };
    const authorized = await helm.template(
      'metrics.serviceMonitor.enabled=true',
      'metrics.serviceMonitor.authorization.credentials.name=prometheus',
      'metrics.serviceMonitor.authorization.credentials.key=token',
    );
    const monitor = authorized.find(({ kind }) => kind === 'ServiceMonitor');
    expect(monitor).toMatchObject({ spec: { endpoints: [{ port: 'metrics', authorization }] } });
  });

  it('takes the time of the alert about waiting nodes, and the place of the runbooks, from its values', async () => {
    const rulesOf = async (...values: readonly string[]) => {
      const objects = await helm.template('alerts.enabled=true', ...values);
      return objects.find(({ kind }) => kind === 'PrometheusRule');
    };
    expect(await rulesOf()).toMatchObject({ spec: { groups: alertGroups() } });
    const settings = { nodeWaitingMinutes: '90', runbooks: 'https://runbooks.test/kmm?v=1' };
    const values = Object.entries(settings).map(([name, value]) => `alerts.${name}=${value}`);
    expect(await rulesOf(...values)).toMatchObject({
      spec: { groups: alertGroups({ ...ALERT_DEFAULTS, ...settings }) },
    });
    await expect(helm.template('alerts.runbooks=a b: c')).rejects.toThrow('runbooks');
  });

  it('looks for the leader in the namespace where it is installed, so that another operator in the cluster does not hide that it is gone', async () => {
    const rendered = await helm.run('template', 'kmm', CHART, '--namespace', 'mine', '--set', 'alerts.enabled=true');
    const rule = objectsIn(rendered).find(({ kind }) => kind === 'PrometheusRule');
    expect(rule).toMatchObject({ spec: { groups: alertGroups({ ...ALERT_DEFAULTS, namespace: 'mine' }) } });
    expect(JSON.stringify(rule)).toContain('namespace=\\"mine\\"');
  });

  it('makes alerts of the file that was packaged with it, word for word', async () => {
    const folder = join(await mkdtemp(join(controlPlane.directory, 'chart-')), 'kmm');
    await cp(CHART, folder, { recursive: true });
    const alert = { alert: 'A', expr: 'kmm_modules > 0', annotations: { summary: '{{ $labels.module }} is not well' } };
    const spec = { groups: [{ name: 'kmm', rules: [alert] }] };
    await writeFile(join(folder, 'files/alerts.yaml'), JSON.stringify(spec));
    const rendered = await helm.run('template', 'kmm', folder, '--set', 'alerts.enabled=true,alerts.labels.team=a');
    const rule = objectsIn(rendered).find(({ kind }) => kind === 'PrometheusRule');
    expect(rule).toMatchObject({ spec, metadata: { labels: { team: 'a' } } });
    expect((await helm.template()).map(titleOf).join()).not.toContain('PrometheusRule');
  });

  it('is of the version of the program', async () => {
    const { version }: { readonly version: string } = JSON.parse(
      await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
    );
    expect(await helm.run('show', 'chart', CHART)).toContain(`appVersion: ${version}`);
  });
});

/** A component alone, which kustomize takes as a kustomization too. */
function kustomizedComponent(name: string): Promise<string> {
  return controlPlane.kubectl(['kustomize', `${CONFIG}/components/${name}`]);
}
