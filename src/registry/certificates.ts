import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as der from './der.ts';

/** A certificate authority that lives as long as this process: its key is nowhere but in memory. */
export interface Authority {
  /** PEM. */
  readonly certificate: string;
  readonly key: KeyObject;
  readonly notAfterMs: number;
  readonly name: string;
}

/** PEM texts. */
export interface ServingCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly notAfterMs: number;
}

export interface Validity {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/** Clocks of a cluster's nodes differ by less. */
const CLOCK_SKEW_MS = 5 * 60_000;

// RFC 5280, RFC 5480 and RFC 5758.
const ECDSA_WITH_SHA256 = der.sequence(der.objectId('1.2.840.10045.4.3.2'));
const COMMON_NAME = '2.5.4.3';
const BASIC_CONSTRAINTS = '2.5.29.19';
const KEY_USAGE = '2.5.29.15';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';
const SUBJECT_KEY_ID = '2.5.29.14';
const AUTHORITY_KEY_ID = '2.5.29.35';

export function createAuthority({ nowMs, lifetimeMs }: Validity): Authority {
  const { privateKey, publicKey } = newKeys();
  // Two authorities of one name would confuse who has both: the name tells them apart.
  const name = `kmm registry ${randomBytes(6).toString('hex')}`;
  const notAfterMs = nowMs + lifetimeMs;
  const certificate = certify({
    subject: name,
    issuer: name,
    publicKey,
    notBeforeMs: nowMs - CLOCK_SKEW_MS,
    notAfterMs,
    signer: { key: privateKey, publicKey },
    extensions: [
      // Signs servers, and no other authorities.
      extension(BASIC_CONSTRAINTS, der.sequence(der.boolean(true), der.integer(Buffer.from([0]))), true),
      // keyCertSign alone.
      extension(KEY_USAGE, der.bits(Buffer.from([0x04]), 2), true),
    ],
  });
  return { certificate, key: privateKey, notAfterMs, name };
}

/** @param names DNS names and IP addresses */
export function issue(authority: Authority, names: readonly string[], validity: Validity): ServingCertificate {
  const { privateKey, publicKey } = newKeys();
  const notAfterMs = Math.min(validity.nowMs + validity.lifetimeMs, authority.notAfterMs);
  const certificate = certify({
    subject: 'kmm registry',
    issuer: authority.name,
    publicKey,
    notBeforeMs: validity.nowMs - CLOCK_SKEW_MS,
    notAfterMs,
    signer: { key: authority.key, publicKey: new X509Certificate(authority.certificate).publicKey },
    extensions: [
      extension(BASIC_CONSTRAINTS, der.sequence(), true),
      // digitalSignature alone.
      extension(KEY_USAGE, der.bits(Buffer.from([0x80]), 7), true),
      extension(EXTENDED_KEY_USAGE, der.sequence(der.objectId(SERVER_AUTH))),
      extension(SUBJECT_ALTERNATIVE_NAME, der.sequence(...names.map(generalName))),
    ],
  });
  return { certificate, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), notAfterMs };
}

interface CertificateFields {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly signer: { readonly key: KeyObject; readonly publicKey: KeyObject };
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, 4.1. */
function certify(fields: CertificateFields): string {
  const body = der.sequence(
    // Version 3.
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(randomBytes(16)),
    ECDSA_WITH_SHA256,
    distinguishedName(fields.issuer),
    der.sequence(der.time(fields.notBeforeMs), der.time(fields.notAfterMs)),
    distinguishedName(fields.subject),
    publicKeyInfo(fields.publicKey),
    der.explicit(
      3,
      der.sequence(
        ...fields.extensions,
        extension(SUBJECT_KEY_ID, der.octets(keyId(fields.publicKey))),
        extension(AUTHORITY_KEY_ID, der.sequence(der.implicit(0, keyId(fields.signer.publicKey)))),
      ),
    ),
  );
  const signature = sign('sha256', body, fields.signer.key);
  return pem(der.sequence(body, ECDSA_WITH_SHA256, der.bits(signature)));
}

function newKeys(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function publicKeyInfo(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha256').update(publicKeyInfo(key)).digest().subarray(0, 20);
}

function distinguishedName(commonName: string): Buffer {
  return der.sequence(der.set(der.sequence(der.objectId(COMMON_NAME), der.utf8(commonName))));
}

function extension(id: string, content: Buffer, critical = false): Buffer {
  return der.sequence(der.objectId(id), ...(critical ? [der.boolean(true)] : []), der.octets(content));
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? der.implicit(2, Buffer.from(name)) : der.implicit(7, addressBytes(name));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => '0');
  return Buffer.from([...front, ...zeros, ...back].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function pem(content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
