import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { knownAuthorities, newIdentity, renewed } from './identity.ts';

const DAY_MS = 86_400_000;
const NAMES = ['kmm-registry.kmm-system.svc', '127.0.0.1', '::1', 'fd00::2:1'];
const NOW = Date.parse('2026-03-01T00:00:00Z');

describe('the identity of a front', () => {
  it('is a certificate for its names, of an authority that signs servers and no other authorities', () => {
    const { authority, serving } = newIdentity(NAMES, NOW);
    const [ca, leaf] = [new X509Certificate(authority.certificate), new X509Certificate(serving.certificate)];
    expect([ca.ca, leaf.ca, ca.verify(ca.publicKey), leaf.verify(ca.publicKey), leaf.checkIssued(ca)]).toEqual([
      true,
      false,
      true,
      true,
      true,
    ]);
    expect(leaf.checkHost('kmm-registry.kmm-system.svc')).toBeDefined();
    expect(leaf.checkHost('kmm-registry.other.svc')).toBeUndefined();
    for (const address of ['127.0.0.1', '::1', 'fd00::2:1']) expect(leaf.checkIP(address)).toBe(address);
    expect(leaf.validFromDate.getTime()).toBeLessThan(NOW);
  });

  it('stays as it is while nothing is due', () => {
    const identity = newIdentity(NAMES, NOW);
    expect(renewed(identity, NAMES, NOW + 3 * DAY_MS)).toBe(identity);
  });

  it('gets a new certificate of the same authority long before the old one ends', () => {
    const identity = newIdentity(NAMES, NOW);
    const later = renewed(identity, NAMES, NOW + 4 * DAY_MS);
    expect(later.authority).toBe(identity.authority);
    expect(later.serving.notAfterMs).toBe(NOW + 11 * DAY_MS);
  });

  it('makes its next authority known a day before it shows a certificate of it', () => {
    let identity = newIdentity(NAMES, NOW);
    let shownBefore = 0;
    for (let day = 1; day < 400; day++) {
      const known = knownAuthorities(identity);
      const next = renewed(identity, NAMES, NOW + day * DAY_MS);
      // Whoever knows what was known a day ago accepts what is shown now.
      const leaf = new X509Certificate(next.serving.certificate);
      const authorities = known.split(/(?<=-----END CERTIFICATE-----\n)/).filter((pem) => pem !== '');
      expect(authorities.some((pem) => leaf.verify(new X509Certificate(pem).publicKey))).toBe(true);
      expect(next.serving.notAfterMs).toBeGreaterThan(NOW + (day + 1) * DAY_MS);
      if (next.authority !== identity.authority) shownBefore = day;
      identity = next;
    }
    expect(shownBefore).toBe(337);
  });

  it('has dates after 2049 in their longer form', () => {
    const { authority } = newIdentity(NAMES, Date.parse('2049-12-31T00:00:00Z'));
    expect(new X509Certificate(authority.certificate).validToDate.getUTCFullYear()).toBe(2050);
  });
});
