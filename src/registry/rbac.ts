import { AUTHORITY_CONFIG_MAP } from '../kernel/cluster-registry.ts';
import type { PolicyRule } from '../kube/rbac.ts';

/** What the front itself does on the API server, under its own ServiceAccount. */
export const RULES: readonly PolicyRule[] = [
  // token-reviews.ts
  {
    apiGroups: ['authentication.k8s.io'],
    resources: ['tokenreviews'],
    verbs: ['create'],
    scope: 'cluster',
    why: 'Asks whose token a password is.',
  },
  // publication.ts
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [AUTHORITY_CONFIG_MAP],
    verbs: ['get', 'update'],
    scope: 'operator-namespace',
    why: 'Publishes the certificate of its authority, which build pods trust.',
  },
];
