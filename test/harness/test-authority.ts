import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runOrThrow } from './run.ts';

/** A certificate authority made for one server on loopback, and the server's certificate; paths of PEM files. */
export interface TestAuthority {
  readonly authority: string;
  readonly key: string;
  readonly certificate: string;
  remove(): Promise<void>;
}

/** Certificates for 127.0.0.1 and localhost that hold for two days. */
export async function testAuthority(): Promise<TestAuthority> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-authority-'));
  const file = (name: string) => join(folder, name);
  const openssl = (words: string, ...more: string[]) =>
    runOrThrow('openssl', [...words.split(' '), ...more], { cwd: folder });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  await openssl(
    `req -x509 ${key} -days 2 -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.crt -subj`,
    '/CN=kmm test authority',
  );
  await openssl(`req ${key} -subj /CN=localhost -keyout server.key -out server.csr`);
  await writeFile(file('server.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  await openssl(
    'x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.crt',
  );
  return {
    authority: file('ca.crt'),
    key: file('server.key'),
    certificate: file('server.crt'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
