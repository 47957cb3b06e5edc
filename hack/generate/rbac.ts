import type { PolicyRule } from '../../src/kube/rbac.ts';

export const NAME = 'kmm';
export const OPERATOR_NAMESPACE = 'kmm-system';
export const LABELS = { 'app.kubernetes.io/name': NAME, 'app.kubernetes.io/part-of': NAME };

/** A rule as it stands in a Role. */
export interface RoleRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/**
 * Merges what the parts of the program declare: one rule for each set of verbs in an API group, sorted, so that the order in which
 * the parts are found changes nothing. A right that is narrowed to names stays a rule of its own.
 */
export function mergeRules(rules: readonly Omit<PolicyRule, 'why'>[]): readonly RoleRule[] {
  const verbsOf = new Map<string, { group: string; resource: string; names: readonly string[]; verbs: Set<string> }>();
  for (const { apiGroups, resources, verbs, resourceNames = [] } of rules) {
    const names = [...resourceNames].sort();
    for (const group of apiGroups) {
      for (const resource of resources) {
        const key = JSON.stringify([group, resource, names]);
        const entry = verbsOf.get(key) ?? { group, resource, names, verbs: new Set<string>() };
        for (const verb of verbs) entry.verbs.add(verb);
        verbsOf.set(key, entry);
      }
    }
  }
  const merged = new Map<string, { group: string; resources: string[]; names: readonly string[]; verbs: string[] }>();
  for (const { group, resource, names, verbs } of verbsOf.values()) {
    const sorted = [...verbs].sort();
    const key = JSON.stringify([group, names, sorted]);
    const entry = merged.get(key) ?? { group, resources: [], names, verbs: sorted };
    entry.resources.push(resource);
    merged.set(key, entry);
  }
  return [...merged.values()]
    .map(({ group, resources, names, verbs }) => ({
      apiGroups: [group],
      resources: resources.sort(),
      ...(names.length === 0 ? {} : { resourceNames: names }),
      verbs,
    }))
    .sort((a, b) => compare(sortKey(a), sortKey(b)));
}

function sortKey({ apiGroups, resources, resourceNames = [] }: RoleRule): string {
  return [apiGroups.join(), resources.join(), resourceNames.join()].join('\n');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Kinds that belong to no namespace: no Role can give a right on them. */
const CLUSTER_SCOPED: ReadonlySet<string> = new Set(['nodes', 'tokenreviews', 'subjectaccessreviews', 'namespaces']);

/** The operator's rights by how they are given. */
export interface OperatorRules {
  /** On what belongs to no namespace: a ClusterRole, always. */
  readonly cluster: readonly RoleRule[];
  /** In every namespace whose Modules are worked on: Roles where these are known, else the same ClusterRole. */
  readonly namespaces: readonly RoleRule[];
  /** In the namespace the operator runs in. */
  readonly ownNamespace: readonly RoleRule[];
}

/** Exactly the rights that the parts of the program declare, but for those of optional components. */
export function operatorRules(rules: readonly PolicyRule[]): OperatorRules {
  const always = rules.filter(({ component }) => component === undefined);
  const own = always.filter(({ scope }) => scope === 'operator-namespace');
  const others = always.filter(({ scope }) => scope !== 'operator-namespace');
  const narrowed = (isWanted: (resource: string) => boolean): readonly PolicyRule[] =>
    others.flatMap((rule) => {
      const resources = rule.resources.filter(isWanted);
      return resources.length === 0 ? [] : [{ ...rule, resources }];
    });
  return {
    cluster: mergeRules(narrowed((resource) => CLUSTER_SCOPED.has(resource))),
    namespaces: mergeRules(narrowed((resource) => !CLUSTER_SCOPED.has(resource))),
    ownNamespace: mergeRules(own),
  };
}

interface Grant {
  readonly kind: 'ClusterRole' | 'Role';
  readonly name: string;
  /** Of a Role. */
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** In the operator's namespace. */
  readonly serviceAccount: string;
  readonly rules: readonly PolicyRule[];
}

/** A role with these rights, and what gives it to a ServiceAccount. */
export function grant({ kind, name, namespace, labels, serviceAccount, rules }: Grant): readonly [object, object] {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), labels };
  return [
    { apiVersion, kind, metadata, rules: mergeRules(rules) },
    {
      apiVersion,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
      subjects: [{ kind: 'ServiceAccount', name: serviceAccount, namespace: OPERATOR_NAMESPACE }],
    },
  ];
}
