import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, yamlFile } from './files.ts';

const NAME = 'kmm';
const OPERATOR_NAMESPACE = 'kmm-system';
const LABELS = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': NAME };

/** A rule as it stands in a Role. */
export interface RoleRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * Merges what the parts of the program declare: one rule for each set of verbs in an API group, sorted, so that the order in which
 * the parts are found changes nothing. A right that is narrowed to names stays a rule of its own.
 */
export function mergeRules(rules: readonly PolicyRule[]): readonly RoleRule[] {
  const verbsOf = new Map<string, { group: string; resource: string; names: readonly string[]; verbs: Set<string> }>();
  for (const { apiGroups, resources, verbs, resourceNames = [] } of rules) {
    const names = [...resourceNames].sort();
    for (const group of apiGroups) {
      for (const resource of resources) {
        const key = JSON.stringify([group, resource, names]);
        const entry = verbsOf.get(key) ?? { group, resource, names, verbs: new Set<string>() };
        for (const verb of verbs) entry.verbs.add(verb);
        verbsOf.set(key, entry);
      }
    }
  }
  const merged = new Map<string, { group: string; resources: string[]; names: readonly string[]; verbs: string[] }>();
  for (const { group, resource, names, verbs } of verbsOf.values()) {
    const sorted = [...verbs].sort();
    const key = JSON.stringify([group, names, sorted]);
    const entry = merged.get(key) ?? { group, resources: [], names, verbs: sorted };
    entry.resources.push(resource);
    merged.set(key, entry);
  }
  return [...merged.values()]
    .map(({ group, resources, names, verbs }) => ({
      apiGroups: [group],
      resources: resources.sort(),
      ...(names.length === 0 ? {} : { resourceNames: names }),
      verbs,
    }))
    .sort((a, b) => compare(sortKey(a), sortKey(b)));
}

function sortKey({ apiGroups, resources, resourceNames = [] }: RoleRule): string {
  return [apiGroups.join(), resources.join(), resourceNames.join()].join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The operator's ServiceAccount and exactly the rights its parts declare. */
export function rbacFiles(rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  const cluster = mergeRules(rules.filter(({ scope = 'cluster' }) => scope === 'cluster'));
  const namespace = mergeRules(rules.filter(({ scope }) => scope === 'operator-namespace'));
  const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: OPERATOR_NAMESPACE }];
  const roleRef = (kind: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name: NAME });
  const rbac = (kind: string, namespaced: boolean) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    metadata: { name: NAME, ...(namespaced ? { namespace: OPERATOR_NAMESPACE } : {}), labels: LABELS },
  });
  const resources: readonly (readonly [string, object])[] = [
    ['namespace.yaml', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: OPERATOR_NAMESPACE, labels: LABELS } }],
    [
      'service_account.yaml',
      {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: NAME, namespace: OPERATOR_NAMESPACE, labels: LABELS },
      },
    ],
    ['cluster_role.yaml', { ...rbac('ClusterRole', false), rules: cluster }],
    ['cluster_role_binding.yaml', { ...rbac('ClusterRoleBinding', false), roleRef: roleRef('ClusterRole'), subjects }],
    ['role.yaml', { ...rbac('Role', true), rules: namespace }],
    ['role_binding.yaml', { ...rbac('RoleBinding', true), roleRef: roleRef('Role'), subjects }],
  ];
  return [
    ...resources.map(([file, object]) => yamlFile(`config/rbac/${file}`, object)),
    kustomization(
      'config/rbac',
      resources.map(([file]) => file),
    ),
  ];
}

/** A kustomize component: more rights of the same ServiceAccount, for clusters that have what they are for. */
export function rbacComponent(component: string, rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  const folder = `config/components/${component}`;
  const name = `${NAME}-${component}`;
  const roles = (kind: 'ClusterRole' | 'Role', found: readonly PolicyRule[], namespace?: string): readonly object[] => {
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }), labels: LABELS };
    const apiVersion = 'rbac.authorization.k8s.io/v1';
    return [
      { apiVersion, kind, metadata, rules: mergeRules(found) },
      {
        apiVersion,
        kind: `${kind}Binding`,
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
        subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: OPERATOR_NAMESPACE }],
      },
    ];
  };
  const namespaces = new Set(rules.flatMap(({ scope }) => (typeof scope === 'object' ? scope.namespace : [])));
  const objects = [
    ...roles(
      'ClusterRole',
      rules.filter(({ scope = 'cluster' }) => scope === 'cluster'),
    ),
    ...[...namespaces].flatMap((namespace) =>
      roles(
        'Role',
        rules.filter(({ scope }) => typeof scope === 'object' && scope.namespace === namespace),
        namespace,
      ),
    ),
  ];
  return [
    yamlFile(`${folder}/rbac.yaml`, ...objects),
    yamlFile(`${folder}/kustomization.yaml`, {
      apiVersion: 'kustomize.config.k8s.io/v1alpha1',
      kind: 'Component',
      resources: ['rbac.yaml'],
    }),
  ];
}

export function kustomization(folder: string, resources: readonly string[]): GeneratedFile {
  return yamlFile(`${folder}/kustomization.yaml`, {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources,
  });
}
