import type { ApiError } from './errors.ts';

/** Sends of one request, the first included. */
export const MOST_TRIES = 5;
/** No wait is longer, whatever the server asks: the caller may have better things to do than to sleep for an hour. */
const LONGEST_WAIT_MS = 60_000;
const FIRST_BACKOFF_MS = 250;

/**
 * How long to wait before a refused request is sent again, milliseconds; undefined when it is not to be sent again.
 * Only answers that say the request was not carried out count: 429, and 503 with a time to come back at. So this holds
 * for writes too.
 *
 * @param tries sends so far, 1 or more
 * @param random in [0, 1)
 */
export function retryDelayMs(
  { status, retryAfterMs }: Pick<ApiError, 'status' | 'retryAfterMs'>,
  tries: number,
  random: number,
): number | undefined {
  if (tries >= MOST_TRIES) return undefined;
  if (status !== 429 && !(status === 503 && retryAfterMs !== undefined)) return undefined;
  const backoffMs = FIRST_BACKOFF_MS * 2 ** (tries - 1);
  // Never earlier than asked, and not at the same moment as everybody else who was asked.
  const waitMs = retryAfterMs === undefined ? backoffMs * (0.5 + random) : retryAfterMs + backoffMs * random;
  return Math.min(waitMs, LONGEST_WAIT_MS);
}

/**
 * Reads a Retry-After header: seconds, or an HTTP date (RFC 9110, 10.2.3). Milliseconds from now; undefined when there
 * is none or it cannot be read.
 */
export function retryAfterMs(header: string | undefined, nowMs: number = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
