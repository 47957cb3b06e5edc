import type { PolicyRule } from '../kube/rbac.ts';

/** What the controller runtime itself does on the API server. */
export const RULES: readonly PolicyRule[] = [
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'create', 'update'],
    scope: 'operator-namespace',
    why: 'Reads, takes, renews and gives up the one Lease by which of several replicas one is active.',
  },
  {
    apiGroups: [''],
    resources: ['events'],
    verbs: ['create', 'patch'],
    why: 'Tells what happened on the Module, and counts what happens again. An Event stands in the namespace of its object.',
  },
  {
    apiGroups: ['authentication.k8s.io'],
    resources: ['tokenreviews'],
    verbs: ['create'],
    why: 'Asks whose token it is that came with a request for metrics.',
    component: 'metrics-auth',
  },
  {
    apiGroups: ['authorization.k8s.io'],
    resources: ['subjectaccessreviews'],
    verbs: ['create'],
    why: 'Asks whether its owner may read metrics.',
    component: 'metrics-auth',
  },
];
