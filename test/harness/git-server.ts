import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createNetServer, type Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { runOrThrow } from './run.ts';
import { testAuthority } from './test-authority.ts';

export interface GitServerOptions {
  /** The folder that holds the repositories (bare, `NAME.git`). */
  readonly root: string;
  /** Wants HTTP basic auth with one of these pairs. */
  readonly users?: Readonly<Record<string, string>>;
  /** HTTPS, with a certificate of an authority of its own. */
  readonly tls?: boolean;
  /** Speaks the protocol's first version only, where a server hands out no commit but the tips of refs. */
  readonly old?: boolean;
  /** Answers every request so, instead of git: an HTTP status. */
  readonly status?: number;
}

export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string;
  /** PEM of its authority; the empty string without TLS. */
  readonly authority: string;
  stop(): Promise<void>;
}

/** Serves repositories by git-http-backend(1) behind an HTTP server on a free loopback port. */
export async function startGitServer(options: GitServerOptions): Promise<GitServer> {
  const backend = join((await runOrThrow('git', ['--exec-path'])).stdout.trim(), 'git-http-backend');
  const listener: RequestListener = (request, response) => answer(backend, options, request, response);
  const authority = options.tls === true ? await testAuthority() : undefined;
  const server: Server =
    authority === undefined
      ? createServer(listener)
      : createTlsServer({ key: await readFile(authority.key), cert: await readFile(authority.certificate) }, listener);
  const port = await listen(server);
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    await authority?.remove();
  };
  return {
    url: `${authority === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    authority: authority === undefined ? '' : await readFile(authority.authority, 'utf8'),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Serves the repositories of a folder by git-daemon(1), `git://`, on a free loopback port: one for each connection, as inetd has it. */
export async function startGitDaemon(root: string): Promise<Pick<GitServer, 'url' | 'stop'>> {
  const server = createNetServer((socket) => {
    const words = ['daemon', '--inetd', '--export-all', `--base-path=${root}`];
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', ...ANY_OWNER };
    const child = spawn('git', words, { env, stdio: ['pipe', 'pipe', 'ignore'] });
    child.once('error', () => socket.destroy());
    for (const stream of [socket, child.stdin]) stream.on('error', () => undefined);
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
  });
  return {
    url: `git://127.0.0.1:${await listen(server)}`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Listens on loopback and gives the port. */
async function listen(server: NetServer): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the Git server has no port');
  return address.port;
}

/** The repositories may belong to another user than runs the tests. */
const ANY_OWNER = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };

function answer(backend: string, options: GitServerOptions, request: IncomingMessage, response: ServerResponse): void {
  if (options.status !== undefined) {
    response.writeHead(options.status).end();
    return;
  }
  if (options.users !== undefined && !isAllowed(request.headers.authorization, options.users)) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    return;
  }
  const url = new URL(request.url ?? '/', 'http://localhost');
  const gitProtocol = request.headers['git-protocol'];
  const child = spawn(backend, [], {
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      GIT_PROJECT_ROOT: options.root,
      GIT_HTTP_EXPORT_ALL: '1',
      ...ANY_OWNER,
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      ...(typeof gitProtocol === 'string' && options.old !== true ? { GIT_PROTOCOL: gitProtocol } : {}),
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.once('error', () => response.destroy());
  child.stdin.on('error', () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) return;
    child.stdout.off('data', readHead);
    writeHead(response, head.subarray(0, end).toString('latin1'));
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on('data', readHead);
}

/** Of a CGI program's answer; RFC 3875. */
function writeHead(response: ServerResponse, head: string): void {
  let status = 200;
  for (const line of head.split('\r\n')) {
    const [name = '', value = ''] = line.split(/:\s*/, 2);
    if (name.toLowerCase() === 'status') status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}

function isAllowed(header: string | undefined, users: Readonly<Record<string, string>>): boolean {
  const [, encoded = ''] = /^Basic (\S+)$/.exec(header ?? '') ?? [];
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  return Object.entries(users).some(([user, password]) => pair === `${user}:${password}`);
}
