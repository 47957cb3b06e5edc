import { describe, expect, it, test } from 'vitest';
import type { AuditEvent } from '../test/harness/audit.ts';
import { merge, summarize } from '../test/harness/product-requests.ts';
import { type GrantingRole, grantsOf, refusals, unusedGrants } from './privileges.ts';

const OPERATOR = 'system:serviceaccount:kmm-system:kmm';
const FRONT = 'system:serviceaccount:kmm-system:kmm-registry';
const USERS = new Map([
  [OPERATOR, 'kmm'],
  [FRONT, 'kmm-registry'],
]);

function anEvent(fields: Partial<AuditEvent>): AuditEvent {
  return {
    user: OPERATOR,
    userAgent: 'kmm/0.1.0',
    verb: 'list',
    group: '',
    resource: 'nodes',
    subresource: '',
    namespace: '',
    name: '',
    code: 200,
    message: '',
    at: '2026-01-01T00:00:00.000000Z',
    uri: '/api/v1/nodes',
    ...fields,
  };
}

const summaryOf = (...events: Partial<AuditEvent>[]) => summarize(events.map(anEvent), USERS, 'kmm-system');

describe('the requests of a run', () => {
  it('are named once each, with the place they reached', () => {
    const lease = { verb: 'get', group: 'coordination.k8s.io', resource: 'leases', namespace: 'kmm-system', code: 404 };
    const status = { verb: 'patch', group: 'kmm.sigs.x-k8s.io', resource: 'modules', subresource: 'status' };
    expect(summaryOf({}, {}, lease, { ...status, namespace: 'drivers' })).toEqual({
      used: [
        'kmm: get coordination.k8s.io/leases @own',
        'kmm: list /nodes @cluster',
        'kmm: patch kmm.sigs.x-k8s.io/modules/status @cluster',
      ],
      refused: [],
    });
  });

  it('are those of the operator itself: not what a test does with its token, nor what others do', () => {
    expect(summaryOf({ userAgent: 'kubectl/v1.36.3', code: 403 }, { user: 'admin' }).used).toEqual([]);
  });

  it('count as refused when a right is missing or a policy says no', () => {
    const message = 'nodes is forbidden: User "x" cannot list resource "nodes" in API group ""';
    expect(summaryOf({ code: 403, message })).toEqual({
      used: [],
      refused: [{ request: 'kmm: list /nodes @cluster', message }],
    });
  });

  it('count as refused when our own policy cannot be evaluated', () => {
    const message = 'pods "p" is forbidden: ValidatingAdmissionPolicy \'kmm-pods\' ... resulted in error: no such key';
    expect(summaryOf({ verb: 'create', resource: 'pods', code: 422, message }).refused).toHaveLength(1);
  });

  test.each([
    'pods "a" is forbidden: unable to create new content in namespace a because it is being terminated',
    'pods "a" is forbidden: violates PodSecurity "baseline:latest": privileged',
    'pods "a" is forbidden: exceeded quota: q',
  ])('do not count as refused where the world refuses everybody: %s', (message) => {
    expect(summaryOf({ verb: 'create', resource: 'pods', code: 403, message }).refused).toEqual([]);
  });

  it('come together from all control planes', () => {
    const part = { used: ['a', 'b'], refused: [{ request: 'r', message: 'm' }] };
    expect(merge([part, { ...part, used: ['b', 'c'] }])).toEqual({ ...part, used: ['a', 'b', 'c'] });
  });
});

const ROLES: readonly GrantingRole[] = [
  { kind: 'ClusterRole', rules: [{ apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['list', 'watch'] }] },
  {
    kind: 'Role',
    metadata: { namespace: 'kmm-system' },
    rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get'] }],
  },
];

describe('a right', () => {
  const used = [
    'kmm: get coordination.k8s.io/leases @own',
    'kmm: list /nodes @cluster',
    'kmm: list /pods @cluster',
    'kmm: watch /nodes @cluster',
    'kmm: watch /pods @cluster',
  ];

  it('is taken for needed when a request used it', () => {
    expect(unusedGrants(grantsOf(ROLES), used)).toEqual([]);
  });

  it('that nothing used is reported', () => {
    expect(unusedGrants(grantsOf(ROLES), used.slice(0, -1))).toEqual(['kmm: watch /pods @cluster']);
  });

  it('of the whole cluster is reported when it was used in the namespace of the operator only', () => {
    const wide = [{ ...ROLES[1], kind: 'ClusterRole', metadata: {} }];
    expect(unusedGrants(grantsOf(wide), used)).toEqual(['kmm: get coordination.k8s.io/leases @cluster']);
  });

  it('of another namespace is used when a request went there', () => {
    const streams = { apiGroups: ['image.openshift.io'], resources: ['imagestreams'], verbs: ['list'] };
    const role = { kind: 'Role', metadata: { namespace: 'openshift' }, rules: [streams] };
    const { used } = summaryOf({ group: 'image.openshift.io', resource: 'imagestreams', namespace: 'openshift' });
    expect(unusedGrants(grantsOf([role]), used)).toEqual([]);
  });

  it('of the registry’s front is not used by what the operator asks for', () => {
    const review = { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews' };
    const rules = [{ apiGroups: [review.group], resources: [review.resource], verbs: [review.verb] }];
    const grants = grantsOf([{ kind: 'ClusterRole', metadata: { name: 'kmm-registry' }, rules }]);
    expect(unusedGrants(grants, summaryOf(review).used)).toEqual(grants);
    expect(unusedGrants(grants, summaryOf({ ...review, user: FRONT, userAgent: 'kmm-registry/0.1.0' }).used)).toEqual(
      [],
    );
  });

  it('that an admission plugin asks for needs no request', () => {
    const finalizers = {
      kind: 'ClusterRole',
      rules: [{ apiGroups: ['kmm.sigs.x-k8s.io'], resources: ['modules/finalizers'], verbs: ['update'] }],
    };
    expect(unusedGrants(grantsOf([finalizers]), [])).toEqual([]);
  });
});

describe('a refusal', () => {
  const byRbac = (verb: string) => ({
    request: `kmm: ${verb} /nodes @cluster`,
    message: `nodes is forbidden: User "x" cannot ${verb} resource "nodes" in API group "" at the cluster scope`,
  });
  const byPolicy = { request: 'kmm: list /nodes @cluster', message: "denied by ValidatingAdmissionPolicy 'kmm-nodes'" };

  it('of what is granted is the moment of an API server that starts, unless a policy refuses', () => {
    const all = [byRbac('list'), byRbac('delete'), byPolicy];
    expect(refusals(['kmm: list /nodes @cluster'], all)).toEqual([byRbac('delete'), byPolicy]);
  });
});
