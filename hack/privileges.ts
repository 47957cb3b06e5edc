/**
 * The rights that config/ grants the operator, and the front of the cluster's own registry, against what they asked for in the tests: nothing they
 * ask for may be refused, and nothing may be granted that no test needs.
 */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import {
  OPERATOR_NAMESPACE,
  OPERATOR_SERVICE_ACCOUNT,
  REGISTRY_SERVICE_ACCOUNT,
} from '../test/harness/operator-identity.ts';
import { type ProductRequests, REQUESTS_FILE, type RefusedRequest } from '../test/harness/product-requests.ts';
import type { Tally } from './tally.ts';

/** A Role or ClusterRole, as far as it matters here. */
export interface GrantingRole {
  readonly kind: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly rules?: readonly {
    readonly apiGroups?: readonly string[];
    readonly resources?: readonly string[];
    readonly nonResourceURLs?: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

/** Rights that no request uses, and what else shows that they are needed. */
const NEVER_REQUESTED: ReadonlyMap<string, string> = new Map([
  [
    'kmm: update kmm.sigs.x-k8s.io/modules/finalizers @cluster',
    'asked by the admission plugin OwnerReferencesPermissionEnforcement, which every control plane of the tests has on: without the right it refuses DaemonSets with 403',
  ],
]);

/** Every single right of the roles, in the words of ProductRequests. */
export function grantsOf(roles: readonly GrantingRole[]): readonly string[] {
  const grants = roles.flatMap(({ metadata, rules = [] }) => {
    const account = accountOf(metadata?.name ?? '');
    const place = metadata?.namespace === OPERATOR_NAMESPACE ? 'own' : 'cluster';
    return rules.flatMap(({ apiGroups = [], resources = [], verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${account}: ${verb} ${group}/${resource} @${place}`)),
      ),
    );
  });
  return [...new Set(grants)].sort();
}

/** Roles are named for the account that has them; components give the operator more, in roles of their own names. */
function accountOf(role: string): string {
  return role === REGISTRY_SERVICE_ACCOUNT ? role : OPERATOR_SERVICE_ACCOUNT;
}

/** Grants that nothing used; a right that was used in the operator's own namespace alone is not needed in the whole cluster. */
export function unusedGrants(grants: readonly string[], used: readonly string[]): readonly string[] {
  const done = new Set(used);
  return grants.filter((grant) => !done.has(grant) && !NEVER_REQUESTED.has(grant));
}

/**
 * Refusals that say something of the operator's rights. An API server that has just started has not read the roles yet, and refuses for a
 * moment what they grant.
 */
export function refusals(grants: readonly string[], refused: readonly RefusedRequest[]): readonly RefusedRequest[] {
  const granted = new Set(grants);
  return refused.filter(({ request, message }) => !(granted.has(request) && / cannot \w+ resource /.test(message)));
}

async function installedRoles(root: string): Promise<readonly GrantingRole[]> {
  const roles: GrantingRole[] = [];
  for await (const file of glob(['config/rbac/*.yaml', 'config/components/*/*.yaml'], { cwd: root })) {
    for (const document of parseAllDocuments(await readFile(join(root, file), 'utf8'))) {
      const object: GrantingRole | null = document.toJS();
      if (object?.kind === 'Role' || object?.kind === 'ClusterRole') roles.push(object);
    }
  }
  return roles;
}

/** Prints both checks as `make test` prints its own. A part of the suite says nothing about rights that it did not use. */
export async function checkPrivileges({
  root,
  wholeSuite,
}: {
  readonly root: string;
  readonly wholeSuite: boolean;
}): Promise<Tally> {
  let requests: ProductRequests;
  try {
    requests = JSON.parse(await readFile(join(root, REQUESTS_FILE), 'utf8'));
  } catch {
    if (!wholeSuite) return { passed: 0, failed: 0 };
    return report('the product is refused nothing', [`no test left ${REQUESTS_FILE}`]);
  }
  const grants = grantsOf(await installedRoles(root));
  const refused = report(
    'the product is refused nothing',
    refusals(grants, requests.refused).map(({ request, message }) => `${request}: ${message}`),
  );
  if (!wholeSuite) {
    console.log('skipped every granted right is used: only a part of the suite ran');
    return refused;
  }
  const unused = unusedGrants(grants, requests.used);
  const used = report(
    'every granted right is used',
    unused.map((grant) => `no test made use of ${grant}`),
  );
  return { passed: refused.passed + used.passed, failed: refused.failed + used.failed };
}

function report(name: string, problems: readonly string[]): Tally {
  console.log(`${problems.length === 0 ? 'ok     ' : 'FAILED '} ${name}`);
  for (const problem of problems) console.log(`        ${problem}`);
  return problems.length === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}
