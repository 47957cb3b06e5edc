import { join } from 'node:path';

import { shellWord } from '../../kernel/shell-word.ts';
import type { PrivateFile } from './private-file.ts';

/** What a Git Secret of the user's may hold; every field is the text of a file of that name. */
export interface GitCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly token?: string;
  /** The file `ssh-privatekey`. */
  readonly sshPrivateKey?: string;
  /** The file `known_hosts`. */
  readonly knownHosts?: string;
}

export interface GitInput {
  readonly url: string;
  /** Undefined where the request has no git.secret. */
  readonly credentials?: GitCredentials;
  /** PEM text of all certificate authorities that git shall trust; undefined: the system's own. */
  readonly authorities?: string;
  /** Folder for the files of {@link GitSetup}, of this build alone. */
  readonly directory: string;
  /** The environment of the build's tools. */
  readonly env: Readonly<Record<string, string>>;
}

/** How git is run for one source. */
export interface GitSetup {
  readonly transport: GitTransport;
  /** The URL as git is told it: without a user's name where that is in the credentials. */
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly PrivateFile[];
}

/** The user's input cannot be used. The message is a whole sentence, with nothing secret in it. */
export class GitInputError extends Error {
  override readonly name = 'GitInputError';
}

export type GitTransport = 'https' | 'http' | 'ssh' | 'git';

interface GitUrl {
  readonly transport: GitTransport;
  /** Host and port, as written. */
  readonly host: string;
  readonly user?: string;
  readonly withoutUser: string;
}

/**
 * The environment, the configuration and the files of credentials with which git, and the ssh it starts, read this URL.
 *
 * Nothing of the system's or a user's configuration is read, nobody is asked for anything, no hook runs, and only https, http, ssh and git are
 * spoken, by submodules too. HTTP credentials are offered to the URL's own host only: a submodule elsewhere does not get them.
 *
 * @throws GitInputError
 */
export function gitSetup(input: GitInput): GitSetup {
  const { credentials, directory, authorities } = input;
  const url = parseGitUrl(input.url);
  const files: PrivateFile[] = [];
  const config = [
    '[core]\n\thooksPath = /dev/null\n\tfsmonitor = false',
    // The folder belongs to whoever made the volume, which need not be who runs.
    '[safe]\n\tdirectory = *',
    '[advice]\n\tdetachedHead = false',
    '[gc]\n\tauto = 0',
    '[maintenance]\n\tauto = false',
    // A server that has gone silent: less than 1 kB/s for a minute.
    '[http]\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = 60\n\tfollowRedirects = initial',
    '[protocol]\n\tversion = 2',
    '[init]\n\tdefaultBranch = main',
  ];
  if (authorities !== undefined) {
    const path = join(directory, 'git-ca.pem');
    files.push({ path, content: authorities });
    config.push(`[http]\n\tsslCAInfo = ${quoteConfig(path)}`);
  }
  const web = url.transport === 'https' || url.transport === 'http';
  const login = web ? httpLogin(url, credentials) : undefined;
  if (login !== undefined) {
    const path = join(directory, 'git-credentials');
    const [user, password] = [login.username, login.password].map((text) => encodeURIComponent(text));
    files.push({ path, content: `${url.transport}://${user}:${password}@${url.host}\n` });
    config.push(`[credential]\n\thelper = ${quoteConfig(`store --file=${shellWord(path)}`)}`);
  }
  const ssh = sshFiles(url, credentials, directory);
  files.push(...ssh);
  const configPath = join(directory, 'gitconfig');
  files.push({ path: configPath, content: `${config.join('\n')}\n` });
  return {
    transport: url.transport,
    url: login === undefined ? input.url : url.withoutUser,
    files,
    env: {
      ...input.env,
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: configPath,
      GIT_ATTR_NOSYSTEM: '1',
      GIT_ALLOW_PROTOCOL: 'https:http:ssh:git',
      GIT_PROTOCOL_FROM_USER: '0',
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      SSH_ASKPASS_REQUIRE: 'never',
      GIT_SSH_VARIANT: 'ssh',
      // git hands this to a shell where it has to: there is nothing of a user's in it.
      GIT_SSH_COMMAND: `ssh -F ${shellWord(join(directory, 'ssh-config'))}`,
    },
  };
}

/**
 * Takes a URL apart: https, http, ssh, git, or the short form `user@host:path` of ssh.
 *
 * @throws GitInputError for any other, and for one with a password in it, which is never repeated
 */
export function parseGitUrl(url: string): GitUrl {
  const [, scheme = '', authority = '', path = ''] = /^([a-z+.-]+):\/\/([^/?#]*)(.*)$/i.exec(url) ?? [];
  const at = authority.lastIndexOf('@');
  const userInfo = at === -1 ? '' : authority.slice(0, at);
  if (userInfo.includes(':')) {
    throw new GitInputError(
      'The Git URL has a password in it. Take it out of git.url and put it in the Secret that git.secret names.',
    );
  }
  // Spaces are no part of a URL, and git passes control characters on to servers and terminals.
  if (/[\s\p{Cc}]/u.test(url))
    throw new GitInputError('git.url has a space or a control character in it, which no URL has.');
  if (scheme === '') {
    if (/^[\w.-]+@[\w.-]+:[^:]/.test(url) && !url.startsWith('-')) return { ...shortForm(url), transport: 'ssh' };
    throw new GitInputError(`git.url is ${url}, which is no URL that begins with https://, http://, ssh:// or git://.`);
  }
  const transport = transportOf(scheme);
  if (transport === undefined) {
    throw new GitInputError(`git.url begins with ${scheme}://. Only https, http, ssh and git are read.`);
  }
  const host = authority.slice(at + 1);
  if (host === '' || host.startsWith('-')) throw new GitInputError(`git.url is ${url}, which names no server.`);
  return {
    transport,
    host,
    ...(userInfo === '' ? {} : { user: decoded(userInfo) }),
    withoutUser: `${scheme}://${host}${path}`,
  };
}

function shortForm(url: string): Omit<GitUrl, 'transport'> {
  const [user = '', rest = ''] = url.split('@', 2);
  return { user, host: rest.split(':', 1)[0] ?? '', withoutUser: url };
}

function transportOf(scheme: string): GitTransport | undefined {
  return (['https', 'http', 'ssh', 'git'] as const).find((known) => known === scheme.toLowerCase());
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function httpLogin(url: GitUrl, credentials: GitCredentials = {}): { username: string; password: string } | undefined {
  const username = trimmed(credentials.username);
  const password = trimmed(credentials.token) ?? trimmed(credentials.password);
  if (password === undefined) {
    if (username === undefined) return undefined;
    throw new GitInputError('The Secret that git.secret names has a username and neither a password nor a token.');
  }
  if (username === undefined && trimmed(credentials.token) === undefined && url.user === undefined) {
    throw new GitInputError('The Secret that git.secret names has a password and no username.');
  }
  return { username: username ?? url.user ?? 'git', password };
}

function sshFiles(url: GitUrl, credentials: GitCredentials | undefined, directory: string): readonly PrivateFile[] {
  const key = trimmed(credentials?.sshPrivateKey);
  const knownHosts = trimmed(credentials?.knownHosts);
  if (url.transport === 'ssh' && key === undefined) {
    throw new GitInputError(
      'git.url is read over ssh: the Secret that git.secret names needs the keys ssh-privatekey and known_hosts.',
    );
  }
  // A submodule may be read over ssh where its parent is not, so the files are made whenever there is a key.
  if (key !== undefined && knownHosts === undefined) {
    throw new GitInputError(
      'The Secret that git.secret names has ssh-privatekey and no known_hosts, so nobody could tell the Git server from another. ' +
        'Add what `ssh-keyscan HOST` prints, once you have compared it with what the server’s owner says.',
    );
  }
  const keyPath = join(directory, 'git-ssh-key');
  const hostsPath = join(directory, 'git-known-hosts');
  const lines = [
    'Host *',
    'BatchMode yes',
    'StrictHostKeyChecking yes',
    `UserKnownHostsFile ${key === undefined ? '/dev/null' : quoteSsh(hostsPath)}`,
    'GlobalKnownHostsFile /dev/null',
    'UpdateHostKeys no',
    'IdentitiesOnly yes',
    'IdentityAgent none',
    `IdentityFile ${key === undefined ? 'none' : quoteSsh(keyPath)}`,
    'PreferredAuthentications publickey',
    'ForwardAgent no',
    'ConnectTimeout 30',
    'ServerAliveInterval 15',
    'ServerAliveCountMax 4',
  ];
  const config = { path: join(directory, 'ssh-config'), content: `${lines.join('\n')}\n` };
  if (key === undefined) return [config];
  // ssh refuses a key whose last line has no end, and that end is easily lost on the way into a Secret.
  return [config, { path: keyPath, content: `${key}\n` }, { path: hostsPath, content: `${knownHosts}\n` }];
}

/** Without the line end that `echo` adds; undefined for nothing. */
function trimmed(text: string | undefined): string | undefined {
  const value = text?.replace(/[\r\n]+$/, '').replaceAll('\r\n', '\n');
  return value === '' ? undefined : value;
}

function quoteConfig(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** ssh_config(5): `%` begins a token. */
function quoteSsh(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`;
}
