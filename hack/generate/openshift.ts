import { OPENSHIFT_RULES } from '../../src/controllers/image/openshift-rbac.ts';
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { OPERATOR_NAMESPACE } from './kustomize.ts';
import { LABELS, mergeRules } from './rbac.ts';

/** OpenShift gives each namespace user ids of its own, and its SCC restricted-v2 refuses all others. */
const PATCHES = [
  {
    target: { kind: 'Deployment', name: 'kmm' },
    patch: ['runAsUser', 'runAsGroup']
      .map((field) => `- {op: remove, path: /spec/template/spec/securityContext/${field}}\n`)
      .join(''),
  },
];

/** config/components/openshift. */
export function openshiftComponent(): readonly GeneratedFile[] {
  return rbacComponent('openshift', OPENSHIFT_RULES, PATCHES);
}

/** A kustomize component: more rights of the same ServiceAccount, for clusters that have what they are for. */
function rbacComponent(
  component: string,
  rules: readonly PolicyRule[],
  patches: readonly object[] = [],
): readonly GeneratedFile[] {
  const folder = `config/components/${component}`;
  const name = `kmm-${component}`;
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
        subjects: [{ kind: 'ServiceAccount', name: 'kmm', namespace: OPERATOR_NAMESPACE }],
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
      ...(patches.length === 0 ? {} : { patches }),
    }),
  ];
}
