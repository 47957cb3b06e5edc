import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

/** Key or certificate cannot be used. The message is a whole sentence with nothing secret in it. */
export class SignMaterialError extends Error {
  override readonly name = 'SignMaterialError';
}

/** A certificate as what is in a signed module names it. */
export interface Signer {
  /** Serial number, hexadecimal, in capitals, without colons and leading zeros: what modinfo(8) calls sig_key. */
  readonly serial: string;
  /** Common name of the issuer, which is the certificate's own where it signed itself: what modinfo(8) calls signer. Absent where there is none. */
  readonly commonName?: string;
}

/**
 * The first certificate of PEM, or the one of DER.
 *
 * @throws SignMaterialError
 */
export function readCertificate(bytes: Buffer): X509Certificate {
  const text = bytes.toString('latin1');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) && !text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new SignMaterialError(
      'The Secret that sign.certSecret names has a private key where its certificate belongs (key `cert`).',
    );
  }
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    const message =
      'The certificate of the Secret that sign.certSecret names (key `cert`) cannot be read: it has to be X.509, PEM or DER.';
    throw new SignMaterialError(message, { cause });
  }
}

/**
 * The private key of PEM (PKCS#1, PKCS#8, SEC 1) or DER (PKCS#8, PKCS#1).
 *
 * @throws SignMaterialError where it is encrypted, no key, or not that of the certificate
 */
export function readSigningKey(bytes: Buffer, certificate: X509Certificate): KeyObject {
  const key = parseKey(bytes);
  if (!certificate.checkPrivateKey(key)) {
    throw new SignMaterialError(
      'The key of sign.keySecret does not belong to the certificate of sign.certSecret. Put the two of one pair in the Secrets.',
    );
  }
  return key;
}

function parseKey(bytes: Buffer): KeyObject {
  const text = bytes.toString('latin1');
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new SignMaterialError(
      'The key of sign.keySecret (key `key`) is encrypted with a passphrase, which nobody could type here. Store it without one: `openssl pkey -in KEY -out KEY`.',
    );
  }
  const ways = text.includes('-----BEGIN')
    ? [() => createPrivateKey({ key: bytes, format: 'pem' })]
    : (['pkcs8', 'pkcs1'] as const).map((type) => () => createPrivateKey({ key: bytes, format: 'der', type }));
  let cause: unknown;
  for (const way of ways) {
    try {
      return way();
    } catch (error) {
      cause = error;
    }
  }
  const message =
    'The key of the Secret that sign.keySecret names (key `key`) cannot be read: it has to be a private key, PEM or DER.';
  throw new SignMaterialError(message, { cause });
}

/** SHA-256 of the DER, in hexadecimal small letters. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

export function signerOf(certificate: X509Certificate): Signer {
  // One relative name a line; of several common names kmod, too, takes the first (seen with version 30).
  const first = certificate.issuer.split('\n').find((line) => line.startsWith('CN='));
  // A name of several attributes is not taken apart: the serial number tells certificates from each other as well.
  const commonName =
    first === undefined || / \+ \w+=/.test(first) ? undefined : first.slice('CN='.length).replace(/\\(.)/g, '$1');
  return { serial: plainSerial(certificate.serialNumber), ...(commonName === undefined ? {} : { commonName }) };
}

/** Of modinfo's `AB:CD` or a certificate's `ABCD`. */
export function plainSerial(text: string): string {
  return text
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}
