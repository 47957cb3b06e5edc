import type { PolicyRule } from '../../kube/rbac.ts';

/** Beside the rights of every cluster, where images are built by OpenShift. */
export const OPENSHIFT_RULES: readonly PolicyRule[] = [
  {
    apiGroups: ['build.openshift.io'],
    resources: ['buildconfigs'],
    verbs: ['list', 'watch', 'create', 'delete'],
    component: 'openshift',
    why: 'Makes one for each image that OpenShift is to build, and deletes it when its image is there or no longer wanted.',
  },
  {
    apiGroups: ['build.openshift.io'],
    resources: ['builds'],
    verbs: ['list', 'watch'],
    component: 'openshift',
    why: 'Sees how far OpenShift is with each. OpenShift makes them of BuildConfigs, and they go with those.',
  },
  {
    apiGroups: ['image.openshift.io'],
    resources: ['imagestreams'],
    resourceNames: ['driver-toolkit'],
    verbs: ['list', 'watch'],
    scope: { namespace: 'openshift' },
    component: 'openshift',
    why: 'Knows which image has the kernel headers of which version of RHEL CoreOS (DTK_AUTO).',
  },
];
