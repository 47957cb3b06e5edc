/**
 * What the product's programs asked for, and were refused, in the whole run: each control plane adds what its audit log says when it is stopped,
 * and hack/privileges.ts compares it with the rights that are granted.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type AuditEvent, readAuditLog } from './audit.ts';

/** Where `make test` looks, from the root of the repository. */
export const REQUESTS_FILE = 'out/product-requests.json';

/** Folder of the run's parts. Test files are processes of their own: they inherit it. */
const FOLDER_VARIABLE = 'KMM_TEST_PRODUCT_REQUESTS';

export interface ProductRequests {
  /** `account: verb group/resource[/subresource] @place`, each once; account is a ServiceAccount, place is `own` in the operator's namespace and `cluster` anywhere else. */
  readonly used: readonly string[];
  readonly refused: readonly RefusedRequest[];
}

export interface RefusedRequest {
  readonly request: string;
  readonly message: string;
}

/** More would say nothing new. */
const MOST_REFUSED = 50;

/**
 * A 403 that is about the world and not about rights: whoever asks is refused as well.
 * Sources: the admission plugins NamespaceLifecycle, PodSecurity, ResourceQuota.
 */
const WORLDLY = [/because it is being terminated/, /violates PodSecurity/, /exceeded quota/];

/** Our own policy says 403 too, but 422 where it cannot be evaluated. */
const OUR_POLICY = /ValidatingAdmissionPolicy 'kmm-/;

/**
 * Sums up what was done by the programs themselves. Tests that act under their tokens say another user agent, and are refused as they
 * should be.
 * @param users names in the audit log, and their accounts
 */
export function summarize(
  events: Iterable<AuditEvent>,
  users: ReadonlyMap<string, string>,
  ownNamespace: string,
): ProductRequests {
  const used = new Set<string>();
  const refused = new Map<string, RefusedRequest>();
  for (const event of events) {
    const account = users.get(event.user);
    if (account === undefined || !event.userAgent.startsWith(`${account}/`) || event.resource === '') continue;
    const request = `${account}: ${requestOf(event, ownNamespace)}`;
    if (event.code !== 403 && !OUR_POLICY.test(event.message)) used.add(request);
    else if (!WORLDLY.some((pattern) => pattern.test(event.message)) && refused.size < MOST_REFUSED) {
      refused.set(`${request} ${event.message}`, { request, message: event.message });
    }
  }
  return { used: [...used].sort(), refused: [...refused.values()] };
}

function requestOf({ verb, group, resource, subresource, namespace }: AuditEvent, ownNamespace: string): string {
  const what = subresource === '' ? resource : `${resource}/${subresource}`;
  return `${verb} ${group}/${what} @${namespace === ownNamespace ? 'own' : 'cluster'}`;
}

/** Adds what an audit log says to the run's parts; does nothing outside a run that collects. The log may end in the middle of a line. */
export async function collectRequests(
  auditLogFile: string,
  users: ReadonlyMap<string, string>,
  ownNamespace: string,
): Promise<void> {
  const folder = process.env[FOLDER_VARIABLE];
  if (folder === undefined || !existsSync(auditLogFile) || !existsSync(folder)) return;
  const events: AuditEvent[] = [];
  for await (const event of readAuditLog(auditLogFile)) if (users.has(event.user)) events.push(event);
  await writeFile(join(folder, randomUUID()), JSON.stringify(summarize(events, users, ownNamespace)));
}

/** Begins a run that collects; the function it gives ends it and writes REQUESTS_FILE. */
export async function startCollecting(): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-requests-'));
  process.env[FOLDER_VARIABLE] = folder;
  return async () => {
    const names = await readdir(folder);
    const parts: ProductRequests[] = await Promise.all(
      names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'))),
    );
    await mkdir(dirname(REQUESTS_FILE), { recursive: true });
    await writeFile(REQUESTS_FILE, JSON.stringify(merge(parts), undefined, 1));
    await rm(folder, { recursive: true, force: true });
  };
}

export function merge(parts: readonly ProductRequests[]): ProductRequests {
  const refused = new Map(parts.flatMap((part) => part.refused.map((each) => [JSON.stringify(each), each])));
  return { used: [...new Set(parts.flatMap(({ used }) => used))].sort(), refused: [...refused.values()] };
}
