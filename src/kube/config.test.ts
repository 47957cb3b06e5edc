import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConnection } from './config.ts';
import { connectionErrorOf } from './connection-errors.ts';
import { inClusterConnection } from './in-cluster.ts';

let directory: string;
/** PEM of a CA of our own. */
let ca: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'config-test-'));
  const key = join(directory, 'ca.key');
  const certificate = join(directory, 'ca.crt');
  const args = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=ca'];
  execFileSync('openssl', ['req', ...args, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  ca = await readFile(certificate, 'utf8');
});

afterAll(() => rm(directory, { recursive: true }));

async function scratch(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(directory, 'case-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

function kubeconfig(server: string, user: object = {}, cluster: object = {}): string {
  return JSON.stringify({
    'current-context': 'x',
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x', namespace: 'ns' } }],
    clusters: [{ name: 'x', cluster: { server, ...cluster } }],
    users: [{ name: 'x', user }],
  });
}

const POD = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
const podFiles = () => ({ token: 'secret-1\n', 'ca.crt': ca, namespace: 'kmm-system' });

describe('which connection', () => {
  test('in a pod: its service account', async () => {
    const folder = await scratch(podFiles());
    const connection = await loadConnection({ env: POD, serviceAccountDirectory: folder });
    expect(connection).toMatchObject({ server: 'https://10.0.0.1:443', host: '10.0.0.1:443', namespace: 'kmm-system' });
    expect(await connection.authorize()).toEqual({ headers: { authorization: 'Bearer secret-1' }, tls: { ca } });
  });

  test('in a pod of a cluster with IPv6', async () => {
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
    expect(await inClusterConnection({ env, directory: await scratch(podFiles()) })).toMatchObject({
      server: 'https://[fd00::1]:6443',
      host: '[fd00::1]:6443',
    });
  });

  test('a kubeconfig that is given goes before the pod', async () => {
    const folder = await scratch({ ...podFiles(), config: kubeconfig('https://given') });
    const options = { env: POD, serviceAccountDirectory: folder, kubeconfig: join(folder, 'config') };
    expect(await loadConnection(options)).toMatchObject({
      server: 'https://given',
      host: 'given:443',
      namespace: 'ns',
    });
  });

  test('elsewhere: KUBECONFIG, of whose files some may be missing, and then ~/.kube/config', async () => {
    const folder = await scratch({ a: kubeconfig('https://a'), '.kube/config': kubeconfig('http://home') });
    const KUBECONFIG = [join(folder, 'missing'), join(folder, 'a')].join(delimiter);
    expect(await loadConnection({ env: { KUBECONFIG, HOME: folder } })).toMatchObject({ server: 'https://a' });
    expect(await loadConnection({ env: { HOME: folder } })).toMatchObject({ server: 'http://home', host: 'home:80' });
  });

  test('the service’s address alone makes no pod: the pod may have no service account mounted', async () => {
    const folder = await scratch({ '.kube/config': kubeconfig('https://home') });
    const options = { env: { ...POD, HOME: folder }, serviceAccountDirectory: join(folder, 'nothing') };
    expect(await loadConnection(options)).toMatchObject({ server: 'https://home' });
  });

  test('nowhere: one sentence that says where was looked and what to do', async () => {
    const folder = await scratch({});
    await expect(loadConnection({ env: { HOME: folder } })).rejects.toThrow(
      `no cluster to talk to: this is no pod with a service account, and ${folder}/.kube/config is not there. Set KUBECONFIG or give --kubeconfig.`,
    );
    await expect(loadConnection({ env: {} })).rejects.toThrow('KUBECONFIG and HOME are not set');
    const env = { KUBECONFIG: join(folder, 'missing') };
    await expect(loadConnection({ env })).rejects.toThrow(`${folder}/missing is not there`);
  });
});

describe('a credential of a kubeconfig', () => {
  async function load(user: object, cluster: object = {}, files: Readonly<Record<string, string>> = {}) {
    const folder = await scratch({ ...files, config: kubeconfig('https://server', user, cluster) });
    return { folder, connection: await loadConnection({ kubeconfig: join(folder, 'config'), env: {} }) };
  }

  test.each<[string, object, object]>([
    ['a token', { token: 't' }, { authorization: 'Bearer t' }],
    [
      'a token file, which wins over a token',
      { token: 't', tokenFile: 'token' },
      { authorization: 'Bearer from-file' },
    ],
    ['a password', { username: 'u', password: 'p' }, { authorization: `Basic ${btoa('u:p')}` }],
    ['nothing', {}, {}],
    [
      'impersonation',
      { as: 'a', 'as-groups': ['g', 'h'] },
      { 'impersonate-user': 'a', 'impersonate-group': ['g', 'h'] },
    ],
  ])('%s', async (_, user, headers) => {
    const { connection } = await load(user, {}, { token: 'from-file\n' });
    expect((await connection.authorize()).headers).toEqual(headers);
  });

  test('a token file that has been replaced is read after a 401', async () => {
    const { folder, connection } = await load({ tokenFile: 'token' }, {}, { token: 'secret-1' });
    const first = await connection.authorize();
    expect(await connection.refresh(first)).toBe(false);
    await writeFile(join(folder, 'token'), 'secret-2');
    expect(await connection.refresh(first)).toBe(true);
    expect((await connection.authorize()).headers).toEqual({ authorization: 'Bearer secret-2' });
  });

  test('how the server is checked goes with it', async () => {
    const cluster = { 'certificate-authority-data': btoa(ca), 'tls-server-name': 'other' };
    expect((await (await load({}, cluster)).connection.authorize()).tls).toEqual({ ca, servername: 'other' });
    const insecure = { 'insecure-skip-tls-verify': true };
    expect((await (await load({}, insecure)).connection.authorize()).tls).toEqual({ insecure: true });
  });
});

describe('what is wrong is told in one sentence', () => {
  test.each<{ title: string; user?: object; cluster?: object; says: string | RegExp }>([
    {
      title: 'a CA file that is not there',
      cluster: { 'certificate-authority': 'no.crt' },
      says: /cannot read the CA file \S+no.crt \(ENOENT\)/,
    },
    {
      title: 'a CA file that is none',
      cluster: { 'certificate-authority': 'config' },
      says: /config holds no PEM certificate/,
    },
    {
      title: 'CA data that is none',
      cluster: { 'certificate-authority-data': btoa('x') },
      says: /certificate-authority-data of kubeconfig \S+, context x holds no PEM/,
    },
    {
      title: 'a CA that is broken',
      cluster: { 'certificate-authority-data': btoa('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n') },
      says: 'holds a certificate that cannot be read',
    },
    {
      title: 'a proxy of another kind',
      cluster: { 'proxy-url': 'socks5://x' },
      says: 'proxy-url is no http or https URL',
    },
    {
      title: 'a certificate without a key',
      user: { 'client-certificate-data': btoa('x') },
      says: 'a client certificate but no key',
    },
    {
      title: 'a key without a certificate',
      user: { 'client-key-data': btoa('x') },
      says: 'a client key but no certificate',
    },
    {
      title: 'a token file that is not there',
      user: { tokenFile: 'no' },
      says: /cannot read the token file \S+no \(ENOENT\)/,
    },
  ])('$title', async ({ user, cluster, says }) => {
    const folder = await scratch({ config: kubeconfig('https://server', user, cluster) });
    const load = async () => (await loadConnection({ kubeconfig: join(folder, 'config'), env: {} })).authorize();
    await expect(load()).rejects.toThrow(says);
    await expect(load()).rejects.toMatchObject({ name: 'ConfigError' });
  });

  test('a server that nobody can reach is named without the password in its address', async () => {
    const folder = await scratch({ config: kubeconfig('https://admin:hunter2@127.0.0.1:1') });
    const connection = await loadConnection({ kubeconfig: join(folder, 'config'), env: {} });
    const refused = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
    const { message } = connectionErrorOf('list nodes', connection, refused);
    expect(message).toContain('nobody listens at https://127.0.0.1:1 (ECONNREFUSED)');
    expect(message).not.toContain('hunter2');
  });

  test.each(['token', 'ca.crt', 'namespace'])('a pod without its %s', async (name) => {
    const folder = await scratch(podFiles());
    await rm(join(folder, name));
    await expect(inClusterConnection({ env: POD, directory: folder })).rejects.toThrow(`${folder}/${name} (ENOENT)`);
  });

  test('a pod whose token is empty', async () => {
    const folder = await scratch({ ...podFiles(), token: '\n' });
    await expect(inClusterConnection({ env: POD, directory: folder })).rejects.toThrow('token is empty');
  });
});

describe('a pod’s token', () => {
  test('is read again after a minute and not before, with the CA', async () => {
    let now = 0;
    const folder = await scratch(podFiles());
    const connection = await inClusterConnection({ env: POD, directory: folder, now: () => now });
    await writeFile(join(folder, 'token'), 'secret-2');
    now = 59_999;
    expect((await connection.authorize()).headers).toEqual({ authorization: 'Bearer secret-1' });
    now = 60_000;
    const second = await connection.authorize();
    expect(second.headers).toEqual({ authorization: 'Bearer secret-2' });
    await writeFile(join(folder, 'ca.crt'), `${ca}\n${ca}`);
    now = 120_000;
    expect((await connection.authorize()).tls).not.toBe(second.tls);
  });

  test('goes on being used while the kubelet swaps the files', async () => {
    let now = 0;
    const folder = await scratch(podFiles());
    const connection = await inClusterConnection({ env: POD, directory: folder, now: () => now });
    await rm(join(folder, 'token'));
    now = 60_000;
    expect((await connection.authorize()).headers).toEqual({ authorization: 'Bearer secret-1' });
  });
});

test('the library that knows old auth providers is imported only when one is met', { timeout: 60_000 }, async () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const idToken = `${part({ alg: 'none' })}.${part({ exp: 4_000_000_000 })}.x`;
  const folder = await scratch({
    plain: kubeconfig('https://server', { token: 't' }),
    empty: kubeconfig('https://server', { 'auth-provider': { name: 'oidc', config: {} } }),
    oidc: kubeconfig('https://server', { 'auth-provider': { name: 'oidc', config: { 'id-token': idToken } } }),
  });
  const program = `
    import { registerHooks } from 'node:module';
    let imported = false;
    registerHooks({
      resolve(specifier, context, next) {
        imported ||= specifier === '@kubernetes/client-node';
        return next(specifier, context);
      },
    });
    const { loadConnection } = await import(${JSON.stringify(new URL('./config.ts', import.meta.url).href)});
    for (const kubeconfig of process.argv.slice(1)) {
      const connection = await loadConnection({ kubeconfig, env: {} });
      console.log(imported, await connection.authorize().then(({ headers }) => headers.authorization, (error) => error.message));
    }
    console.log(imported);
  `;
  const argv = ['--input-type=module', '-e', program, ...['plain', 'empty', 'oidc'].map((name) => join(folder, name))];
  const lines = execFileSync(process.execPath, argv, { encoding: 'utf8' }).trim().split('\n');
  expect(lines).toEqual([
    'false Bearer t',
    expect.stringMatching(/^false kubeconfig \S+, context x: user x: the auth-provider oidc failed: it gave no token$/),
    `true Bearer ${idToken}`,
    'true',
  ]);
});
