/** Debian's docker-registry (CNCF distribution) on loopback, and a proxy in front of it that fails as networks and registries do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';

import { eventually } from './eventually.ts';
import { freePorts } from './ports.ts';
import { runOrThrow } from './run.ts';
import { scanRegistry } from './secret-scan.ts';

export interface RegistryOptions {
  /** A certificate for localhost of an authority of its own. */
  readonly tls?: boolean;
  /** The one who may use it. */
  readonly user?: { readonly name: string; readonly password: string };
  /** Bytes of its disk, which is then a tmpfs (root alone can mount one). */
  readonly diskBytes?: number;
  /** Runs this program and keeps its files here, so that whoever ends what runs from the folder ends it too. */
  readonly program?: { readonly path: string; readonly folder: string };
  /** Where it listens, as `0.0.0.0:5000`; on loopback and a free port unless told. */
  readonly address?: string;
}

export interface RegistryServer {
  /** `localhost:PORT` */
  readonly host: string;
  /** Path of the authority's certificate, where it speaks TLS. */
  readonly authority: string;
  /** Tags of a repository; none where it is not there. */
  tags(repository: string): Promise<readonly string[]>;
  stop(): Promise<void>;
}

export async function startRegistry(options: RegistryOptions = {}): Promise<RegistryServer> {
  const folder = await mkdtemp(join(options.program?.folder ?? tmpdir(), 'kmm-registry-'));
  const data = join(folder, 'data');
  await mkdir(data);
  if (options.diskBytes !== undefined) {
    await runOrThrow('mount', ['-t', 'tmpfs', '-o', `size=${options.diskBytes}`, 'tmpfs', data]);
  }
  if (options.tls === true) await makeCertificates(folder);
  if (options.user !== undefined) {
    const { name, password } = options.user;
    const { stdout } = await runOrThrow('htpasswd', ['-Bbn', name, password]);
    await writeFile(join(folder, 'htpasswd'), stdout);
  }
  // Somebody else may take the port between the look and the start.
  const { child, port } = await eventually(() => launch(folder, data, options), { what: 'a registry that listens' });
  const host = `localhost:${port}`;
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  const authorization =
    options.user === undefined
      ? {}
      : { authorization: `Basic ${Buffer.from(`${options.user.name}:${options.user.password}`).toString('base64')}` };
  return {
    host,
    authority: join(folder, 'ca.crt'),
    tags: async (repository) => {
      const url = `${options.tls === true ? 'https' : 'http'}://${host}/v2/${repository}/tags/list`;
      const { statusCode, body } = await request(url, { dispatcher: agent, headers: authorization });
      const answer: unknown = await body.json();
      if (statusCode === 404) return [];
      const tags = typeof answer === 'object' && answer !== null && 'tags' in answer ? answer.tags : undefined;
      return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string').sort() : [];
    },
    stop: async () => {
      await ended(child);
      await agent.close();
      await scanRegistry(data);
      if (options.diskBytes !== undefined) await runOrThrow('umount', [data]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function launch(
  folder: string,
  data: string,
  options: RegistryOptions,
): Promise<{ child: ChildProcess; port: number }> {
  const port = options.address === undefined ? (await freePorts(1))[0] : options.address.split(':')[1];
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: data } },
    ...(options.user === undefined ? {} : { auth: { htpasswd: { realm: 'kmm', path: join(folder, 'htpasswd') } } }),
    http: {
      addr: options.address ?? `127.0.0.1:${port}`,
      ...(options.tls === true
        ? { tls: { certificate: join(folder, 'server.crt'), key: join(folder, 'server.key') } }
        : {}),
    },
  };
  // JSON is YAML.
  await writeFile(join(folder, 'config.yml'), JSON.stringify(config));
  const child = spawn(options.program?.path ?? 'docker-registry', ['serve', join(folder, 'config.yml')], {
    stdio: 'ignore',
    env: { PATH: '/usr/bin:/bin' },
  });
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  try {
    await eventually(
      async (signal) => {
        if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
        const { body } = await request(`${options.tls === true ? 'https' : 'http'}://localhost:${port}/v2/`, {
          dispatcher: agent,
          signal,
        });
        await body.dump();
      },
      { what: 'an answer of the registry', timeoutMs: 10_000 },
    );
    // Who ends it by its folder need not wait for it.
    if (options.program !== undefined) child.unref();
    return { child, port: Number(port) };
  } catch (error) {
    await ended(child);
    throw error;
  } finally {
    await agent.close();
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

/** ca.crt, and server.crt with server.key for localhost and 127.0.0.1. */
async function makeCertificates(folder: string): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const openssl = (...args: string[]): Promise<unknown> => runOrThrow('openssl', args, { cwd: folder });
  await openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-subj',
    '/CN=kmm test authority',
    '-days',
    '2',
  );
  await openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
  await writeFile(join(folder, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  await openssl(
    'x509',
    '-req',
    '-in',
    'server.csr',
    '-CA',
    'ca.crt',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-out',
    'server.crt',
    '-days',
    '2',
    '-extfile',
    'names',
  );
}

/** What a proxy does to a request instead of passing it on; `slow` passes it on, after this many milliseconds. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'slow'; readonly ms: number }
  /** Seconds a client is told to wait; the fault ends by itself after `times` answers. */
  | { readonly kind: 'rate-limit'; readonly retryAfter: number; readonly times: number }
  /** Of requests that `METHOD PATH` matches, or of all; the fault ends by itself after `times` answers. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly text: string;
      readonly code?: string;
      readonly of?: RegExp;
      readonly times?: number;
    }
  /** Nobody ever answers a request that `METHOD PATH` matches. */
  | { readonly kind: 'silent'; readonly of: RegExp }
  /** The connection ends when this many bytes of a layer were sent. */
  | { readonly kind: 'cut-upload'; readonly afterBytes: number };

export class FaultyProxy {
  readonly #server: Server;
  readonly #port: number;
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  #fault: Fault = { kind: 'none' };
  #hits = 0;

  private constructor(server: Server, port: number, target: string) {
    this.#server = server;
    this.#port = port;
    this.#target = target;
  }

  /** @param target `localhost:PORT` of a registry that speaks plain HTTP */
  static async start(target: string): Promise<FaultyProxy> {
    return eventually(
      async () => {
        const [port = 0] = await freePorts(1);
        const server = createServer();
        const proxy = new FaultyProxy(server, port, target);
        server.on('request', (incoming, outgoing) => proxy.#serve(incoming, outgoing));
        server.on('connection', (socket) => {
          proxy.#sockets.add(socket);
          socket.once('close', () => proxy.#sockets.delete(socket));
        });
        await proxy.up();
        return proxy;
      },
      { what: 'a proxy that listens' },
    );
  }

  get host(): string {
    return `localhost:${this.#port}`;
  }

  /** How many requests the fault at hand has hit. */
  get hits(): number {
    return this.#hits;
  }

  set fault(fault: Fault) {
    this.#fault = fault;
    this.#hits = 0;
  }

  up(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  /** Nobody listens any more, and who is connected is cut off. */
  down(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#server.listening) return resolve();
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  #serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const fault = this.#fault;
    switch (fault.kind) {
      case 'none':
        return this.#pass(incoming, outgoing);
      case 'slow':
        this.#hits++;
        setTimeout(() => this.#pass(incoming, outgoing), fault.ms).unref();
        return;
      case 'rate-limit':
        this.#hits++;
        if (this.#hits > fault.times) return this.#pass(incoming, outgoing);
        return refuse(incoming, outgoing, 429, 'TOOMANYREQUESTS', { 'retry-after': String(fault.retryAfter) });
      case 'status':
        if (!isOf(incoming, fault.of) || this.#hits >= (fault.times ?? Infinity)) return this.#pass(incoming, outgoing);
        this.#hits++;
        return refuse(incoming, outgoing, fault.status, fault.text, {}, fault.code);
      case 'silent':
        if (!isOf(incoming, fault.of)) return this.#pass(incoming, outgoing);
        this.#hits++;
        incoming.resume();
        return;
      case 'cut-upload':
        return isUpload(incoming) ? this.#cut(incoming, fault.afterBytes) : this.#pass(incoming, outgoing);
    }
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, url, headers } = incoming;
    // The Host header stays: from it the registry makes the addresses to which layers are sent.
    const onward = httpRequest(`http://${this.#target}${url ?? '/'}`, { method, headers, setHost: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.on('error', () => onward.destroy());
    incoming.pipe(onward);
  }

  #cut(incoming: IncomingMessage, afterBytes: number): void {
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes < afterBytes || incoming.socket.destroyed) return;
      this.#hits++;
      incoming.socket.resetAndDestroy();
    });
    incoming.on('end', () => {
      if (incoming.socket.destroyed) return;
      this.#hits++;
      incoming.socket.resetAndDestroy();
    });
    incoming.on('error', () => undefined);
  }
}

function isOf({ method, url }: IncomingMessage, pattern: RegExp = /(?:)/): boolean {
  return pattern.test(`${method} ${url}`);
}

function isUpload({ method, url = '' }: IncomingMessage): boolean {
  return (method === 'PATCH' || method === 'PUT') && url.includes('/blobs/uploads/');
}

function refuse(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>>,
  code = text,
): void {
  incoming.resume();
  outgoing.writeHead(status, { 'content-type': 'application/json', ...headers });
  outgoing.end(JSON.stringify({ errors: [{ code, message: text }] }));
}
