import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord } from '../../kernel/json-record.ts';
import type { BuildFiles } from './files.ts';
import { entriesOf } from './mounted-files.ts';
import type { BuildRequest } from './request.ts';

/** The site's own way to its registries stays as it is where no file says otherwise. */
const DEFAULT_REGISTRIES_CONF = 'unqualified-search-registries = ["docker.io"]\n';

/** Whose signatures images carry is the cluster's policy, not the builder's. Source: containers-policy.json(5). */
const POLICY_JSON = `${JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] })}\n`;

export type StorageDriver = 'overlay' | 'vfs';

/** Source: containers-storage.conf(5). */
export function storageConf(work: string, driver: StorageDriver): string {
  const quoted = (name: string): string => JSON.stringify(join(work, name));
  return `[storage]\ndriver = "${driver}"\ngraphroot = ${quoted('storage')}\nrootless_storage_path = ${quoted('storage')}\nrunroot = ${quoted('run')}\n`;
}

/** An entry of `auths`, as containers-auth.json(5) has it. */
interface Auth {
  readonly auth?: string;
  readonly identitytoken?: string;
}
export type Auths = Readonly<Record<string, Auth>>;

/**
 * The credentials of a mounted Secret: of `.dockerconfigjson`, whose entries stand below `auths`, or of the older `.dockercfg`, which is
 * the entries alone. Only credentials are taken: helpers that such a file names would be programs to run.
 *
 * @throws Error in one sentence when it is no such file
 */
export function readAuths(text: string): Auths {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    // The parser's own words quote what it read.
    throw new Error('it is not JSON');
  }
  if (!isRecord(config)) throw new Error('it is not a JSON object');
  const auths = isRecord(config.auths) ? config.auths : config;
  return Object.fromEntries(
    Object.entries(auths).flatMap(([host, entry]): [string, Auth][] => {
      const auth = isRecord(entry) ? authOf(entry) : undefined;
      return auth === undefined ? [] : [[host, auth]];
    }),
  );
}

/** kubectl writes `auth`; people who write a Secret by hand often leave it out, and the container tools read nothing else. */
function authOf({ auth, username, password, identitytoken }: Readonly<Record<string, unknown>>): Auth | undefined {
  const token = typeof identitytoken === 'string' && identitytoken !== '' ? { identitytoken } : {};
  if (typeof auth === 'string' && auth !== '') return { auth, ...token };
  if (typeof username !== 'string' || typeof password !== 'string') return undefined;
  return { auth: Buffer.from(`${username}:${password}`).toString('base64'), ...token };
}

/**
 * The credentials for a repository, looked up as the container tools do: the longest path first, then the host, then the old forms of it.
 * Source: containers-auth.json(5), and github.com/containers/image/pkg/docker/config/config.go, normalizeAuthFileKey.
 */
export function authFor(auths: Auths, repository: string): Auth | undefined {
  for (let key = repository; key !== ''; key = key.slice(0, Math.max(0, key.lastIndexOf('/')))) {
    const auth = auths[key];
    if (auth !== undefined) return auth;
  }
  const [host = ''] = repository.split('/');
  const old = Object.entries(auths).find(([key]) => hostOfKey(key) === hostOfKey(host));
  return old?.[1];
}

/** Docker wrote `https://index.docker.io/v1/` where others write `docker.io`. */
function hostOfKey(key: string): string {
  const [host = ''] = key.replace(/^https?:\/\//, '').split('/');
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}

/** Credentials for pulling, and beside them those that `push` has for `repository`, which only count for it. */
export function withPushAuth(pull: Auths, push: Auths, repository: string): Auths {
  const auth = authFor(push, repository);
  return auth === undefined ? pull : { ...pull, [repository]: auth };
}

/**
 * The site's registries.conf, where `hosts` may be asked in plain HTTP or with a certificate that nobody checks: the container tools know
 * one word for both, and try HTTPS first. An entry that the site has for such a host (a mirror, say) stays, with that word in it.
 * Source: containers-registries.conf(5).
 */
export function registriesConf(site: string | undefined, hosts: readonly string[]): string {
  let text = site ?? DEFAULT_REGISTRIES_CONF;
  for (const host of new Set(hosts)) text = withInsecure(text, host);
  return text;
}

function withInsecure(conf: string, host: string): string {
  const lines = conf.split('\n');
  const start = lines.findIndex((line, index) => isRegistryHead(line) && namesHost(lines, index + 1, host));
  if (start < 0) return `${conf.trimEnd()}\n\n[[registry]]\nlocation = ${JSON.stringify(host)}\ninsecure = true\n`;
  const end = endOfTable(lines, start + 1);
  const kept = lines.filter((line, index) => index <= start || index >= end || !/^\s*insecure\s*=/.test(line));
  return kept.toSpliced(start + 1, 0, 'insecure = true').join('\n');
}

/** Nodes and builds know the cluster's registry by two names; a `FROM` line that has the nodes' is pulled by the builds'. */
function withClusterRegistry(conf: string, registry: BuildRequest['clusterRegistry']): string {
  if (registry === undefined || registry.pull === registry.push) return conf;
  const [prefix, location] = [JSON.stringify(registry.pull), JSON.stringify(registry.push)];
  return `${conf.trimEnd()}\n\n[[registry]]\nprefix = ${prefix}\nlocation = ${location}\n`;
}

/** The token counts for the cluster's registry and for no other; its name is nobody's. */
function withToken(auths: Auths, host: string | undefined, token: string | undefined): Auths {
  if (host === undefined || token === undefined) return auths;
  return { ...auths, [host]: { auth: Buffer.from(`token:${token.trim()}`).toString('base64') } };
}

function isRegistryHead(line: string): boolean {
  return /^\s*\[\[\s*registry\s*\]\]/.test(line);
}

/** Of the lines of one `[[registry]]`, up to the next table; its mirrors are tables of their own. */
function endOfTable(lines: readonly string[], from: number): number {
  const end = lines.findIndex((line, index) => index >= from && /^\s*\[/.test(line));
  return end < 0 ? lines.length : end;
}

function namesHost(lines: readonly string[], from: number, host: string): boolean {
  const table = lines
    .slice(from, endOfTable(lines, from))
    .map((line) => /^\s*(prefix|location)\s*=\s*["']([^"']*)["']/.exec(line));
  const valueOf = (name: string): string | undefined => table.find((match) => match?.[1] === name)?.[2];
  return (valueOf('prefix') ?? valueOf('location')) === host;
}

/** Where the container tools find what they need to know of registries. */
export interface RegistryFiles {
  /** For images that are pulled, the layer cache beside the image included. */
  readonly pullAuth: string;
  /** For the image itself: looked up and pushed. */
  readonly pushAuth: string;
  /** The registries for which `pushAuth`, or `pullAuth`, has something. */
  readonly hasPushAuth: (repository: string) => boolean;
  readonly hasPullAuth: (repository: string) => boolean;
  /** Whether this container was given the credentials that push. */
  readonly mayPush: boolean;
  /** Whether the host is the cluster's own registry, which takes the build's token. */
  readonly isCluster: (registry: string) => boolean;
  readonly env: Readonly<Record<string, string>>;
}

export interface RegistryWishes {
  readonly repository: string;
  /** Hosts that may be asked without a certificate that is good. */
  readonly insecureHosts: readonly string[];
  readonly clusterRegistry?: BuildRequest['clusterRegistry'] | undefined;
}

/**
 * Writes them below `<work>/private`, readable by this user alone, and the policy to HOME, where the tools look for it.
 *
 * @throws Error in one sentence, without a word of any secret, when a file that was mounted is not what it should be
 */
export async function writeRegistryFiles(
  files: BuildFiles,
  work: string,
  wishes: RegistryWishes,
): Promise<RegistryFiles> {
  const folder = join(work, 'private', 'registries');
  const home = join(work, 'home');
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'ca'), { recursive: true, mode: 0o700 });
  await mkdir(join(home, '.config', 'containers'), { recursive: true });
  const mountedPull = await authsOf(files.pullSecret);
  const mountedPush = await authsOf(files.pushSecret);
  const pull = mountedPull ?? {};
  // A container that does not push has only the credentials that pull, which look an image up as well.
  const token = await textOf(files.clusterRegistryToken);
  const ours = wishes.clusterRegistry;
  const push = withToken(mountedPush ?? pull, ours?.push, token);
  const site = await textOf(join(files.registries, 'registries.conf'));
  const inFolder = (name: string): string => join(folder, name);
  await writePrivate(inFolder('pull-auth.json'), authFile(withPushAuth(pull, push, wishes.repository)));
  await writePrivate(inFolder('push-auth.json'), authFile(push));
  await writePrivate(
    inFolder('registries.conf'),
    withClusterRegistry(registriesConf(site, wishes.insecureHosts), ours),
  );
  await writeFile(join(home, '.config', 'containers', 'policy.json'), POLICY_JSON);
  await copyAuthorities(files.registries, inFolder('ca'));
  const authority = await textOf(files.clusterRegistryCA);
  if (authority !== undefined) await writeFile(join(inFolder('ca'), 'kmm-cluster-registry.crt'), authority);
  return {
    pullAuth: inFolder('pull-auth.json'),
    pushAuth: inFolder('push-auth.json'),
    hasPullAuth: (repository) => authFor(pull, repository) !== undefined,
    hasPushAuth: (repository) => authFor(push, repository) !== undefined,
    mayPush: token !== undefined || mountedPush !== undefined || mountedPull === undefined,
    isCluster: (registry) => registry === ours?.push,
    env: {
      CONTAINERS_REGISTRIES_CONF: inFolder('registries.conf'),
      // The system's bundle counts besides: Go reads SSL_CERT_FILE's default whatever this says. Source: crypto/x509/root_unix.go.
      SSL_CERT_DIR: `${inFolder('ca')}:/etc/ssl/certs`,
    },
  };
}

function authFile(auths: Auths): string {
  return `${JSON.stringify({ auths })}\n`;
}

/** Undefined where no Secret is mounted. */
async function authsOf(folder: string): Promise<Auths | undefined> {
  for (const name of ['.dockerconfigjson', '.dockercfg']) {
    const path = join(folder, name);
    const text = await textOf(path);
    if (text === undefined) continue;
    try {
      return readAuths(text);
    } catch (error) {
      throw new Error(
        `the Secret's ${name} holds no registry credentials: ${error instanceof Error ? error.message : ''}`,
        { cause: error },
      );
    }
  }
  const names = await entriesOf(folder);
  if (names.length === 0) return undefined;
  throw new Error(`the Secret for the registry has no key .dockerconfigjson (it has ${names.join(', ')})`);
}

async function copyAuthorities(from: string, to: string): Promise<void> {
  for (const name of await entriesOf(from)) {
    if (name.endsWith('.crt')) await copyFile(join(from, name), join(to, name));
  }
}

async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  await chmod(path, 0o600);
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
