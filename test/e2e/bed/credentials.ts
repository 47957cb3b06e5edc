/** A node's certificates, signed by the cluster's own authority. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { runOrThrow } from '../../harness/run.ts';

export interface Authority {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

/** Writes client.{crt,key} of the kubelet (group system:nodes), server.{crt,key} for its address and kube-proxy.{crt,key} into the folder. */
export async function writeNodeCredentials(
  folder: string,
  { name, address }: { readonly name: string; readonly address: string },
  authority: Authority,
): Promise<void> {
  // Node names are ours: letters, digits and dashes.
  const subject = `/O=system:nodes/CN=system:node:${name}`;
  await sign(folder, 'client', subject, 'extendedKeyUsage=clientAuth\n', authority);
  const serving = `extendedKeyUsage=serverAuth\nsubjectAltName=IP:${address},DNS:${name}\n`;
  await sign(folder, 'server', subject, serving, authority);
  await sign(folder, 'kube-proxy', '/CN=system:kube-proxy', 'extendedKeyUsage=clientAuth\n', authority);
}

async function sign(
  folder: string,
  file: 'client' | 'server' | 'kube-proxy',
  subject: string,
  extensions: string,
  { certificate, key }: Authority,
): Promise<void> {
  const openssl = (...args: string[]) => runOrThrow('openssl', args, { cwd: folder });
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', ...fresh, '-subj', subject, '-keyout', `${file}.key`, '-out', `${file}.csr`);
  await writeFile(join(folder, `${file}.ext`), extensions);
  const signer = ['-CA', certificate, '-CAkey', key, '-set_serial', `0x${randomBytes(8).toString('hex')}`];
  const made = ['-extfile', `${file}.ext`, '-out', `${file}.crt`];
  await openssl('x509', '-req', '-in', `${file}.csr`, ...signer, '-days', '30', ...made);
}
