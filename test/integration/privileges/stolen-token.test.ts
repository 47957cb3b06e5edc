/** Somebody has the operator's token. What RBAC alone leaves to them, and what the optional admission policy leaves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FINALIZER, loadLabel, MODULE_NAME_LABEL, MODULES_ALLOWED_LABEL, ROLE_LABEL } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { DAEMONSETS, type DaemonSet, NODES, PODS, type Pod } from '../../../src/kube/core.ts';
import { type Cluster, clusterAround, NAMESPACES } from '../../harness/cluster.ts';
import { type ControlPlane, startControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule } from '../../harness/modules.ts';
import { installAdmissionPolicy, installOperator, OPERATOR_NAMESPACE } from '../../harness/operator.ts';
import { anOwnBuildPod, anOwnLoader, anOwnPlugin } from '../../harness/own-objects.ts';
import { type Answer, type Method, TokenClient } from '../../harness/token-client.ts';

const NODE = 'node-of-others';
const DRIVERS = 'drivers';

let controlPlane: ControlPlane;
let cluster: Cluster;
let thief: TokenClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ name: 'stolen-token' });
  cluster = await clusterAround(controlPlane);
  await installOperator(controlPlane, { admissionPolicy: false });
  thief = await TokenClient.of(controlPlane, OPERATOR_NAMESPACE, 'kmm');
  const { admin } = cluster;
  await admin.create(NAMESPACES, { metadata: { name: DRIVERS } });
  await cluster.nodes.create({ name: NODE, kernel: '6.1.0-50-cloud-amd64', labels: { rack: 'r1' } });
  await admin.patch(NODES, { name: NODE }, { metadata: { annotations: { owner: 'somebody' } } });
  await admin.create(MODULES, {
    ...aModule('m').inNamespace(DRIVERS).build(),
    metadata: { name: 'm', namespace: DRIVERS, finalizers: ['example.com/other'] },
  });
  await admin.create(PODS, {
    metadata: { name: 'web', namespace: DRIVERS },
    spec: { containers: [{ name: 'web', image: 'registry.test/web:1' }] },
  });
  await controlPlane.kubectl(['create', 'serviceaccount', 'powerful', '-n', 'kube-system']);
  await controlPlane.kubectl(['create', 'serviceaccount', 'admin', '-n', DRIVERS]);
  await controlPlane.kubectl(['create', 'secret', 'generic', 'password', '-n', DRIVERS, '--from-literal=a=b']);
});

afterAll(async () => {
  await thief?.close();
  await cluster?.admin.close();
  await controlPlane?.stop();
});

const API = '/api/v1';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const OF_DRIVERS = `${API}/namespaces/${DRIVERS}`;
const MODULES_PATH = `/apis/kmm.sigs.x-k8s.io/v1beta1/namespaces/${DRIVERS}/modules`;
const MODULE = `${MODULES_PATH}/m`;

type Attempt = [what: string, method: Method, path: string, body?: unknown];

const ADMIN_BINDING = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'me' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', name: 'kmm', namespace: 'kmm-system' }],
};

const NEVER: readonly Attempt[] = [
  ['read a Secret', 'GET', `${OF_DRIVERS}/secrets/password`],
  ['list Secrets', 'GET', `${API}/secrets`],
  ['watch Secrets', 'GET', `${API}/secrets?watch=true`],
  ['read a ConfigMap by its name', 'GET', `${OF_DRIVERS}/configmaps/kube-root-ca.crt`],
  ['write a ConfigMap', 'POST', `${OF_DRIVERS}/configmaps`, { metadata: { name: 'mine' } }],
  ['have a token of another ServiceAccount', 'POST', `${OF_DRIVERS}/serviceaccounts/default/token`, { spec: {} }],
  [
    'have a token of its own that lasts',
    'POST',
    `${API}/namespaces/kmm-system/serviceaccounts/kmm/token`,
    { spec: {} },
  ],
  ['bind itself to cluster-admin', 'POST', `${RBAC}/clusterrolebindings`, ADMIN_BINDING],
  ['change its own role', 'PATCH', `${RBAC}/clusterroles/kmm`, { rules: [] }],
  ['make a role', 'POST', `${RBAC}/namespaces/${DRIVERS}/roles`, { metadata: { name: 'mine' }, rules: [] }],
  ['run a command in a pod', 'POST', `${OF_DRIVERS}/pods/web/exec?command=id&stdout=true`],
  ['attach to a pod', 'POST', `${OF_DRIVERS}/pods/web/attach?stdout=true`],
  ['read the log of a pod', 'GET', `${OF_DRIVERS}/pods/web/log`],
  ['reach a port of a pod', 'POST', `${OF_DRIVERS}/pods/web/portforward?ports=80`],
  ['change a pod', 'PATCH', `${OF_DRIVERS}/pods/web`, { metadata: { labels: { a: 'b' } } }],
  ['put a debugger into a pod', 'PATCH', `${OF_DRIVERS}/pods/web/ephemeralcontainers`, { spec: {} }],
  ['evict a pod', 'POST', `${OF_DRIVERS}/pods/web/eviction`, { metadata: { name: 'web', namespace: DRIVERS } }],
  ['delete many pods at once', 'DELETE', `${OF_DRIVERS}/pods`],
  ['make a Deployment', 'POST', `/apis/apps/v1/namespaces/${DRIVERS}/deployments`, {}],
  ['make a Job', 'POST', `/apis/batch/v1/namespaces/${DRIVERS}/jobs`, {}],
  ['delete a Node', 'DELETE', `${API}/nodes/${NODE}`],
  ['make a Node', 'POST', `${API}/nodes`, { metadata: { name: 'mine' } }],
  ['change the status of a Node', 'PATCH', `${API}/nodes/${NODE}/status`, { status: {} }],
  ['reach a kubelet', 'GET', `${API}/nodes/${NODE}/proxy/pods`],
  ['make a Module', 'POST', MODULES_PATH, aModule('x').build()],
  ['delete a Module', 'DELETE', MODULE],
  ['change a CRD', 'PATCH', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modules.kmm.sigs.x-k8s.io', {}],
  ['switch an admission webhook on', 'POST', '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {}],
  ['take a policy away', 'DELETE', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kmm-nodes'],
  ['make a namespace', 'POST', `${API}/namespaces`, { metadata: { name: 'mine' } }],
  ['relabel a namespace', 'PATCH', OF_DRIVERS, { metadata: { labels: { a: 'b' } } }],
  ['take a Lease of another namespace', 'GET', '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x'],
  ['read metrics', 'GET', '/metrics'],
];

describe('with the token of the operator nobody can', () => {
  test.each(NEVER)('%s', async (_what, method, path, body) => {
    const { status, message } = await thief.send(method, path, body);
    expect([status, message]).toEqual([403, expect.stringContaining('cannot')]);
  });

  test('act as somebody else', async () => {
    const kubeconfig = await controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, 'kmm');
    const { stderr } = await controlPlane.tryKubectl(['get', 'nodes', '--as=admin'], {
      env: { KUBECONFIG: kubeconfig },
    });
    expect(stderr).toContain('cannot impersonate');
  });
});

const NODE_PATH = `${API}/nodes/${NODE}`;
const TAINT = { spec: { taints: [{ key: 'mine', effect: 'NoExecute' }] } };
const NODE_NAME = { namespace: DRIVERS, name: 'm' };

/** A pod of the thief's own, with the ServiceAccount of a foreign namespace. */
const foreignPod = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'kube-system' },
  spec: {
    serviceAccountName: 'powerful',
    containers: [{ name: 'c', image: 'registry.test/thief:1' }],
  },
});

const post = (namespace: string, object: DaemonSet | Pod): Attempt =>
  object.kind === 'Pod'
    ? ['', 'POST', `${API}/namespaces/${namespace}/pods?dryRun=All`, object]
    : ['', 'POST', `/apis/apps/v1/namespaces/${namespace}/daemonsets?dryRun=All`, object];

const send = ([, method, path, body]: Attempt): Promise<Answer> => thief.send(method, path, body);

/** What is open to a thief as long as the admission policy is not installed: RBAC has no words for it. */
const OPEN_TO_RBAC: readonly Attempt[] = [
  ['taint a node', 'PATCH', `${NODE_PATH}?dryRun=All`, TAINT],
  ['cordon a node', 'PATCH', `${NODE_PATH}?dryRun=All`, { spec: { unschedulable: true } }],
  ['change a label of others', 'PATCH', `${NODE_PATH}?dryRun=All`, { metadata: { labels: { rack: 'r2' } } }],
  ['take a label of others', 'PATCH', `${NODE_PATH}?dryRun=All`, { metadata: { labels: { rack: null } } }],
  [
    'add a label of others',
    'PATCH',
    `${NODE_PATH}?dryRun=All`,
    { metadata: { labels: { 'node-role.kubernetes.io/x': '' } } },
  ],
  [
    'change an annotation of others',
    'PATCH',
    `${NODE_PATH}?dryRun=All`,
    { metadata: { annotations: { owner: 'me' } } },
  ],
  ['put a finalizer on a node', 'PATCH', `${NODE_PATH}?dryRun=All`, { metadata: { finalizers: ['example.com/x'] } }],
  [
    'run a pod with a ServiceAccount of kube-system',
    'POST',
    `${API}/namespaces/kube-system/pods?dryRun=All`,
    foreignPod('p'),
  ],
  ['delete a pod of others', 'DELETE', `${OF_DRIVERS}/pods/web?dryRun=All`],
  ['change the spec of a Module', 'PATCH', `${MODULE}?dryRun=All`, { spec: { selector: { a: 'b' } } }],
  ['label a Module', 'PATCH', `${MODULE}?dryRun=All`, { metadata: { labels: { a: 'b' } } }],
  ['take the finalizer of others off a Module', 'PATCH', `${MODULE}?dryRun=All`, { metadata: { finalizers: [] } }],
  [
    'write an event about a pod',
    'POST',
    `${OF_DRIVERS}/events?dryRun=All`,
    {
      metadata: { name: 'lie', namespace: DRIVERS },
      involvedObject: { kind: 'Pod', apiVersion: 'v1', name: 'web', namespace: DRIVERS },
    },
  ],
];

describe('RBAC alone lets a thief', () => {
  test.each(OPEN_TO_RBAC)('%s', async (_what, method, path, body) => {
    expect(await thief.send(method, path, body)).toMatchObject({ message: '' });
  });
});

describe('with the admission policy a thief cannot', () => {
  beforeAll(async () => {
    await installAdmissionPolicy(controlPlane);
    // Policies reach the API server's admission a moment after they are stored.
    await eventually(
      async () => {
        for (const [what, method, path, body] of OPEN_TO_RBAC) {
          const { status } = await thief.send(method, path, body);
          if (status !== 403) throw new Error(`can still ${what}: ${status}`);
        }
      },
      { what: 'every policy to be enforced' },
    );
  });

  test.each(OPEN_TO_RBAC)('%s', async (_what, method, path, body) => {
    const { status, message } = await thief.send(method, path, body);
    expect([status, message]).toEqual([403, expect.stringContaining('ValidatingAdmissionPolicy')]);
  });

  const loader = (): DaemonSet => anOwnLoader(DRIVERS);
  const plugin = (): DaemonSet => anOwnPlugin(DRIVERS);
  const build = (): Pod => anOwnBuildPod(DRIVERS);
  const withTemplate = (daemonSet: DaemonSet, spec: Readonly<Record<string, unknown>>): DaemonSet => ({
    ...daemonSet,
    spec: {
      ...daemonSet.spec,
      template: { ...daemonSet.spec.template, spec: { ...daemonSet.spec.template.spec, ...spec } },
    },
  });
  const withPodsOfRole = (daemonSet: DaemonSet, role: string): DaemonSet => {
    const labels = { ...daemonSet.spec.template.metadata?.labels, [ROLE_LABEL]: role };
    // A selector that names the role would be refused as such.
    const { [ROLE_LABEL]: _role, ...matchLabels } = labels;
    const template = { ...daemonSet.spec.template, metadata: { ...daemonSet.spec.template.metadata, labels } };
    return { ...daemonSet, spec: { ...daemonSet.spec, selector: { matchLabels }, template } };
  };
  const withSpec = (pod: Pod, spec: Readonly<Record<string, unknown>>): Pod => ({
    ...pod,
    spec: { containers: [], ...pod.spec, ...spec },
  });
  const without = <T extends DaemonSet | Pod>(object: T, label: string): T => {
    const { [label]: _gone, ...labels } = object.metadata.labels ?? {};
    return { ...object, metadata: { ...object.metadata, labels } };
  };
  const orphaned = <T extends DaemonSet | Pod>(object: T): T => ({
    ...object,
    metadata: { ...object.metadata, ownerReferences: [] },
  });
  const tokenVolume = { name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } };
  const [container] = build().spec?.containers ?? [];
  const volumes = build().spec?.volumes ?? [];
  const loaderVolumes = loader().spec.template.spec.volumes ?? [];

  test.each<[string, DaemonSet | Pod, string]>([
    ['a DaemonSet without the label of its Module', without(loader(), MODULE_NAME_LABEL), 'carry its labels'],
    ['a DaemonSet without a role', without(loader(), ROLE_LABEL), 'carry its labels'],
    ['a DaemonSet that belongs to no Module', orphaned(loader()), 'belong to a Module'],
    [
      'a loader whose pods have another role',
      withPodsOfRole(loader(), 'device-plugin'),
      'the role that the DaemonSet has',
    ],
    ['a loader with the network of its host', withTemplate(loader(), { hostNetwork: true }), 'namespace of its host'],
    ['a loader with the pids of its host', withTemplate(loader(), { hostPID: true }), 'namespace of its host'],
    ['a plugin with the IPC of its host', withTemplate(plugin(), { hostIPC: true }), 'namespace of its host'],
    [
      'a loader with a token',
      withTemplate(loader(), { automountServiceAccountToken: true }),
      'no service-account token',
    ],
    [
      'a loader that says nothing of a token',
      withTemplate(loader(), { automountServiceAccountToken: undefined }),
      'token',
    ],
    [
      'a loader with a token in a volume',
      withTemplate(loader(), { volumes: [...loaderVolumes, tokenVolume] }),
      'no service-account token',
    ],
    [
      'a loader without the folder of its host',
      withTemplate(loader(), { volumes: [{ name: 'kmm-lib-modules', hostPath: { path: '/etc' } }] }),
      '/lib/modules',
    ],
    ['a loader on every node', withTemplate(loader(), { nodeSelector: {} }), 'load label'],
    [
      'a loader with a second container',
      withTemplate(loader(), { containers: [...loader().spec.template.spec.containers, { name: 'x', image: 'x' }] }),
      'one container',
    ],
    ['a plugin on every node', withTemplate(plugin(), { nodeSelector: {} }), 'ready label'],
    [
      'a plugin that is not privileged, and so would pass in a guarded namespace',
      withTemplate(plugin(), { containers: [{ name: 'device-plugin', image: 'x' }] }),
      'is privileged',
    ],
    ['a build pod without labels', without(build(), ROLE_LABEL), 'build an image'],
    ['a build pod that belongs to no Module', orphaned(build()), 'build an image'],
    [
      'a build pod with the network of its host',
      withSpec(anOwnBuildPod(DRIVERS, { kind: 'capabilities' }), { hostNetwork: true }),
      'namespace of its host',
    ],
    ['a build pod with a token', withSpec(build(), { automountServiceAccountToken: true }), 'no token'],
    ['a build pod with a ServiceAccount', withSpec(build(), { serviceAccountName: 'admin' }), 'ServiceAccount'],
    [
      'a build pod with a token in a volume',
      withSpec(build(), { volumes: [...volumes, tokenVolume] }),
      'mounts nothing but',
    ],
    [
      'a build pod with a folder of its host',
      withSpec(build(), { volumes: [...volumes, { name: 'h', hostPath: { path: '/' } }] }),
      'mounts nothing but',
    ],
    [
      'a privileged build pod',
      withSpec(build(), { initContainers: [], containers: [{ ...container, securityContext: { privileged: true } }] }),
      'not privileged',
    ],
    [
      "a build pod with a user namespace's capabilities in the host's",
      withSpec(build(), { hostUsers: true }),
      'no capability',
    ],
  ])('make %s', async (_what, object, sentence) => {
    const { status, message } = await send(post(DRIVERS, object));
    expect([status, message]).toEqual([403, expect.stringContaining('ValidatingAdmissionPolicy')]);
    expect(message).toContain(sentence);
  });

  test('turn a DaemonSet of others into one of the operator', async () => {
    const { labels: _labels, ...metadata } = loader().metadata;
    const theirs = { ...loader(), metadata: { ...metadata, name: 'theirs', ownerReferences: [] } };
    const { metadata: stored } = await cluster.admin.create(DAEMONSETS, theirs);
    const path = `/apis/apps/v1/namespaces/${DRIVERS}/daemonsets/theirs`;
    const body = { ...loader(), metadata: { ...loader().metadata, name: 'theirs', uid: stored.uid } };
    expect(await thief.send('PUT', path, body)).toMatchObject({ status: 403 });
    expect(await thief.send('DELETE', path)).toMatchObject({ status: 403 });
  });

  test('use a right that somebody gave the operator beyond what it needs', async () => {
    await controlPlane.kubectl([
      'create',
      'clusterrolebinding',
      'too-much',
      '--clusterrole=cluster-admin',
      '--serviceaccount=kmm-system:kmm',
    ]);
    const attempt = () => thief.send('POST', `${OF_DRIVERS}/configmaps?dryRun=All`, { metadata: { name: 'mine' } });
    await eventually(async () => expect((await attempt()).message).toContain('nothing that the operator does'), {
      what: 'the right to be there',
    });
    expect(await thief.send('DELETE', `${NODE_PATH}?dryRun=All`)).toMatchObject({ status: 403 });
    await controlPlane.kubectl(['delete', 'clusterrolebinding', 'too-much']);
  });
});

describe('the admission policy lets the operator', () => {
  test.each<Attempt>([
    [
      'label a node with a load label',
      'PATCH',
      `${NODE_PATH}?dryRun=All`,
      { metadata: { labels: { [loadLabel(NODE_NAME)]: 'k' } } },
    ],
    [
      'put its finalizer on',
      'PATCH',
      `${MODULE}?dryRun=All`,
      { metadata: { finalizers: ['example.com/other', FINALIZER] } },
    ],
    ['write status', 'PATCH', `${MODULE}/status?dryRun=All`, { status: { observedGeneration: 1 } }],
  ])('%s', async (...attempt) => {
    expect(await send(attempt)).toEqual({ status: 200, message: '' });
  });

  test.each<[string, () => DaemonSet | Pod]>([
    ['make a loader', () => anOwnLoader(DRIVERS)],
    [
      'make a loader that its Module wants privileged',
      () => anOwnLoader(DRIVERS, aModule('m').withLoader({ securityContext: { privileged: true } })),
    ],
    ['make a device plugin', () => anOwnPlugin(DRIVERS)],
    [
      'make a device plugin with the ServiceAccount that its Module names',
      () => anOwnPlugin(DRIVERS, aModule('m').withDevicePlugin({ image: 'p:1', serviceAccountName: 'plugin' })),
    ],
    ['make a build pod in a user namespace', () => anOwnBuildPod(DRIVERS)],
    ['make a build pod with three capabilities', () => anOwnBuildPod(DRIVERS, { kind: 'capabilities' })],
  ])('%s', async (_what, object) => {
    expect(await send(post(DRIVERS, object()))).toEqual({ status: 201, message: '' });
  });

  test('nothing at all of this in others: another ServiceAccount is not bound', async () => {
    await cluster.admin.patch(NODES, { name: NODE }, { metadata: { labels: { rack: 'r3' } } });
    expect((await cluster.nodes.get(NODE)).metadata.labels).toMatchObject({ rack: 'r3' });
  });
});

describe('what is left to a thief under the policy', () => {
  test('is refused by Pod Security where a namespace enforces baseline, for loaders and plugins', async () => {
    const guarded = await cluster.freshNamespace('guarded');
    await cluster.admin.patch(
      NAMESPACES,
      { name: guarded },
      { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } } },
    );
    const build = await send(post(guarded, anOwnBuildPod(guarded)));
    expect([build.status, build.message]).toEqual([403, expect.stringContaining('violates PodSecurity')]);
  });

  test('is refused in every namespace that is not labelled for Modules, once the policy of namespaces is installed', async () => {
    await installAdmissionPolicy(controlPlane, 'admission-policy-namespaces');
    await eventually(
      async () => expect((await send(post(DRIVERS, anOwnLoader(DRIVERS)))).message).toContain(MODULES_ALLOWED_LABEL),
      { what: 'the policy to be enforced' },
    );
    expect((await send(post(DRIVERS, anOwnBuildPod(DRIVERS)))).message).toContain(MODULES_ALLOWED_LABEL);
    await cluster.admin.patch(
      NAMESPACES,
      { name: DRIVERS },
      { metadata: { labels: { [MODULES_ALLOWED_LABEL]: 'allowed' } } },
    );
    await eventually(
      async () => expect(await send(post(DRIVERS, anOwnLoader(DRIVERS)))).toMatchObject({ status: 201 }),
      {
        what: 'the label to count',
      },
    );
  });
});
