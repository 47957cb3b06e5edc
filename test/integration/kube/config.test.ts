import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { KubeClient } from '../../../src/kube/client.ts';
import { type Connection, loadConnection } from '../../../src/kube/config.ts';
import { NODES, PODS } from '../../../src/kube/core.ts';
import { isUnauthorized } from '../../../src/kube/errors.ts';
import { inClusterConnection } from '../../../src/kube/in-cluster.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { type Cluster, useCluster } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { runOrThrow } from '../../harness/run.ts';

interface SelfSubjectReview extends KubeObject {
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

/** Creating one gives who the server takes us for. */
const WHO_AM_I = defineResource<SelfSubjectReview>({
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'SelfSubjectReview',
  plural: 'selfsubjectreviews',
  namespaced: false,
});

const SERVICE_ACCOUNTS = defineResource({
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  namespaced: true,
});

let cluster: Cluster;
let directory: string;
let namespace: string;
const clients: KubeClient[] = [];

beforeAll(async () => {
  cluster = await useCluster();
  directory = await mkdtemp(join(tmpdir(), 'kube-config-'));
  namespace = await cluster.freshNamespace('kube-config');
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await rm(directory, { recursive: true });
});

function clientOf(connection: Connection): KubeClient {
  const client = new KubeClient({ connection, userAgent: 'kmm-test/1' });
  clients.push(client);
  return client;
}

async function whoAmI(client: KubeClient): Promise<string | undefined> {
  const review = await client.create(WHO_AM_I, { metadata: {} });
  return review.status?.userInfo?.username;
}

async function kubeconfig(name: string, user: object, more: object = {}): Promise<string> {
  const { server, pki } = cluster.controlPlane;
  const file = join(directory, name);
  const config = {
    'current-context': 'c',
    clusters: [{ name: 'c', cluster: { server, 'certificate-authority': pki.ca, ...more } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('succeeded'),
    (error: unknown) => error,
  );
}

async function newServiceAccount(name: string): Promise<void> {
  await cluster.admin.create(SERVICE_ACCOUNTS, { metadata: { name, namespace } });
}

function newToken(name: string): Promise<string> {
  return cluster.admin.token({ namespace, name });
}

/** Has the API server reject the account's tokens from now on, as it does those that have expired. */
async function invalidateTokens(name: string, token: string): Promise<void> {
  await cluster.admin.delete(SERVICE_ACCOUNTS, { name, namespace });
  await newServiceAccount(name);
  // The server remembers for 10 s whom a token belongs to.
  const connection = await loadConnection({ kubeconfig: await kubeconfig('invalidated', { token }) });
  const client = clientOf(connection);
  await eventually(async () => expect(isUnauthorized(await failure(client.get(NODES, { name: 'x' })))).toBe(true), {
    what: 'the old token to be rejected',
    intervalMs: 500,
  });
}

describe('a kubeconfig', () => {
  test.each(['files', 'data'])('with a client certificate in %s', async (where) => {
    const { adminCertificate, adminKey } = cluster.controlPlane.pki;
    const user =
      where === 'files'
        ? { 'client-certificate': adminCertificate, 'client-key': adminKey }
        : {
            'client-certificate-data': await readFile(adminCertificate, 'base64'),
            'client-key-data': await readFile(adminKey, 'base64'),
          };
    const connection = await loadConnection({ kubeconfig: await kubeconfig(`certificate-${where}`, user) });
    expect(await whoAmI(clientOf(connection))).toBe('kwok-admin');
  });

  test('with a token, and acting as somebody else', async () => {
    await newServiceAccount('plain');
    const token = await newToken('plain');
    const connection = await loadConnection({ kubeconfig: await kubeconfig('token', { token }) });
    expect(await whoAmI(clientOf(connection))).toBe(`system:serviceaccount:${namespace}:plain`);
    const { adminCertificate, adminKey } = cluster.controlPlane.pki;
    const user = {
      'client-certificate': adminCertificate,
      'client-key': adminKey,
      as: 'jane',
      'as-groups': ['a', 'b'],
    };
    const impersonating = await loadConnection({ kubeconfig: await kubeconfig('as', user) });
    expect(await whoAmI(clientOf(impersonating))).toBe('jane');
  });

  test('with a credential plugin, which is run again when its token is rejected, and not before', async () => {
    await newServiceAccount('plugin');
    const runs = join(directory, 'plugin-runs');
    const credential = join(directory, 'plugin-credential.json');
    const give = async (token: string): Promise<void> =>
      writeFile(credential, JSON.stringify({ kind: 'ExecCredential', status: { token } }));
    const plugin = join(directory, 'plugin.sh');
    await writeFile(plugin, `#!/bin/sh\necho run >> ${runs}\ncat ${credential}\n`, { mode: 0o755 });
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.sh', interactiveMode: 'Never' };
    const client = clientOf(await loadConnection({ kubeconfig: await kubeconfig('plugin', { exec }) }));

    const first = await newToken('plugin');
    await give(first);
    for (let each = 0; each < 3; each++) expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:plugin`);
    expect(await readFile(runs, 'utf8')).toBe('run\n');

    await invalidateTokens('plugin', first);
    await give(await newToken('plugin'));
    expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:plugin`);
    expect(await readFile(runs, 'utf8')).toBe('run\nrun\n');
  });

  test('with a credential plugin that gives a client certificate', async () => {
    const { adminCertificate, adminKey } = cluster.controlPlane.pki;
    const status = {
      clientCertificateData: await readFile(adminCertificate, 'utf8'),
      clientKeyData: await readFile(adminKey, 'utf8'),
    };
    const credential = join(directory, 'certificate-credential.json');
    await writeFile(credential, JSON.stringify({ kind: 'ExecCredential', status }));
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'cat', args: [credential] };
    const client = clientOf(await loadConnection({ kubeconfig: await kubeconfig('exec-certificate', { exec }) }));
    expect(await whoAmI(client)).toBe('kwok-admin');
  });
});

test('a server is reached through the proxy that the kubeconfig names', async () => {
  const reached: (string | undefined)[] = [];
  const proxy = createServer().on('connect', (request, socket) => {
    reached.push(request.url);
    const { hostname, port } = new URL(cluster.controlPlane.server);
    const upstream = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = proxy.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const { adminCertificate, adminKey } = cluster.controlPlane.pki;
  const user = { 'client-certificate': adminCertificate, 'client-key': adminKey };
  const file = await kubeconfig('proxy', user, { 'proxy-url': `http://127.0.0.1:${port}` });
  const client = clientOf(await loadConnection({ kubeconfig: file }));
  expect(await whoAmI(client)).toBe('kwok-admin');
  expect(reached).toEqual([new URL(cluster.controlPlane.server).host]);
  await client.close();
  proxy.close();
});

describe('a pod', () => {
  test('whose token the kubelet has replaced goes on when the old one is rejected, also with a write', async () => {
    const folder = join(directory, 'pod');
    await mkdir(folder);
    await newServiceAccount('pod');
    const first = await newToken('pod');
    await writeFile(join(folder, 'token'), first);
    await writeFile(join(folder, 'namespace'), namespace);
    await writeFile(join(folder, 'ca.crt'), await readFile(cluster.controlPlane.pki.ca));
    const { hostname, port } = new URL(cluster.controlPlane.server);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    const client = clientOf(await inClusterConnection({ env, directory: folder }));
    expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:pod`);

    await invalidateTokens('pod', first);
    expect(isUnauthorized(await failure(whoAmI(client)))).toBe(true);
    // In one step, as the kubelet does.
    await writeFile(join(folder, 'token.new'), await newToken('pod'));
    await rename(join(folder, 'token.new'), join(folder, 'token'));
    expect(await whoAmI(client)).toBe(`system:serviceaccount:${namespace}:pod`);
  });
});

describe('TLS', () => {
  test('a CA that is not the server’s is told in one sentence, with the CA that was used', async () => {
    const other = join(directory, 'other.crt');
    const args = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=other'];
    await runOrThrow('openssl', ['req', ...args, '-keyout', join(directory, 'other.key'), '-out', other]);
    const file = await kubeconfig('wrong-ca', {}, { 'certificate-authority': other });
    const error = await failure(clientOf(await loadConnection({ kubeconfig: file })).list(PODS));
    const { server } = cluster.controlPlane;
    expect(error).toMatchObject({
      name: 'ConnectionError',
      message: expect.stringMatching(
        new RegExp(`^list pods: the certificate of ${server} is not signed by the CA in ${other} \\([A-Z_]+\\)\\. Put`),
      ),
    });
  });

  test('a CA of the same name but another key is told the same way', async () => {
    const { stdout } = await runOrThrow('openssl', [
      'x509',
      '-noout',
      '-subject',
      '-nameopt',
      'compat',
      '-in',
      cluster.controlPlane.pki.ca,
    ]);
    const subject = stdout.trim().replace(/^subject=\s*/, '');
    const twin = join(directory, 'twin.crt');
    const args = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', subject];
    await runOrThrow('openssl', ['req', ...args, '-keyout', join(directory, 'twin.key'), '-out', twin]);
    const file = await kubeconfig('twin-ca', {}, { 'certificate-authority': twin });
    const error = await failure(clientOf(await loadConnection({ kubeconfig: file })).list(PODS));
    expect(String(error)).toContain(`is not signed by the CA in ${twin}`);
  });

  test('no CA at all means the roots that Node brings, and those do not know the server', async () => {
    const file = await kubeconfig('no-ca', {}, { 'certificate-authority': undefined });
    const error = await failure(clientOf(await loadConnection({ kubeconfig: file })).list(PODS));
    expect(String(error)).toContain(
      `is not signed by the CA in Node's built-in roots (kubeconfig ${file}, context c names no CA)`,
    );
  });

  test('a name that the certificate does not carry is told, and tls-server-name overrides it', async () => {
    const { adminCertificate, adminKey } = cluster.controlPlane.pki;
    const user = { 'client-certificate': adminCertificate, 'client-key': adminKey };
    const wrong = await kubeconfig('wrong-name', user, { 'tls-server-name': 'wrong.example' });
    const error = await failure(clientOf(await loadConnection({ kubeconfig: wrong })).list(PODS));
    expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    expect(String(error)).toContain('is for other names');
    const right = await kubeconfig('right-name', user, { 'tls-server-name': 'kubernetes.default.svc' });
    expect(await whoAmI(clientOf(await loadConnection({ kubeconfig: right })))).toBe('kwok-admin');
  });

  test('insecure-skip-tls-verify checks nothing', async () => {
    const { adminCertificate, adminKey } = cluster.controlPlane.pki;
    const user = { 'client-certificate': adminCertificate, 'client-key': adminKey };
    const insecure = { 'certificate-authority': undefined, 'insecure-skip-tls-verify': true };
    const connection = await loadConnection({ kubeconfig: await kubeconfig('insecure', user, insecure) });
    expect(await whoAmI(clientOf(connection))).toBe('kwok-admin');
  });
});
