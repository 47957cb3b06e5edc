import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildFiles } from './files.ts';
import { authFor, readAuths, registriesConf, storageConf, withPushAuth, writeRegistryFiles } from './registries.ts';

const AUTH = Buffer.from('robot:s3cr3t').toString('base64');

test.each<[string, string, unknown]>([
  ['the entries below auths', JSON.stringify({ auths: { 'quay.io': { auth: AUTH } } }), { 'quay.io': { auth: AUTH } }],
  ['those of the older file', JSON.stringify({ 'quay.io': { auth: AUTH, email: 'x' } }), { 'quay.io': { auth: AUTH } }],
  [
    'name and password where auth is missing',
    JSON.stringify({ auths: { a: { username: 'robot', password: 's3cr3t' } } }),
    { a: { auth: AUTH } },
  ],
  ['no helper, which would be a program to run', JSON.stringify({ auths: {}, credHelpers: { a: 'evil' } }), {}],
  ['no entry without credentials', JSON.stringify({ auths: { a: {}, b: { auth: '' } } }), {}],
])('of a Secret are taken: %s', (_, text, expected) => {
  expect(readAuths(text)).toEqual(expected);
});

test('a Secret that is no JSON is refused without a word of it', () => {
  expect(() => readAuths('s3cr3t')).toThrow(/^it is not JSON$/);
});

test.each([
  ['quay.io/org/kmod', 'long'],
  ['quay.io/org', 'org'],
  ['quay.io/other', 'host'],
  ['docker.io/library/x', 'hub'],
  ['ghcr.io/x', undefined],
])('of many credentials %s gets those of the longest path: %s', (repository, expected) => {
  const auths = {
    'https://index.docker.io/v1/': { auth: 'hub' },
    'quay.io': { auth: 'host' },
    'quay.io/org': { auth: 'org' },
    'quay.io/org/kmod': { auth: 'long' },
  };
  expect(authFor(auths, repository)?.auth).toBe(expected);
});

test('what pushes counts for its repository alone when base images are pulled', () => {
  const pull = { 'quay.io': { auth: 'pull' } };
  expect(withPushAuth(pull, { 'quay.io': { auth: 'push' } }, 'quay.io/org/kmod')).toEqual({
    'quay.io': { auth: 'pull' },
    'quay.io/org/kmod': { auth: 'push' },
  });
  expect(withPushAuth(pull, {}, 'quay.io/org/kmod')).toBe(pull);
});

const SITE = `unqualified-search-registries = ["mirror.example"]

[[registry]]
prefix = "docker.io"
location = "mirror.example/hub"
insecure = false

[[registry.mirror]]
location = "other.example"
insecure = false
`;

test.each<[string, string | undefined, readonly string[], string]>([
  ['no site and no host', undefined, [], 'unqualified-search-registries = ["docker.io"]\n'],
  ['no host', SITE, [], SITE],
  [
    'a host of its own',
    'x = 1\n',
    ['r.io:5000', 'r.io:5000'],
    'x = 1\n\n[[registry]]\nlocation = "r.io:5000"\ninsecure = true\n',
  ],
  [
    'a host that the site has',
    SITE,
    ['docker.io'],
    SITE.replace('[[registry]]\n', '[[registry]]\ninsecure = true\n').replace(
      'mirror.example/hub"\ninsecure = false\n',
      'mirror.example/hub"\n',
    ),
  ],
  [
    'a host that is only the place of another',
    SITE,
    ['mirror.example/hub'],
    `${SITE}\n[[registry]]\nlocation = "mirror.example/hub"\ninsecure = true\n`,
  ],
])('registries.conf with %s', (_, site, hosts, expected) => {
  expect(registriesConf(site, hosts)).toBe(expected);
});

test('storage lies in the work folder', () => {
  expect(storageConf('/work "x"', 'vfs')).toContain(String.raw`graphroot = "/work \"x\"/storage"`);
});

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kmm-registries-'));
});
afterEach(() => rm(root, { recursive: true }));

const wishes = { repository: 'quay.io/org/kmod', insecureHosts: [] };

async function secret(folder: string, name: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, name), text);
}

test('credentials are files that nobody else can read', async () => {
  const files = buildFiles(root);
  await secret(files.pushSecret, '.dockerconfigjson', JSON.stringify({ auths: { 'quay.io': { auth: AUTH } } }));
  await secret(files.registries, 'site.crt', 'certificate');
  const written = await writeRegistryFiles(files, join(root, 'work'), wishes);
  for (const path of [written.pullAuth, written.pushAuth]) expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(JSON.parse(await readFile(written.pushAuth, 'utf8'))).toEqual({ auths: { 'quay.io': { auth: AUTH } } });
  expect(JSON.parse(await readFile(written.pullAuth, 'utf8'))).toEqual({
    auths: { 'quay.io/org/kmod': { auth: AUTH } },
  });
  expect(await readdir(join(root, 'work', 'private', 'registries', 'ca'))).toEqual(['site.crt']);
  expect(written.hasPushAuth('quay.io')).toBe(true);
  expect(written.hasPullAuth('quay.io')).toBe(false);
});

test.each<[string, boolean, boolean, boolean]>([
  ['none at all', false, false, true],
  ['those that pull', true, false, false],
  ['both', true, true, true],
])('a container with credentials, %s, may push layers: pull %s, push %s -> %s', async (_, pull, push, expected) => {
  const files = buildFiles(root);
  const text = JSON.stringify({ auths: { 'quay.io': { auth: AUTH } } });
  if (pull) await secret(files.pullSecret, '.dockercfg', text);
  if (push) await secret(files.pushSecret, '.dockerconfigjson', text);
  expect((await writeRegistryFiles(files, join(root, 'work'), wishes)).mayPush).toBe(expected);
});

test('a Secret of another kind is refused with what it has', async () => {
  const files = buildFiles(root);
  await secret(files.pullSecret, 'password', 's3cr3t');
  await expect(writeRegistryFiles(files, join(root, 'work'), wishes)).rejects.toThrow(
    'the Secret for the registry has no key .dockerconfigjson (it has password)',
  );
});

test("the cluster's registry takes the build's token, and no other registry sees it", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-registries-'));
  const files = buildFiles(join(folder, 'files'));
  const put = async (path: string, text: string): Promise<void> => {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, text);
  };
  await put(files.clusterRegistryToken, 'a.b.c\n');
  await put(files.clusterRegistryCA, 'PEM');
  await put(join(files.pullSecret, '.dockerconfigjson'), JSON.stringify({ auths: { 'quay.io': { auth: AUTH } } }));
  const written = await writeRegistryFiles(files, join(folder, 'work'), {
    repository: 'kmm-registry.svc/ns/kmod',
    insecureHosts: [],
    clusterRegistry: { pull: '127.0.0.1:5780', push: 'kmm-registry.svc' },
  });
  const token = { auth: Buffer.from('token:a.b.c').toString('base64') };
  const authsIn = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));
  expect(await authsIn(written.pushAuth)).toEqual({ auths: { 'quay.io': { auth: AUTH }, 'kmm-registry.svc': token } });
  // Other images of the registry are read without it.
  expect(await authsIn(written.pullAuth)).toEqual({
    auths: { 'quay.io': { auth: AUTH }, 'kmm-registry.svc/ns/kmod': token },
  });
  expect([written.mayPush, written.isCluster('kmm-registry.svc'), written.isCluster('quay.io')]).toEqual([
    true,
    true,
    false,
  ]);
  expect(await readFile(String(written.env['CONTAINERS_REGISTRIES_CONF']), 'utf8')).toContain(
    '[[registry]]\nprefix = "127.0.0.1:5780"\nlocation = "kmm-registry.svc"\n',
  );
  expect(await readFile(join(folder, 'work', 'private', 'registries', 'ca', 'kmm-cluster-registry.crt'), 'utf8')).toBe(
    'PEM',
  );
  await rm(folder, { recursive: true, force: true });
});
