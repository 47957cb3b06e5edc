/** What a namespace has to allow for our pods, and what it may forbid them: Pod Security levels and NetworkPolicies. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { DaemonSet, Pod } from '../../../src/kube/core.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { matchesLabels } from '../../../src/kube/selectors.ts';
import { NAMESPACES, useCluster } from '../../harness/cluster.ts';
import { anOwnBuildPod, anOwnLoader, anOwnPlugin, podOf } from '../../harness/own-objects.ts';
import { renderRegistryComponent } from '../../harness/registry-front.ts';
import { objectsIn } from '../../harness/rendered.ts';

const { admin, controlPlane, freshNamespace } = await useCluster();

const CONFIG = fileURLToPath(new URL('../../../config/default', import.meta.url));
/** What the registry's component makes of the operator's installation. */
const installed = objectsIn(await renderRegistryComponent(controlPlane));

const LEVELS = ['restricted', 'baseline', 'privileged'] as const;
type Level = (typeof LEVELS)[number];

const namespaces = new Map<Level, string>();
beforeAll(async () => {
  for (const level of LEVELS) {
    const name = await freshNamespace(level);
    await admin.patch(NAMESPACES, { name }, { metadata: { labels: { 'pod-security.kubernetes.io/enforce': level } } });
    namespaces.set(level, name);
  }
});

/** As config/default runs the operator. */
const operatorPod = (namespace: string): Pod => ({
  metadata: { name: 'operator', namespace },
  spec: {
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'manager',
        image: 'kmm-operator:latest',
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ],
  },
});

/** As config/default runs it with the component. */
function registryPod(kind: 'Deployment' | 'DaemonSet'): (namespace: string) => Pod {
  return (namespace) => {
    // The pods of a Deployment have a template of the same form.
    const isOne = (object: KubeObject): object is DaemonSet =>
      object.kind === kind && object.metadata.name?.startsWith('kmm-registry') === true;
    const found = installed.find(isOne);
    if (found === undefined) throw new Error(`the component has no ${kind}`);
    const pod = podOf({ ...found, metadata: { ...found.metadata, namespace } });
    // The account of its own is not there, and no level asks for it.
    return { ...pod, spec: { ...pod.spec, containers: pod.spec?.containers ?? [], serviceAccountName: 'default' } };
  };
}

/** The least level that takes the pod, and what the next one says of it. */
const PODS_OF_OURS: readonly { what: string; pod: (namespace: string) => Pod; least: Level; refusal: string }[] = [
  { what: 'the operator', pod: operatorPod, least: 'restricted', refusal: '' },
  { what: 'the registry', pod: registryPod('Deployment'), least: 'restricted', refusal: '' },
  {
    what: 'what brings the registry to a node',
    pod: registryPod('DaemonSet'),
    least: 'privileged',
    refusal: 'host namespaces (hostNetwork=true)',
  },
  {
    what: 'a loader',
    pod: (namespace) => podOf(anOwnLoader(namespace)),
    least: 'privileged',
    refusal: 'must not include "SYS_MODULE" in securityContext.capabilities.add), hostPath volumes',
  },
  {
    what: 'a device plugin',
    pod: (namespace) => podOf(anOwnPlugin(namespace)),
    least: 'privileged',
    refusal: 'must not set securityContext.privileged=true',
  },
  {
    what: 'a build in a user namespace of its own',
    pod: anOwnBuildPod,
    least: 'privileged',
    refusal: 'must not include "SYS_ADMIN" in securityContext.capabilities.add',
  },
  {
    what: 'a build with three capabilities and no seccomp filter',
    pod: (namespace) => anOwnBuildPod(namespace, { kind: 'capabilities' }),
    least: 'privileged',
    refusal: 'securityContext.seccompProfile.type to "Unconfined"',
  },
  {
    what: 'a build with three capabilities and a seccomp profile of the node',
    pod: (namespace) => anOwnBuildPod(namespace, { kind: 'capabilities', localhostSeccompProfile: 'kmm/build.json' }),
    least: 'baseline',
    refusal: 'runAsUser=0',
  },
];

describe('Pod Security', () => {
  test('of the operator’s namespace is what its pods need, with the registry and without it', async () => {
    const levelOf = (objects: readonly KubeObject[]) =>
      objects.find(({ kind }) => kind === 'Namespace')?.metadata.labels?.['pod-security.kubernetes.io/enforce'];
    expect(levelOf(objectsIn(await controlPlane.kubectl(['kustomize', CONFIG])))).toBe('restricted');
    expect(levelOf(installed)).toBe('privileged');
  });

  test.each(PODS_OF_OURS)('$what needs the level $least and no higher one', async ({ pod, least, refusal }) => {
    const answers = new Map<Level, string>();
    for (const level of LEVELS) answers.set(level, await refusalOf(level, pod));
    const accepting = LEVELS.filter((level) => answers.get(level) === '');
    expect(accepting).toEqual(LEVELS.slice(LEVELS.indexOf(least)));
    const stricter = LEVELS[LEVELS.indexOf(least) - 1];
    if (stricter !== undefined) expect(answers.get(stricter)).toContain(refusal);
  });
});

/** What the API server says against the pod; empty when it would take it. Nothing is stored. */
async function refusalOf(level: Level, pod: (namespace: string) => Pod): Promise<string> {
  const namespace = namespaces.get(level) ?? '';
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod(namespace) });
  const { code, stderr } = await controlPlane.tryKubectl(['create', '--dry-run=server', '-n', namespace, '-f', '-'], {
    input,
  });
  if (code !== 0 && !stderr.includes('violates PodSecurity')) throw new Error(stderr);
  return code === 0 ? '' : stderr;
}

interface NetworkPolicy extends KubeObject {
  readonly spec: {
    readonly podSelector: {
      readonly matchLabels?: Readonly<Record<string, string>>;
      readonly matchExpressions?: unknown;
    };
    readonly policyTypes: readonly string[];
    readonly ingress?: readonly unknown[];
    readonly egress?: readonly unknown[];
  };
}

const POLICIES = fileURLToPath(new URL('../../../config/network-policies/module-namespace.yaml', import.meta.url));

describe('the example of NetworkPolicies', () => {
  test('is taken by the API server whole, and concerns loaders and builds and nobody else', async () => {
    const namespace = await freshNamespace('drivers');
    const { stderr } = await controlPlane.tryKubectl(['apply', '-n', namespace, '-f', POLICIES]);
    expect(stderr).toBe('');
    const policies: NetworkPolicy[] = parseAllDocuments(await readFile(POLICIES, 'utf8')).map((document) =>
      document.toJS(),
    );
    const of = (pod: Pod) =>
      policies.filter(({ spec }) => matchesLabels(spec.podSelector.matchLabels ?? {}, pod.metadata.labels ?? {}));
    const [loaders] = of(podOf(anOwnLoader(namespace)));
    expect(loaders?.spec).toMatchObject({ policyTypes: ['Ingress', 'Egress'] });
    expect([loaders?.spec.ingress, loaders?.spec.egress]).toEqual([undefined, undefined]);
    const [builds] = of(anOwnBuildPod(namespace));
    expect([builds?.spec.ingress, builds?.spec.egress?.length]).toEqual([undefined, 2]);
    // Those of OpenShift's Builds, which carry the labels of ours.
    const ofOpenShift = { key: 'openshift.io/build.name', operator: 'DoesNotExist' };
    expect(builds?.spec.podSelector.matchExpressions).toEqual([ofOpenShift]);
    expect(of(podOf(anOwnPlugin(namespace)))).toEqual([]);
    expect(of({ metadata: { labels: { app: 'web' } } })).toEqual([]);
  });
});
