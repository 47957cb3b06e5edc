import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Credential } from './credentials.ts';
import { execCredentialSource } from './credentials-exec.ts';
import type { ExecPlugin, KubeconfigCluster } from './kubeconfig.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'exec-test-'));
});

afterAll(() => rm(directory, { recursive: true }));

const cluster: KubeconfigCluster = {
  server: 'https://server:6443',
  caFile: undefined,
  caData: 'CA',
  insecure: false,
  tlsServerName: undefined,
  proxyUrl: undefined,
};

function run(script: string, plugin: Partial<ExecPlugin> = {}, timeoutMs?: number): Promise<Credential> {
  const whole: ExecPlugin = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: '/bin/sh',
    args: ['-c', script],
    env: {},
    installHint: undefined,
    provideClusterInfo: false,
    ...plugin,
  };
  return execCredentialSource({ plugin: whole, cluster, what: 'user u', env: process.env, timeoutMs }).fetch();
}

function printing(status: object): string {
  return `echo '${JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status })}'`;
}

describe('a credential plugin', () => {
  test('gives a token, used until shortly before it expires', async () => {
    const expirationTimestamp = '2030-01-01T00:00:00Z';
    expect(await run(printing({ token: 't', expirationTimestamp }))).toEqual({
      headers: { authorization: 'Bearer t' },
      tls: {},
      freshUntilMs: Date.parse(expirationTimestamp) - 10_000,
    });
  });

  test('gives a client certificate', async () => {
    expect(await run(printing({ clientCertificateData: 'CERT', clientKeyData: 'KEY' }))).toEqual({
      headers: {},
      tls: { cert: 'CERT', key: 'KEY' },
    });
  });

  test('is told what it is asked for, and about the cluster where the kubeconfig says so', async () => {
    const info = join(directory, 'info');
    const script = `printf '%s %s' "$EXTRA" "$KUBERNETES_EXEC_INFO" > ${info}; ${printing({ token: 't' })}`;
    await run(script, { env: { EXTRA: 'extra' }, provideClusterInfo: true });
    const [extra, json] = (await readFile(info, 'utf8')).split(' ');
    expect(extra).toBe('extra');
    expect(JSON.parse(json ?? '')).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://server:6443', 'certificate-authority-data': Buffer.from('CA').toString('base64') },
      },
    });
  });

  test.each<{ title: string; script: string; says: string }>([
    { title: 'that fails says why', script: 'echo log in first >&2; exit 3', says: 'ended with code 3: log in first' },
    { title: 'that fails without a word', script: 'exit 1', says: 'ended with code 1: it said nothing' },
    { title: 'that prints no JSON', script: 'echo secret', says: 'printed something that is not JSON' },
    { title: 'that gives nothing', script: printing({}), says: 'gave neither a token nor a client certificate' },
    { title: 'that floods is ended', script: 'yes secret', says: 'printed more than a credential' },
  ])('$title', async ({ script, says }) => {
    const error = await run(script).then(
      () => expect.fail('gave a credential'),
      (thrown: unknown) => thrown,
    );
    expect(String(error)).toContain(`user u: the credential plugin /bin/sh ${says}`);
    expect(String(error)).not.toContain('secret');
  });

  test('that hangs is ended, with what it has started', async () => {
    const pidFile = join(directory, 'pid');
    const script = `sleep 600 & echo $! > ${pidFile}; wait`;
    await expect(run(script, {}, 1_000)).rejects.toThrow('was not done after 1 s');
    const pid = (await readFile(pidFile, 'utf8')).trim();
    // One that has ended has no command line, also where nobody has waited for it yet.
    const commandLine = (): Promise<string> => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    await vi.waitFor(async () => expect(await commandLine()).toBe(''));
  });

  test('that is not installed is told with the kubeconfig’s hint', async () => {
    const plugin = { command: join(directory, 'no-such-plugin'), installHint: 'Install it from example.org' };
    await expect(run('', plugin)).rejects.toThrow('cannot be run (ENOENT). Install it from example.org');
  });

  test('that is no program is told', async () => {
    const command = join(directory, 'not-executable');
    await writeFile(command, '');
    await expect(run('', { command })).rejects.toThrow('cannot be run (EACCES)');
  });
});
