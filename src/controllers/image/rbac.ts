import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  // create: a pod that builds an image. Watching and deleting them is the Module controller's right too.
  { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'create', 'delete'], scope: 'cluster' },
  // Metadata alone is asked for: an edited Dockerfile is another build. No Secret is ever read.
  { apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'watch'], scope: 'cluster' },
];
