/** What the API server's audit log says the operator asked for. */
import { type AuditEvent, countByVerbAndResource, readAuditLog, writes } from '../harness/audit.ts';
import { OPERATOR_USER } from '../harness/operator.ts';

export interface RequestCounts {
  /** Everything that changed something or tried to, Leases aside. */
  readonly writes: number;
  /** Of those, the ones on Nodes, and the Events. */
  readonly nodeWrites: number;
  readonly eventWrites: number;
  readonly leaseWrites: number;
  /** Writes by `verb resource[/subresource]`, Leases included, most frequent first. */
  readonly byKind: Readonly<Record<string, number>>;
  /** Gets, lists and watches. */
  readonly reads: number;
}

/** The operator's requests from byte `since` of the log on. The log of a large cluster is too large for memory: one pass. */
export async function operatorRequests(auditLog: string, since: number): Promise<RequestCounts> {
  const requests: AuditEvent[] = [];
  for await (const event of readAuditLog(auditLog, since)) if (event.user === OPERATOR_USER) requests.push(event);
  const written = writes(requests, { leases: true });
  const on = (resource: string): number => written.filter((event) => event.resource === resource).length;
  return {
    writes: written.length - on('leases'),
    nodeWrites: on('nodes'),
    eventWrites: on('events'),
    leaseWrites: on('leases'),
    byKind: Object.fromEntries(countByVerbAndResource(written)),
    reads: requests.length - written.length,
  };
}

/** When the API server got the first request to create a Module since byte `since`, milliseconds since the epoch. */
export async function firstModuleAt(auditLog: string, since: number): Promise<number> {
  for await (const event of readAuditLog(auditLog, since)) {
    if (event.resource === 'modules' && event.verb === 'create') return Date.parse(event.at);
  }
  throw new Error(`${auditLog} tells of no Module that was created`);
}
