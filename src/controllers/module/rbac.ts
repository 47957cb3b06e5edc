import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  // patch: our finalizer, and nothing else.
  { apiGroups: ['kmm.sigs.x-k8s.io'], resources: ['modules'], verbs: ['list', 'watch', 'patch'], scope: 'cluster' },
  { apiGroups: ['kmm.sigs.x-k8s.io'], resources: ['modules/status'], verbs: ['patch'], scope: 'cluster' },
  // An owner reference with blockOwnerDeletion needs it where OwnerReferencesPermissionEnforcement is on (OpenShift).
  { apiGroups: ['kmm.sigs.x-k8s.io'], resources: ['modules/finalizers'], verbs: ['update'], scope: 'cluster' },
  // get: the live look before a DaemonSet is removed, and at an object that has our name.
  {
    apiGroups: ['apps'],
    resources: ['daemonsets'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'delete'],
    scope: 'cluster',
  },
  // delete: a rollout replaces loader pods one node at a time.
  { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch', 'delete'], scope: 'cluster' },
  // list, watch: why the API server refused the pods of a DaemonSet stands nowhere else.
  { apiGroups: [''], resources: ['events'], verbs: ['list', 'watch'], scope: 'cluster' },
];
