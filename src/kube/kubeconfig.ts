import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { withoutPassword } from './connection-errors.ts';
import { ConfigError } from './errors.ts';
import { isRecord } from './json-record.ts';
import { readSetting } from './pem.ts';

/** A cluster, a user and a namespace, as one context of a kubeconfig puts them together. Paths are absolute. */
export interface KubeconfigContext {
  readonly name: string;
  /** The files that were read, as they stand in an error's sentence. */
  readonly source: string;
  readonly namespace: string | undefined;
  readonly cluster: KubeconfigCluster;
  readonly user: KubeconfigUser;
}

export interface KubeconfigCluster {
  readonly server: string;
  readonly caFile: string | undefined;
  /** PEM. */
  readonly caData: string | undefined;
  readonly insecure: boolean;
  readonly tlsServerName: string | undefined;
  readonly proxyUrl: string | undefined;
}

export interface KubeconfigUser {
  readonly name: string;
  readonly certificateFile: string | undefined;
  readonly certificateData: string | undefined;
  readonly keyFile: string | undefined;
  readonly keyData: string | undefined;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly impersonate: string | undefined;
  readonly impersonateUid: string | undefined;
  readonly impersonateGroups: readonly string[];
  readonly exec: ExecPlugin | undefined;
  /** Of the removed auth-provider plug-ins, as it stands in the file. */
  readonly authProvider: Readonly<Record<string, unknown>> | undefined;
}

export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly installHint: string | undefined;
  readonly provideClusterInfo: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

interface Entry {
  readonly fields: Fields;
  /** Relative paths are relative to the file they stand in. */
  readonly directory: string;
}

/**
 * Reads kubeconfig files and gives the wanted context, or the current one. As kubectl does, the first file that says
 * something about a name wins.
 * Source: k8s.io/client-go/tools/clientcmd/api/v1/types.go.
 *
 * @throws ConfigError in one sentence.
 */
export async function readKubeconfig(files: readonly string[], wanted?: string): Promise<KubeconfigContext> {
  const source = `kubeconfig ${files.join(', ')}`;
  const contexts = new Map<string, Entry>();
  const clusters = new Map<string, Entry>();
  const users = new Map<string, Entry>();
  let current: string | undefined;
  for (const file of files) {
    const config = await parseFile(file);
    collect(contexts, config['contexts'], 'context', file);
    collect(clusters, config['clusters'], 'cluster', file);
    collect(users, config['users'], 'user', file);
    current ??= text(config, 'current-context');
  }
  const name = wanted ?? current;
  if (name === undefined) {
    throw new ConfigError(`${source} has no current context: choose one of ${listed(contexts)} by --context`);
  }
  const context = contexts.get(name);
  if (context === undefined) {
    throw new ConfigError(`${source} has no context ${JSON.stringify(name)}, but ${listed(contexts)}`);
  }
  const where = `${source}, context ${name}`;
  const clusterName = text(context.fields, 'cluster') ?? '';
  const cluster = clusters.get(clusterName);
  if (cluster === undefined) throw new ConfigError(`${where}: there is no cluster ${JSON.stringify(clusterName)}`);
  const userName = text(context.fields, 'user') ?? '';
  const user = users.get(userName);
  if (user === undefined && userName !== '') {
    throw new ConfigError(`${where}: there is no user ${JSON.stringify(userName)}`);
  }
  return {
    name,
    source: where,
    namespace: text(context.fields, 'namespace'),
    cluster: clusterOf(cluster, `${where}: cluster ${clusterName}`),
    user: userOf(userName, user ?? { fields: {}, directory: '' }, `${where}: user ${userName}`),
  };
}

async function parseFile(file: string): Promise<Fields> {
  const content = await readSetting(file, 'the kubeconfig');
  let value: unknown;
  try {
    value = parse(content);
  } catch {
    // Not as the cause either: a YAML error quotes the line, and that may be one with a token.
    throw new ConfigError(`the kubeconfig ${file} is not YAML`);
  }
  if (!isRecord(value)) throw new ConfigError(`the kubeconfig ${file} is not a kubeconfig: it holds no fields`);
  return value;
}

function collect(into: Map<string, Entry>, list: unknown, kind: string, file: string): void {
  if (list === undefined || list === null) return;
  if (!Array.isArray(list)) throw new ConfigError(`the kubeconfig ${file}: ${kind}s is not a list`);
  for (const entry of list) {
    if (!isRecord(entry)) continue;
    const name = text(entry, 'name');
    const fields = entry[kind];
    if (name === undefined || into.has(name)) continue;
    into.set(name, { fields: isRecord(fields) ? fields : {}, directory: dirname(resolve(file)) });
  }
}

function clusterOf(entry: Entry, what: string): KubeconfigCluster {
  const { fields } = entry;
  const server = text(fields, 'server')?.replace(/\/+$/, '');
  if (server === undefined) throw new ConfigError(`${what} has no server`);
  if (!/^https?:\/\//.test(server) || !URL.canParse(server)) {
    // What stands before an @ may be a password, also where it is no URL.
    const shown = server.slice(server.lastIndexOf('@') + 1);
    throw new ConfigError(`${what}: server ${JSON.stringify(shown)} is no http or https URL`);
  }
  return {
    server: withoutUserinfo(server),
    caFile: path(entry, 'certificate-authority'),
    caData: decoded(fields, 'certificate-authority-data', what),
    insecure: fields['insecure-skip-tls-verify'] === true,
    tlsServerName: text(fields, 'tls-server-name'),
    proxyUrl: text(fields, 'proxy-url'),
  };
}

/** What stands before an @ in the address is sent nowhere, and would stand in every error and log that names the server. */
function withoutUserinfo(server: string): string {
  const { username, password } = new URL(server);
  return username === '' && password === '' ? server : withoutPassword(server).replace(/\/+$/, '');
}

function userOf(name: string, entry: Entry, what: string): KubeconfigUser {
  const { fields } = entry;
  const groups = fields['as-groups'];
  const authProvider = fields['auth-provider'];
  return {
    name,
    certificateFile: path(entry, 'client-certificate'),
    certificateData: decoded(fields, 'client-certificate-data', what),
    keyFile: path(entry, 'client-key'),
    keyData: decoded(fields, 'client-key-data', what),
    token: text(fields, 'token'),
    tokenFile: path(entry, 'tokenFile'),
    username: text(fields, 'username'),
    password: text(fields, 'password'),
    impersonate: text(fields, 'as'),
    impersonateUid: text(fields, 'as-uid'),
    impersonateGroups: Array.isArray(groups) ? groups.map(String) : [],
    exec: isRecord(fields['exec']) ? execOf({ ...entry, fields: fields['exec'] }, what) : undefined,
    authProvider: isRecord(authProvider) ? authProvider : undefined,
  };
}

function execOf({ fields, directory }: Entry, what: string): ExecPlugin {
  const command = text(fields, 'command');
  if (command === undefined) throw new ConfigError(`${what}: exec has no command`);
  const env: Record<string, string> = {};
  for (const each of Array.isArray(fields['env']) ? fields['env'] : []) {
    if (isRecord(each)) env[text(each, 'name') ?? ''] = text(each, 'value') ?? '';
  }
  return {
    apiVersion: text(fields, 'apiVersion') ?? 'client.authentication.k8s.io/v1',
    // A bare name is looked up on PATH; anything with a slash is a path.
    command: command.includes('/') ? resolve(directory, command) : command,
    args: Array.isArray(fields['args']) ? fields['args'].map(String) : [],
    env,
    installHint: text(fields, 'installHint'),
    provideClusterInfo: fields['provideClusterInfo'] === true,
  };
}

function path({ fields, directory }: Entry, key: string): string | undefined {
  const value = text(fields, key);
  return value === undefined ? undefined : resolve(directory, value);
}

function decoded(fields: Fields, key: string, what: string): string | undefined {
  const value = text(fields, key);
  if (value === undefined) return undefined;
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length === 0) throw new ConfigError(`${what}: ${key} is not base64`);
  return bytes.toString('utf8');
}

function listed(entries: ReadonlyMap<string, Entry>): string {
  const names = [...entries.keys()];
  if (names.length === 0) return 'no context at all';
  return names.length <= 10 ? names.join(', ') : `${names.slice(0, 10).join(', ')} and ${names.length - 10} more`;
}

function text(fields: Fields, key: string): string | undefined {
  const value = fields[key];
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
