import type { Lease } from '../kube/core.ts';

type LeaseSpec = NonNullable<Lease['spec']>;

/** Gives the time as Kubernetes' MicroTime, which the API server takes only with exactly six digits of a second. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}

/** Who holds the lease; undefined when it was released. */
export function holderOf(lease: Lease): string | undefined {
  const holder = lease.spec?.holderIdentity;
  return holder === undefined || holder === '' ? undefined : holder;
}

/** How long its holder said the lease lasts after a renewal, in milliseconds. */
export function leaseMsOf(lease: Lease | undefined): number | undefined {
  const seconds = lease?.spec?.leaseDurationSeconds;
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The spec by which `identity` takes the lease, or renews it if it was the holder before. */
export function claimedSpec(
  before: LeaseSpec | undefined,
  identity: string,
  leaseDurationMs: number,
  epochMs: number,
): LeaseSpec {
  const now = microTime(epochMs);
  const renews = before?.holderIdentity === identity;
  const transitions = before?.leaseTransitions ?? 0;
  return {
    ...before,
    holderIdentity: identity,
    // Rounded up: others then wait longer than we meant, never less.
    leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
    acquireTime: renews ? (before.acquireTime ?? now) : now,
    renewTime: now,
    leaseTransitions: before === undefined || renews ? transitions : transitions + 1,
  };
}

/** The spec of a lease that nobody holds: the next candidate takes it at its next try. */
export function releasedSpec(before: LeaseSpec | undefined, epochMs: number): LeaseSpec {
  const { holderIdentity: _released, ...rest } = before ?? {};
  const now = microTime(epochMs);
  return { ...rest, leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
}
