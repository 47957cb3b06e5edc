import { ApiError, type StatusCause, type StatusDetails } from './errors.ts';
import { isRecord } from './json-record.ts';
import { retryAfterMs } from './retry.ts';

/** What an answer without a Status (a proxy's, or a path nobody serves) says in its place. */
const REASONS: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

const LONGEST_SENTENCE = 4_096;
const LONGEST_FOREIGN_TEXT = 200;

export interface RefusedResponse {
  /** What was attempted, e.g. `get nodes worker-1`. */
  readonly attempted: string;
  /** What to say when the server does not know the path at all. */
  readonly unservedHint: string;
  readonly status: number;
  /** The Retry-After header. */
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/** Gives the error for an answer that is no success. */
export function apiErrorOf({ attempted, unservedHint, status, retryAfter, body }: RefusedResponse): ApiError {
  const parsed = parseStatus(body);
  const afterMs = retryAfterMs(retryAfter) ?? secondsToMs(parsed?.details?.retryAfterSeconds);
  return new ApiError({
    attempted,
    status,
    reason: parsed?.reason ?? REASONS[status] ?? 'Unknown',
    sentence: (parsed?.message ?? foreignSentence(status, unservedHint, body)).slice(0, LONGEST_SENTENCE),
    ...(parsed?.details === undefined ? {} : { details: parsed.details }),
    ...(afterMs === undefined ? {} : { retryAfterMs: afterMs }),
  });
}

interface ParsedStatus {
  readonly reason: string | undefined;
  readonly message: string | undefined;
  readonly details: StatusDetails | undefined;
}

function parseStatus(body: string): ParsedStatus | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  return isRecord(value) ? statusOf(value) : undefined;
}

function statusOf(value: Readonly<Record<string, unknown>>): ParsedStatus | undefined {
  if (value['kind'] !== 'Status') return undefined;
  return {
    reason: nonEmpty(value['reason']),
    message: nonEmpty(value['message']),
    details: isRecord(value['details']) ? detailsOf(value['details']) : undefined,
  };
}

function detailsOf(value: Readonly<Record<string, unknown>>): StatusDetails {
  const causes = Array.isArray(value['causes']) ? value['causes'].filter(isRecord).map(causeOf) : undefined;
  const retryAfterSeconds = value['retryAfterSeconds'];
  return {
    ...textFields(value, ['name', 'group', 'kind', 'uid']),
    ...(causes === undefined ? {} : { causes }),
    ...(typeof retryAfterSeconds === 'number' ? { retryAfterSeconds } : {}),
  };
}

function causeOf(value: Readonly<Record<string, unknown>>): StatusCause {
  return textFields(value, ['reason', 'message', 'field']);
}

function textFields<K extends string>(
  value: Readonly<Record<string, unknown>>,
  keys: readonly K[],
): Readonly<Partial<Record<K, string>>> {
  const fields: Partial<Record<K, string>> = {};
  for (const key of keys) {
    const text = nonEmpty(value[key]);
    if (text !== undefined) fields[key] = text;
  }
  return fields;
}

function foreignSentence(status: number, unservedHint: string, body: string): string {
  const text = body.trim();
  // What kube-apiserver says for a path that no API and no aggregated server owns.
  if (status === 404 && (text === '404 page not found' || text === '')) return unservedHint;
  if (text === '') return `status ${status}, without a word`;
  const line = text.replace(/\s+/g, ' ').slice(0, LONGEST_FOREIGN_TEXT);
  return `status ${status}, and not in the API server's own words: ${line}`;
}

function secondsToMs(seconds: number | undefined): number | undefined {
  return seconds === undefined || !(seconds > 0) ? undefined : seconds * 1_000;
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
