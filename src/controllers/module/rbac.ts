import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  {
    apiGroups: ['kmm.sigs.x-k8s.io'],
    resources: ['modules'],
    verbs: ['list', 'watch'],
    why: 'Reads what is to be loaded.',
  },
  {
    apiGroups: ['kmm.sigs.x-k8s.io'],
    resources: ['modules'],
    verbs: ['patch'],
    why: 'Puts its finalizer on and takes it off, and changes nothing else: a Module is unloaded before it goes.',
  },
  {
    apiGroups: ['kmm.sigs.x-k8s.io'],
    resources: ['modules/status'],
    verbs: ['patch'],
    why: 'Writes conditions, counts and the list of kernels.',
  },
  {
    apiGroups: ['kmm.sigs.x-k8s.io'],
    resources: ['modules/finalizers'],
    verbs: ['update'],
    why: 'Owns its objects with blockOwnerDeletion, which the admission plugin OwnerReferencesPermissionEnforcement (OpenShift) allows only with this right.',
  },
  {
    apiGroups: ['apps'],
    resources: ['daemonsets'],
    verbs: ['get'],
    why: 'Looks at one as it is now, before it is removed, or when somebody else has one of its name.',
  },
  {
    apiGroups: ['apps'],
    resources: ['daemonsets'],
    verbs: ['list', 'watch'],
    why: 'Sees its loaders and device plugins. Only those that carry its labels are asked for.',
  },
  {
    apiGroups: ['apps'],
    resources: ['daemonsets'],
    verbs: ['create', 'update', 'delete'],
    why: 'Makes a loader for each kernel and the device plugin, brings them up to date, and removes them.',
  },
  {
    apiGroups: [''],
    resources: ['pods'],
    verbs: ['delete'],
    why: 'Replaces loaders one node at a time, and removes the pods of builds that have ended.',
  },
  {
    apiGroups: [''],
    resources: ['events'],
    verbs: ['list', 'watch'],
    why: 'Reads why the API server refused the pods of a DaemonSet, which stands nowhere else. Only those of DaemonSets are asked for.',
  },
];
