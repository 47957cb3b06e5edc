import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readKubeconfig } from './kubeconfig.ts';

let directory: string;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubeconfig-test-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function file(content: unknown): Promise<string> {
  const path = join(directory, `config-${++count}`);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function config(name: string, user: object = {}, cluster: object = {}): Record<string, unknown> {
  return {
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name, namespace: `${name}-namespace` } }],
    clusters: [{ name, cluster: { server: `https://${name}.example:6443/`, ...cluster } }],
    users: [{ name, user }],
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('readKubeconfig', () => {
  test('gives the current context, with the paths of its files relative to the kubeconfig', async () => {
    const user = { 'client-certificate': 'pki/a.crt', 'client-key': '/abs/a.key', tokenFile: 'token', as: 'someone' };
    const context = await readKubeconfig([await file(config('a', user, { 'certificate-authority': '../ca.crt' }))]);
    expect(context).toMatchObject({
      name: 'a',
      namespace: 'a-namespace',
      cluster: { server: 'https://a.example:6443', caFile: join(directory, '../ca.crt'), insecure: false },
      user: {
        certificateFile: join(directory, 'pki/a.crt'),
        keyFile: '/abs/a.key',
        tokenFile: join(directory, 'token'),
        impersonate: 'someone',
      },
    });
  });

  test.each([
    ['https://admin:secret@a.example:6443', 'https://a.example:6443'],
    ['https://admin:secret@a.example:6443/', 'https://a.example:6443'],
    ['https://secret@a.example:6443/k8s/clusters/c//', 'https://a.example:6443/k8s/clusters/c'],
    ['https://a.example/at@home', 'https://a.example/at@home'],
    ['https://a.example:6443/', 'https://a.example:6443'],
  ])('of the server %s it keeps the address', async (server, kept) => {
    expect((await readKubeconfig([await file(config('a', {}, { server }))])).cluster.server).toBe(kept);
  });

  test('decodes what is embedded', async () => {
    const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
    const cluster = {
      'certificate-authority-data': base64('CA'),
      'insecure-skip-tls-verify': true,
      'tls-server-name': 'other',
      'proxy-url': 'http://proxy:3128',
    };
    expect(await readKubeconfig([await file(config('a', user, cluster))])).toMatchObject({
      user: { certificateData: 'CERT', keyData: 'KEY' },
      cluster: { caData: 'CA', insecure: true, tlsServerName: 'other', proxyUrl: 'http://proxy:3128' },
    });
  });

  test('of several files the first that says something about a name wins, and contexts go across', async () => {
    const first = await file(config('a', { token: 'first' }));
    const second = await file({
      ...config('a', { token: 'second' }),
      'current-context': 'b',
      contexts: [{ name: 'b', context: { cluster: 'a', user: 'a' } }],
    });
    expect(await readKubeconfig([first, second])).toMatchObject({ name: 'a', user: { token: 'first' } });
    expect(await readKubeconfig([first, second], 'b')).toMatchObject({ name: 'b', user: { token: 'first' } });
    expect(await readKubeconfig([second, first], 'b')).toMatchObject({ user: { token: 'second' } });
  });

  test('a plugin’s command with a slash is relative to the kubeconfig, a bare one is looked up', async () => {
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      args: ['token', 1],
      env: [{ name: 'A', value: 'b' }],
    };
    const user = async (command: string) =>
      (await readKubeconfig([await file(config('a', { exec: { ...exec, command } }))])).user.exec;
    expect(await user('./bin/login')).toMatchObject({
      command: join(directory, 'bin/login'),
      args: ['token', '1'],
      env: { A: 'b' },
    });
    expect(await user('aws')).toMatchObject({ command: 'aws' });
  });

  test('a context without a user is anonymous', async () => {
    const { users: _, ...rest } = config('a');
    const contexts = [{ name: 'a', context: { cluster: 'a' } }];
    expect((await readKubeconfig([await file({ ...rest, contexts })])).user.token).toBeUndefined();
  });
});

describe('what is wrong is told in one sentence', () => {
  const two = { ...config('a'), contexts: [{ name: 'a' }, { name: 'b' }] };

  test.each<{ title: string; content: unknown; context?: string; says: string }>([
    { title: 'an unknown context', content: two, context: 'c', says: 'has no context "c", but a, b' },
    {
      title: 'no current context',
      content: { ...two, 'current-context': '' },
      says: 'choose one of a, b by --context',
    },
    { title: 'no contexts', content: {}, says: 'has no current context: choose one of no context at all' },
    { title: 'no cluster of that name', content: { ...config('a'), clusters: [] }, says: 'there is no cluster "a"' },
    { title: 'no user of that name', content: { ...config('a'), users: [] }, says: 'there is no user "a"' },
    { title: 'no server', content: config('a', {}, { server: '' }), says: 'cluster a has no server' },
    {
      title: 'a server that is no URL',
      content: config('a', {}, { server: 'example:6443' }),
      says: 'is no http or https URL',
    },
    {
      title: 'a server of another kind, with a password',
      content: config('a', {}, { server: 'ftp://admin:secret@example:21' }),
      says: 'server "example:21" is no http or https URL',
    },
    {
      title: 'a server that is no URL, with a password',
      content: config('a', {}, { server: 'https://admin:se@secret@exam ple:6443' }),
      says: 'server "exam ple:6443" is no http or https URL',
    },
    { title: 'not YAML', content: 'token: secret\n\tx: [', says: 'is not YAML' },
    { title: 'no fields', content: 'just words', says: 'is not a kubeconfig' },
    { title: 'an empty file', content: '', says: 'is not a kubeconfig' },
    { title: 'contexts that are no list', content: { ...config('a'), contexts: {} }, says: 'contexts is not a list' },
    { title: 'a plugin without a command', content: config('a', { exec: { args: [] } }), says: 'exec has no command' },
  ])('$title', async ({ content, context, says }) => {
    const path = await file(content);
    const error = await readKubeconfig([path], context).then(
      () => expect.fail('was read'),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ name: 'ConfigError', message: expect.stringContaining(says) });
    expect(String(error)).toContain(path);
    expect(String(error)).not.toContain('secret');
  });

  test('a file that cannot be read', async () => {
    await expect(readKubeconfig([directory])).rejects.toThrow(`cannot read the kubeconfig ${directory} (EISDIR)`);
  });
});
