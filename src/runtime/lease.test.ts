import { describe, expect, it } from 'vitest';
import { claimedSpec, holderOf, leaseMsOf, microTime, releasedSpec } from './lease.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const THEN = '2026-01-01T00:00:00.000000Z';

it('microTime has exactly six digits of a second, as the API server demands', () => {
  expect(microTime(NOW)).toBe('2026-01-02T03:04:05.006000Z');
  expect(microTime(Date.UTC(2026, 0, 1))).toBe(THEN);
});

describe('claimedSpec', () => {
  it('takes a lease that is new, without counting a transition', () => {
    expect(claimedSpec(undefined, 'a', 15_000, NOW)).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: microTime(NOW),
      renewTime: microTime(NOW),
      leaseTransitions: 0,
    });
  });

  it('renews its own lease: only the time of renewal moves', () => {
    const before = {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: THEN,
      renewTime: THEN,
      leaseTransitions: 3,
    };
    expect(claimedSpec(before, 'a', 15_000, NOW)).toEqual({ ...before, renewTime: microTime(NOW) });
  });

  it.each([
    ['another holder', { holderIdentity: 'b', acquireTime: THEN, leaseTransitions: 3 }, 4],
    ['nobody since its release', { acquireTime: THEN, leaseTransitions: 3 }, 4],
    ['nobody ever', {}, 1],
  ])('counts a transition when it takes the lease from %s', (_from, before, transitions) => {
    const spec = claimedSpec(before, 'a', 15_000, NOW);
    expect(spec).toMatchObject({ holderIdentity: 'a', acquireTime: microTime(NOW), leaseTransitions: transitions });
  });

  it('rounds the duration up, so that others never wait less than the holder counts on', () => {
    expect(claimedSpec(undefined, 'a', 1_001, NOW).leaseDurationSeconds).toBe(2);
  });

  it('keeps fields that it does not know', () => {
    const before = { holderIdentity: 'a', strategy: 'x' };
    expect(claimedSpec(before, 'a', 1_000, NOW)).toMatchObject({ strategy: 'x' });
  });
});

it('releasedSpec has no holder, lasts a second, and keeps the count of transitions', () => {
  const spec = releasedSpec({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 3 }, NOW);
  expect(spec).not.toHaveProperty('holderIdentity');
  expect(spec).toEqual({
    leaseDurationSeconds: 1,
    leaseTransitions: 3,
    acquireTime: microTime(NOW),
    renewTime: microTime(NOW),
  });
});

it.each([
  [{ metadata: {} }, undefined, undefined],
  [{ metadata: {}, spec: { holderIdentity: '', leaseDurationSeconds: 1 } }, undefined, 1_000],
  [{ metadata: {}, spec: { holderIdentity: 'a', leaseDurationSeconds: 15 } }, 'a', 15_000],
])('of the lease %j the holder is %s and the duration %s ms', (lease, holder, durationMs) => {
  expect(holderOf(lease)).toBe(holder);
  expect(leaseMsOf(lease)).toBe(durationMs);
});
