import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Connection, hostOf, type TlsMaterial } from './connection.ts';
import { bearer, type Credential, type CredentialSource, Credentials } from './credentials.ts';
import { authProviderSource } from './credentials-auth-provider.ts';
import { execCredentialSource } from './credentials-exec.ts';
import { ConfigError } from './errors.ts';
import { inClusterConnection, SERVICE_ACCOUNT_DIRECTORY } from './in-cluster.ts';
import { type KubeconfigCluster, type KubeconfigContext, type KubeconfigUser, readKubeconfig } from './kubeconfig.ts';
import { checkedCertificates, readSetting } from './pem.ts';

export type { Authorization, Connection, TlsMaterial } from './connection.ts';

export interface LoadOptions {
  /** A kubeconfig file; wins over everything else. */
  readonly kubeconfig?: string;
  /** A context of the kubeconfig, instead of its current one. */
  readonly context?: string;
  /** Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Where a pod's service account lies; for tests. */
  readonly serviceAccountDirectory?: string;
}

/** Files of a token or certificate are read again so often; see in-cluster.ts. */
const REREAD_MS = 60_000;

/**
 * Finds out which server to talk to and as whom: the kubeconfig that is given, else the pod's service account, else
 * KUBECONFIG, else ~/.kube/config.
 *
 * @throws ConfigError in one sentence.
 */
export async function loadConnection(options: LoadOptions = {}): Promise<Connection> {
  const env = options.env ?? process.env;
  const directory = options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY;
  const explicit = options.kubeconfig ?? '';
  const inPod = (env['KUBERNETES_SERVICE_HOST'] ?? '') !== '' && (await exists(join(directory, 'token')));
  if (explicit === '' && options.context === undefined && inPod) return inClusterConnection({ env, directory });
  const files = explicit === '' ? await defaultFiles(env) : [explicit];
  return connectionOf(await readKubeconfig(files, options.context), env);
}

async function defaultFiles(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const home = env['HOME'] ?? '';
  const candidates = listed.length > 0 ? listed : home === '' ? [] : [join(home, '.kube', 'config')];
  const present = await Promise.all(candidates.map(exists));
  // As kubectl does: of a list of files, those that are not there do not count.
  const files = candidates.filter((_, index) => present[index]);
  if (files.length > 0) return files;
  const looked = candidates.length === 0 ? 'KUBECONFIG and HOME are not set' : `${candidates.join(', ')} is not there`;
  throw new ConfigError(
    `no cluster to talk to: this is no pod with a service account, and ${looked}. Set KUBECONFIG or give --kubeconfig.`,
  );
}

async function connectionOf(context: KubeconfigContext, env: NodeJS.ProcessEnv): Promise<Connection> {
  const { cluster, user, source, namespace } = context;
  if (cluster.proxyUrl !== undefined && !/^https?:\/\//.test(cluster.proxyUrl)) {
    throw new ConfigError(`${source}: proxy-url is no http or https URL, and others are not supported`);
  }
  const serverTls = await serverTlsOf(cluster, source);
  const userSource = sourceOf(context, env);
  const credentials = new Credentials({
    keepsLast: userSource.keepsLast,
    fetch: async () => {
      const credential = await userSource.fetch();
      return {
        ...credential,
        headers: { ...credential.headers, ...impersonation(user) },
        tls: { ...serverTls, ...credential.tls },
      };
    },
  });
  return {
    server: cluster.server,
    host: hostOf(cluster.server),
    ...(namespace === undefined ? {} : { namespace }),
    description: source,
    caSource: caSourceOf(cluster, source),
    ...(cluster.proxyUrl === undefined ? {} : { proxyUrl: cluster.proxyUrl }),
    authorize: (signal) => credentials.authorize(signal),
    refresh: (rejected, signal) => credentials.refresh(rejected, signal),
  };
}

async function serverTlsOf(cluster: KubeconfigCluster, source: string): Promise<TlsMaterial> {
  const { caData, caFile, insecure, tlsServerName } = cluster;
  const pem = caData ?? (caFile === undefined ? undefined : await readSetting(caFile, 'the CA file'));
  return {
    ...(pem === undefined ? {} : { ca: checkedCertificates(pem, caSourceOf(cluster, source)) }),
    ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
    ...(insecure ? { insecure } : {}),
  };
}

function caSourceOf({ caData, caFile }: KubeconfigCluster, source: string): string {
  if (caData !== undefined) return `certificate-authority-data of ${source}`;
  return caFile ?? `Node's built-in roots (${source} names no CA)`;
}

function sourceOf({ cluster, user, source }: KubeconfigContext, env: NodeJS.ProcessEnv): CredentialSource {
  const what = `${source}: user ${user.name}`;
  if (user.exec !== undefined) return execCredentialSource({ plugin: user.exec, cluster, what, env });
  if (user.authProvider !== undefined) return authProviderSource(user.authProvider, cluster.server, what);
  return { keepsLast: true, fetch: () => fileCredential(user, what) };
}

/** What stands in the kubeconfig itself or in files it names. */
async function fileCredential(user: KubeconfigUser, what: string): Promise<Credential> {
  const [cert, key, token] = await Promise.all([
    user.certificateData ?? readIfNamed(user.certificateFile, 'the client certificate'),
    user.keyData ?? readIfNamed(user.keyFile, 'the client key'),
    // The file wins, as in client-go: it is the one that somebody renews.
    readIfNamed(user.tokenFile, 'the token file'),
  ]);
  if ((cert === undefined) !== (key === undefined)) {
    throw new ConfigError(
      `${what} has ${cert === undefined ? 'a client key but no certificate' : 'a client certificate but no key'}`,
    );
  }
  const fromFiles = user.tokenFile !== undefined || (cert !== undefined && user.certificateData === undefined);
  return {
    headers: { ...basic(user), ...bearer(token ?? user.token ?? '') },
    tls:
      cert === undefined || key === undefined
        ? {}
        : { cert: checkedCertificates(cert, `${what}: its client certificate`), key },
    ...(fromFiles ? { freshUntilMs: Date.now() + REREAD_MS } : {}),
  };
}

async function readIfNamed(file: string | undefined, what: string): Promise<string | undefined> {
  return file === undefined ? undefined : readSetting(file, what);
}

function basic({ username, password }: KubeconfigUser): Readonly<Record<string, string>> {
  if (username === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}` };
}

function impersonation(user: KubeconfigUser): Readonly<Record<string, string | readonly string[]>> {
  return {
    ...(user.impersonate === undefined ? {} : { 'impersonate-user': user.impersonate }),
    ...(user.impersonateUid === undefined ? {} : { 'impersonate-uid': user.impersonateUid }),
    ...(user.impersonateGroups.length === 0 ? {} : { 'impersonate-group': user.impersonateGroups }),
  };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
