import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** Of one connection, not of the message (RFC 9110, 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A token is checked here and goes no further; nobody else's word counts for who asks. */
const OURS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'forwarded', 'expect']);

/** How long the body is and for which registry the request is are matters of the message: no Connection header takes them off it. */
const END_TO_END: ReadonlySet<string> = new Set(['content-length', 'host']);

export interface Passage {
  /** Takes the place of the client's. */
  readonly host?: string;
  readonly scheme: 'http' | 'https';
}

/** A request's headers, as they go on. */
export function onwardHeaders(headers: IncomingHttpHeaders, { host, scheme }: Passage): OutgoingHttpHeaders {
  const named = namedByConnection(headers);
  const onward: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (HOP_BY_HOP.has(name) || OURS.has(name) || named.has(name) || name.startsWith('x-forwarded-')) continue;
    onward[name] = value;
  }
  if (host !== undefined) onward['host'] = host;
  // From both the registry makes the addresses to which uploads go on.
  onward['x-forwarded-proto'] = scheme;
  return onward;
}

/** An answer's headers, as they come back. */
export function answerHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = namedByConnection(headers);
  const kept = Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name));
  return Object.fromEntries(kept);
}

/**
 * Whether a request has a body (RFC 9112, 6.3).
 *
 * What reads has none here. Node's client frames no body of a GET or HEAD of its own: its bytes would stand on the connection to the registry
 * as one more request, which nobody has judged (request smuggling).
 */
export function hasBody(headers: IncomingHttpHeaders): boolean {
  const { 'transfer-encoding': coding, 'content-length': length = '0' } = headers;
  return coding !== undefined || length.trim() !== '0';
}

function namedByConnection({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  const names = (connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  return new Set(names.filter((name) => !END_TO_END.has(name)));
}
