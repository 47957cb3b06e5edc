/**
 * One right a part of the program needs, declared beside the code that uses it; the installed roles are generated from
 * these. `scope` says how far it reaches: `cluster` (the default) or only the namespace the operator runs in.
 * Source of the fields: k8s.io/api/rbac/v1/types.go, PolicyRule.
 */
export interface PolicyRule {
  /** The core group is the empty string. */
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Narrows the rule to objects of these names. Does not work for create, list and watch. */
  readonly resourceNames?: readonly string[];
  readonly scope?: 'cluster' | 'operator-namespace';
}
