import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { grant, OPERATOR_NAMESPACE } from './rbac.ts';

const NAME = 'kmm-registry';
const FOLDER = 'config/components/registry';
const LABELS = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': 'kmm' };

/** The ServiceAccount of the registry's front and exactly the rights that its code declares. */
export function registryRbacFiles(rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  const granted = { name: NAME, labels: LABELS, serviceAccount: NAME };
  const [clusterRole, clusterRoleBinding] = grant({
    ...granted,
    kind: 'ClusterRole',
    rules: rules.filter(({ scope }) => scope !== 'operator-namespace'),
  });
  const [role, roleBinding] = grant({
    ...granted,
    kind: 'Role',
    namespace: OPERATOR_NAMESPACE,
    rules: rules.filter(({ scope }) => scope === 'operator-namespace'),
  });
  return [
    yamlFile(`${FOLDER}/service_account.yaml`, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: NAME, namespace: OPERATOR_NAMESPACE, labels: LABELS },
    }),
    yamlFile(`${FOLDER}/cluster_role.yaml`, clusterRole),
    yamlFile(`${FOLDER}/cluster_role_binding.yaml`, clusterRoleBinding),
    yamlFile(`${FOLDER}/role.yaml`, role),
    yamlFile(`${FOLDER}/role_binding.yaml`, roleBinding),
  ];
}
