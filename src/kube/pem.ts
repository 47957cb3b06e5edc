import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from './errors.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Gives `pem` back when it holds certificates only that can be read. Node takes any text for a CA without a word and
 * then trusts nobody, which would show as a TLS error of every request.
 *
 * @param what how it stands in the error's sentence, e.g. `the CA file /x/ca.crt`
 * @throws ConfigError
 */
export function checkedCertificates(pem: string, what: string): string {
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new ConfigError(`${what} holds no PEM certificate`);
  for (const block of blocks) {
    try {
      void new X509Certificate(block).fingerprint256;
    } catch (cause) {
      throw new ConfigError(`${what} holds a certificate that cannot be read`, { cause });
    }
  }
  return pem;
}

/**
 * Reads a file of the connection's settings as text.
 * @param what how it stands in the error's sentence, e.g. `the CA file`
 * @throws ConfigError
 */
export async function readSetting(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    throw new ConfigError(`cannot read ${what} ${file} (${code})`, { cause });
  }
}
