import type { PolicyRule } from '../kube/rbac.ts';

/** What the controller runtime itself does on the API server. */
export const RULES: readonly PolicyRule[] = [
  // leader-election.ts: reads, takes, renews and gives up one Lease beside the operator.
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'create', 'update'],
    scope: 'operator-namespace',
  },
  // event-recorder.ts: an Event stands in the namespace of the object that it is about.
  { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'], scope: 'cluster' },
];
