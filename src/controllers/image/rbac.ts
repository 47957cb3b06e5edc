import { AUTHORITY_CONFIG_MAP } from '../../kernel/cluster-registry.ts';
import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  {
    apiGroups: [''],
    resources: ['pods'],
    verbs: ['list', 'watch'],
    why: 'Sees how far loaders, device plugins and builds are. Only pods that carry its labels are asked for.',
  },
  { apiGroups: [''], resources: ['pods'], verbs: ['create'], why: 'Makes the pod that builds or signs an image.' },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: ['list', 'watch'],
    why: 'Notices an edited Dockerfile: another build. Only metadata is asked for, one ConfigMap by name; its content is mounted by the kubelet.',
  },
  // registry-authority.ts
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [AUTHORITY_CONFIG_MAP],
    verbs: ['list', 'watch'],
    scope: 'operator-namespace',
    why: "Learns the certificate authority of the cluster's own registry, and gives it to builds.",
  },
];
