/** config/components/<name>: what is optional, and the rights that come with it. */
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { grant, LABELS, NAME } from './rbac.ts';

/** Whoever scrapes with a token is bound to this one. */
const METRICS_READER = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: `${NAME}-metrics-reader`, labels: LABELS },
  rules: [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }],
};

/** OpenShift gives each namespace user ids of its own, and its SCC restricted-v2 refuses all others. */
const NAMESPACE_USER_IDS = {
  target: { kind: 'Deployment', name: NAME },
  patch: ['runAsUser', 'runAsGroup']
    .map((field) => `- {op: remove, path: /spec/template/spec/securityContext/${field}}\n`)
    .join(''),
};

/** What components have beside their rights. */
const MORE: Readonly<Record<string, { readonly objects?: readonly object[]; readonly patches?: readonly object[] }>> = {
  'metrics-auth': { objects: [METRICS_READER] },
  openshift: { patches: [NAMESPACE_USER_IDS] },
};

/** The components that come with rights of the operator's ServiceAccount: more of them, never fewer. */
export function componentFiles(rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  const components = [...new Set(rules.flatMap(({ component }) => component ?? []))].sort();
  return components.flatMap((component) => {
    const { objects = [], patches = [] } = MORE[component] ?? {};
    const roles = rolesOf(
      `${NAME}-${component}`,
      rules.filter((rule) => rule.component === component),
    );
    const folder = `config/components/${component}`;
    return [yamlFile(`${folder}/rbac.yaml`, ...roles, ...objects), componentFile(folder, ['rbac.yaml'], patches)];
  });
}

function rolesOf(name: string, rules: readonly PolicyRule[]): readonly object[] {
  const namespaces = [...new Set(rules.flatMap(({ scope }) => (typeof scope === 'object' ? scope.namespace : [])))];
  const cluster = rules.filter(({ scope = 'cluster' }) => scope === 'cluster');
  return [
    ...role('ClusterRole', { name }, cluster),
    ...namespaces.flatMap((namespace) =>
      role(
        'Role',
        { name, namespace },
        rules.filter(({ scope }) => typeof scope === 'object' && scope.namespace === namespace),
      ),
    ),
  ];
}

/** A role and its binding to the operator; nothing where it would grant nothing. */
function role(
  kind: 'ClusterRole' | 'Role',
  named: { readonly name: string; readonly namespace?: string },
  rules: readonly PolicyRule[],
): readonly object[] {
  return rules.length === 0 ? [] : grant({ kind, ...named, labels: LABELS, serviceAccount: NAME, rules });
}

/** A kustomization that others take in under `components`. */
export function componentFile(
  folder: string,
  resources: readonly string[],
  patches: readonly object[] = [],
): GeneratedFile {
  return yamlFile(`${folder}/kustomization.yaml`, {
    apiVersion: 'kustomize.config.k8s.io/v1alpha1',
    kind: 'Component',
    resources,
    ...(patches.length === 0 ? {} : { patches }),
  });
}
