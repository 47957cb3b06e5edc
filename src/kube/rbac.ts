/**
 * One right a part of the program needs, declared beside the code that uses it; the installed roles are generated from
 * these. `scope` says how far it reaches: `cluster` (the default), only the namespace the operator runs in, or one of a
 * known name.
 * Source of the fields: k8s.io/api/rbac/v1/types.go, PolicyRule.
 */
export interface PolicyRule {
  /** The core group is the empty string. */
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Narrows the rule to objects of these names. Does not work for create; for list and watch only with metadata.name as field selector. */
  readonly resourceNames?: readonly string[];
  readonly scope?: 'cluster' | 'operator-namespace' | { readonly namespace: string };
  /** What needs it, as a sentence without its subject: it stands in docs/reference/privileges.md beside each verb. */
  readonly why: string;
  /** Granted only where this component of config/components is installed. */
  readonly component?: string;
}
