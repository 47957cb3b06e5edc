import type { PolicyRule } from '../../kube/rbac.ts';

/** Beside the rights of every cluster, where images are built by OpenShift. */
export const OPENSHIFT_RULES: readonly PolicyRule[] = [
  {
    apiGroups: ['build.openshift.io'],
    resources: ['buildconfigs'],
    verbs: ['list', 'watch', 'create', 'delete'],
    scope: 'cluster',
  },
  // OpenShift makes them of BuildConfigs, and they go with those.
  { apiGroups: ['build.openshift.io'], resources: ['builds'], verbs: ['list', 'watch'], scope: 'cluster' },
  // Which image has the kernel headers of which version of RHEL CoreOS.
  {
    apiGroups: ['image.openshift.io'],
    resources: ['imagestreams'],
    resourceNames: ['driver-toolkit'],
    verbs: ['list', 'watch'],
    scope: { namespace: 'openshift' },
  },
];
