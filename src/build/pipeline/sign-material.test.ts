import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

import {
  fingerprintOf,
  plainSerial,
  readCertificate,
  readSigningKey,
  SignMaterialError,
  signerOf,
} from './sign-material.ts';

/** PEM of a certificate that signs itself; openssl has to make it, since Node makes none. */
function certify(key: KeyObject, subject: string, serial: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'kmm-certify-'));
  try {
    writeFileSync(join(folder, 'key'), key.export({ type: 'pkcs8', format: 'pem' }));
    const args = [
      'req',
      '-new',
      '-x509',
      '-utf8',
      '-multivalue-rdn',
      '-key',
      'key',
      '-subj',
      subject,
      '-set_serial',
      serial,
      '-out',
      'cert',
    ];
    execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
    return readFileSync(join(folder, 'cert'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
let certificate: X509Certificate;
beforeAll(() => {
  certificate = readCertificate(certify(rsa, '/CN=Acme', '0x1ab'));
});

describe('a private key', () => {
  it.each([
    ['PKCS#8 in PEM', rsa.export({ type: 'pkcs8', format: 'pem' })],
    ['PKCS#1 in PEM', rsa.export({ type: 'pkcs1', format: 'pem' })],
    ['PKCS#8 in DER', rsa.export({ type: 'pkcs8', format: 'der' })],
    ['PKCS#1 in DER', rsa.export({ type: 'pkcs1', format: 'der' })],
    ['PEM with a text before it', `a key\n${rsa.export({ type: 'pkcs8', format: 'pem' }).toString()}`],
  ])('is read as %s', (_what, bytes) => {
    expect(readSigningKey(Buffer.from(bytes), certificate).equals(rsa)).toBe(true);
  });

  it('of an elliptic curve is read as SEC 1', () => {
    const key = readSigningKey(
      Buffer.from(ec.export({ type: 'sec1', format: 'pem' })),
      readCertificate(certify(ec, '/CN=E', '1')),
    );
    expect(key.equals(ec)).toBe(true);
  });

  it.each([
    [
      'encrypted as PKCS#8',
      rsa.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }),
      'encrypted with a passphrase',
    ],
    [
      'encrypted as PKCS#1',
      rsa.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }),
      'encrypted with a passphrase',
    ],
    ['another’s', ec.export({ type: 'pkcs8', format: 'pem' }), 'does not belong to the certificate'],
    ['a text', 'a text', 'cannot be read'],
    ['nothing', '', 'cannot be read'],
  ])('is refused where it is %s', (_what, bytes, sentence) => {
    const read = () => readSigningKey(Buffer.from(bytes), certificate);
    expect(read).toThrow(SignMaterialError);
    expect(read).toThrow(sentence);
  });
});

describe('a certificate', () => {
  it('is read as PEM, as DER, and as the first of a chain, with one fingerprint', () => {
    const other = certify(ec, '/CN=Other', '2');
    const chain = Buffer.concat([Buffer.from(certificate.toString()), other]);
    for (const bytes of [certificate.raw, Buffer.from(certificate.toString()), chain]) {
      expect(fingerprintOf(readCertificate(bytes))).toBe(fingerprintOf(certificate));
    }
    expect(fingerprintOf(certificate)).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    ['/CN=Acme', '0x1ab', { serial: '1AB', commonName: 'Acme' }],
    ['/O=Org/CN=First/CN=Last', '0x0', { serial: '0', commonName: 'First' }],
    ['/CN=Größe, "a" + b\\\\c', '0xff', { serial: 'FF', commonName: 'Größe, "a" + b\\c' }],
    ['/O=Org', '0x1', { serial: '1' }],
    ['/CN=Acme+O=Org', '0x1', { serial: '1' }],
  ])('of %s has the names that a signed module has', (subject, serial, signer) => {
    const subjectOfOpenssl = subject.includes('" + ') ? subject.replace(' + ', ' \\+ ') : subject;
    expect(signerOf(readCertificate(certify(ec, subjectOfOpenssl, serial)))).toEqual(signer);
  });
});

it('a serial number is the same with colons, in small letters and with zeros in front', () => {
  expect(['01:ab', '1AB', '0001AB'].map(plainSerial)).toEqual(['1AB', '1AB', '1AB']);
  expect(plainSerial('00')).toBe('0');
});
