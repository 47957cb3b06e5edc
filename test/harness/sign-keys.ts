import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runOrThrow } from './run.ts';
import { recordSecret, testSecret } from './test-secrets.ts';

/** A pair that signs kernel modules. */
export interface SignKeys {
  /** PEM, PKCS#8. */
  readonly key: string;
  readonly encryptedKey: string;
  /** PEM. */
  readonly certificate: string;
  readonly certificateDer: Buffer;
  /** SHA-256 of the DER, as openssl prints it, in small letters without colons. */
  readonly fingerprint: string;
}

/** A key and the certificate that it signed itself, as the kernel's documentation makes them. */
export async function makeSignKeys(commonName: string): Promise<SignKeys> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-keys-'));
  const file = (name: string) => join(folder, name);
  const openssl = (words: string) => runOrThrow('openssl', words.split(' '), { cwd: folder });
  try {
    await writeFile(
      file('x509.cnf'),
      `[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\nutf8=yes\nstring_mask=utf8only\n[dn]\nO=Example\nCN=${commonName}\n[ext]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=digitalSignature\nsubjectKeyIdentifier=hash\n`,
    );
    await openssl('req -new -x509 -newkey rsa:2048 -nodes -sha256 -days 2 -config x509.cnf -keyout key -out cert');
    await openssl('x509 -in cert -outform DER -out cert.der');
    await openssl(`pkcs8 -topk8 -in key -passout pass:${testSecret('passphrase')} -out encrypted`);
    const { stdout } = await openssl('x509 -in cert -noout -fingerprint -sha256');
    const [key = '', encryptedKey = ''] = await Promise.all(
      ['key', 'encrypted'].map((name) => readFile(file(name), 'utf8')),
    );
    recordSecret(`the key of ${commonName}`, key);
    return {
      key,
      encryptedKey,
      certificate: await readFile(file('cert'), 'utf8'),
      certificateDer: await readFile(file('cert.der')),
      fingerprint: (stdout.split('=')[1] ?? '').trim().replaceAll(':', '').toLowerCase(),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
