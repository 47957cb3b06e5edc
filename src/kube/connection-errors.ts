import type { Connection } from './connection.ts';
import { ConnectionError } from './errors.ts';

type Facts = Pick<Connection, 'server' | 'caSource' | 'description' | 'proxyUrl'>;

/** What OpenSSL says when the server's certificate does not lead to a CA we trust. */
const WRONG_CA = new Set([
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'INVALID_CA',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** The connection broke before or while the answer came: whether the server has carried the request out is not known. */
const RESET = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** Gives one sentence about why there was no whole answer. The cause is kept; nothing of the request is in it. */
export function connectionErrorOf(attempted: string, connection: Facts, cause: unknown): ConnectionError {
  const code = codeOf(cause);
  return new ConnectionError(`${attempted}: ${sentenceOf(code, connection, cause)}`, code, { cause });
}

export function isReset(error: unknown): boolean {
  return error instanceof ConnectionError && RESET.has(error.code);
}

function sentenceOf(code: string, { server, caSource, description, proxyUrl }: Facts, cause: unknown): string {
  if (WRONG_CA.has(code)) {
    return `the certificate of ${server} is not signed by the CA in ${caSource} (${code}). Put that server's CA there, or correct the server's address in ${description}.`;
  }
  const via = proxyUrl === undefined ? '' : ` through the proxy ${withoutPassword(proxyUrl)}`;
  switch (code) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return `the certificate of ${server} is out of date (${code}). Renew it, or set this machine's clock.`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate of ${server} is for other names (${messageOf(cause)}). Use one of them as the address, or set tls-server-name.`;
    case 'ECONNREFUSED':
      return `nobody listens at ${server}${via} (${code}). Is the API server up, and the address in ${description} right?`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the host of ${server}${via} has no address (${code}). Check the name in ${description}, and DNS.`;
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return `${server}${via} does not take connections (${code}).`;
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return `${server}${via} did not answer in time (${code}).`;
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      return `the answer of ${server} is larger than a client takes (${code}). List in pages.`;
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
      return `the client has been closed (${code}).`;
    default:
      if (RESET.has(code)) return `the connection to ${server}${via} broke (${code}).`;
      return `there was no answer from ${server}${via}: ${messageOf(cause)}`;
  }
}

function codeOf(error: unknown): string {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 4; each = each.cause, depth++) {
    if ('code' in each && typeof each.code === 'string') return each.code;
  }
  return 'UNKNOWN';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

export function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}
