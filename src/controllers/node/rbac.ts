import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  // Kernels, boots, taints and labels are read; our own labels and annotations are patched.
  { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch', 'patch'], scope: 'cluster' },
];
