import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { mergeRules, operatorRules, type RoleRule } from './rbac.ts';

const rule = fc.record({
  apiGroups: fc.uniqueArray(fc.constantFrom('', 'apps', 'batch'), { minLength: 1 }),
  resources: fc.uniqueArray(fc.constantFrom('pods', 'nodes', 'leases'), { minLength: 1 }),
  verbs: fc.uniqueArray(fc.constantFrom('get', 'list', 'watch', 'patch'), { minLength: 1 }),
  resourceNames: fc.uniqueArray(fc.constantFrom('a', 'b')),
});

/** Every single right that rules give. */
function rights(rules: readonly Omit<PolicyRule, 'why'>[]): string[] {
  const all = rules.flatMap(({ apiGroups, resources, verbs, resourceNames = [] }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => [group, resource, verb, [...resourceNames].sort().join()].join('/')),
      ),
    ),
  );
  return [...new Set(all)].sort();
}

describe('merged rules', () => {
  it('give exactly the rights that were declared, neither more nor fewer', () => {
    fc.assert(
      fc.property(fc.array(rule), (rules) => {
        expect(rights(mergeRules(rules))).toEqual(rights(rules));
      }),
    );
  });

  it('do not depend on the order of the declarations', () => {
    fc.assert(
      fc.property(fc.array(rule), (rules) => {
        expect(mergeRules(rules.toReversed())).toEqual(mergeRules(rules));
      }),
    );
  });

  it('grant each right where it is needed and nowhere else', () => {
    const rights = operatorRules([
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        verbs: ['get'],
        scope: 'operator-namespace',
        why: 'Leads.',
      },
      { apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['list'], why: 'Reads.' },
    ]);
    const resourcesOf = (rules: readonly RoleRule[]) => rules.flatMap(({ resources }) => resources);
    expect(resourcesOf(rights.cluster)).toEqual(['nodes']);
    expect(resourcesOf(rights.namespaces)).toEqual(['pods']);
    expect(resourcesOf(rights.ownNamespace)).toEqual(['leases']);
  });
});
