import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { mergeRules } from './rbac.ts';

const NAME = 'kmm-registry';
const NAMESPACE = 'kmm-system';
const FOLDER = 'config/components/registry';
const LABELS = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': 'kmm' };

/** The ServiceAccount of the registry's front and exactly the rights that its code declares. */
export function registryRbacFiles(rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }];
  const roleRef = (kind: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name: NAME });
  const rbac = (kind: string, namespaced: boolean) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    metadata: { name: NAME, ...(namespaced ? { namespace: NAMESPACE } : {}), labels: LABELS },
  });
  const cluster = mergeRules(rules.filter(({ scope }) => scope !== 'operator-namespace'));
  const namespace = mergeRules(rules.filter(({ scope }) => scope === 'operator-namespace'));
  return [
    yamlFile(`${FOLDER}/service_account.yaml`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: NAME, namespace: NAMESPACE, labels: LABELS },
    }),
    yamlFile(`${FOLDER}/cluster_role.yaml`, { ...rbac('ClusterRole', false), rules: cluster }),
    yamlFile(`${FOLDER}/cluster_role_binding.yaml`, {
      ...rbac('ClusterRoleBinding', false),
      roleRef: roleRef('ClusterRole'),
      subjects,
    }),
    yamlFile(`${FOLDER}/role.yaml`, { ...rbac('Role', true), rules: namespace }),
    yamlFile(`${FOLDER}/role_binding.yaml`, { ...rbac('RoleBinding', true), roleRef: roleRef('Role'), subjects }),
  ];
}
