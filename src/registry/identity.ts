import { type Authority, createAuthority, issue, type ServingCertificate } from './certificates.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const AUTHORITY_LIFETIME_MS = 365 * DAY_MS;
const SERVING_LIFETIME_MS = 7 * DAY_MS;
/** Before its end, the next authority is made known. */
const OVERLAP_MS = 30 * DAY_MS;
/** How long everybody has to learn of an authority before a certificate of it is shown: builds that have not heard have ended. */
const KNOWN_AFTER_MS = DAY_MS;

/** The authority of the front, and the certificate it shows. */
export interface Identity {
  readonly authority: Authority;
  readonly serving: ServingCertificate;
  /** The one that is to follow, and since when it is told. */
  readonly next?: { readonly authority: Authority; readonly sinceMs: number };
}

/** @param names DNS names and IP addresses under which the front is asked */
export function newIdentity(names: readonly string[], nowMs: number): Identity {
  const authority = createAuthority({ nowMs, lifetimeMs: AUTHORITY_LIFETIME_MS });
  return { authority, serving: issue(authority, names, { nowMs, lifetimeMs: SERVING_LIFETIME_MS }) };
}

/** The same identity while nothing is due. */
export function renewed(identity: Identity, names: readonly string[], nowMs: number): Identity {
  const { authority, serving, next } = identity;
  const sign = (by: Authority): ServingCertificate => issue(by, names, { nowMs, lifetimeMs: SERVING_LIFETIME_MS });
  if (next !== undefined && nowMs - next.sinceMs >= KNOWN_AFTER_MS) {
    return { authority: next.authority, serving: sign(next.authority) };
  }
  if (next === undefined && authority.notAfterMs - nowMs < OVERLAP_MS) {
    const following = createAuthority({ nowMs, lifetimeMs: AUTHORITY_LIFETIME_MS });
    return { authority, serving, next: { authority: following, sinceMs: nowMs } };
  }
  if (serving.notAfterMs - nowMs < SERVING_LIFETIME_MS / 2) return { ...identity, serving: sign(authority) };
  return identity;
}

/** What is told to everybody: PEM. */
export function knownAuthorities({ authority, next }: Identity): string {
  return `${authority.certificate}${next?.authority.certificate ?? ''}`;
}
