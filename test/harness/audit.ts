/** What the API server's audit log says about who asked for what: the tests of writes and of privileges read it. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

export interface AuditEvent {
  /** e.g. `system:serviceaccount:kmm:kmm-operator`; the harness itself is `kubernetes-admin`'s certificate name. */
  readonly user: string;
  readonly userAgent: string;
  /** get, list, watch, create, update, patch, delete, deletecollection. */
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** HTTP status of the answer. */
  readonly code: number;
  /** What the server said when it refused; empty otherwise. */
  readonly message: string;
  /** RFC 3339 with microseconds: when the request arrived. */
  readonly at: string;
  readonly uri: string;
}

interface RawEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly user?: { readonly username?: string };
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number; readonly message?: string };
  readonly requestReceivedTimestamp: string;
}

/** Metadata of every request once, when its answer is complete (a watch when it ends). */
export const AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`;

/**
 * Reads audit events from byte `start` of the log on. A watch gives two lines (started, complete): only the first
 * counts, so that a watch which still runs is seen and none is counted twice.
 */
export async function* readAuditLog(file: string, start = 0): AsyncGenerator<AuditEvent> {
  const lines = createInterface({ input: createReadStream(file, { start }), crlfDelay: Infinity });
  for await (const line of lines) {
    const event = parseAuditLine(line);
    if (event !== undefined) yield event;
  }
}

/** One line of the log; undefined for a stage that repeats a request, and for a line that is still being written. */
function parseAuditLine(line: string): AuditEvent | undefined {
  let raw: RawEvent;
  try {
    raw = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (raw.stage !== (raw.verb === 'watch' ? 'ResponseStarted' : 'ResponseComplete')) return undefined;
  const { objectRef } = raw;
  return {
    user: raw.user?.username ?? '',
    userAgent: raw.userAgent ?? '',
    verb: raw.verb,
    group: objectRef?.apiGroup ?? '',
    resource: objectRef?.resource ?? '',
    subresource: objectRef?.subresource ?? '',
    namespace: objectRef?.namespace ?? '',
    name: objectRef?.name ?? '',
    code: raw.responseStatus?.code ?? 0,
    message: raw.responseStatus?.message ?? '',
    at: raw.requestReceivedTimestamp,
    uri: raw.requestURI,
  };
}

const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export interface AuditFilter {
  readonly user?: string;
  readonly userAgent?: RegExp;
  readonly resource?: string;
  readonly verb?: string;
}

/** The events that changed something or tried to; Leases are left out unless `leases` is set. */
export function writes(events: Iterable<AuditEvent>, options: { leases?: boolean } = {}): readonly AuditEvent[] {
  return [...events].filter(
    (event) => WRITES.has(event.verb) && (options.leases === true || event.resource !== 'leases'),
  );
}

export function matching(events: Iterable<AuditEvent>, filter: AuditFilter): readonly AuditEvent[] {
  return [...events].filter(
    (event) =>
      (filter.user === undefined || event.user === filter.user) &&
      (filter.userAgent === undefined || filter.userAgent.test(event.userAgent)) &&
      (filter.resource === undefined || event.resource === filter.resource) &&
      (filter.verb === undefined || event.verb === filter.verb),
  );
}

/** Requests counted by `verb resource[/subresource]`, most frequent first: what a failed count prints. */
export function countByVerbAndResource(events: Iterable<AuditEvent>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const event of events) {
    const resource = event.subresource === '' ? event.resource : `${event.resource}/${event.subresource}`;
    const key = `${event.verb} ${resource}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return new Map([...counts].sort(([, a], [, b]) => b - a));
}
