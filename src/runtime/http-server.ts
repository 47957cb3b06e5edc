import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { ListenAddress } from './listen-address.ts';
import { describeError, type Logger } from './logger.ts';

// Not an import: the ES form of this module reads all its exports, WebSocket among them, and so loads Node's whole fetch (6 MB).
const { createServer } = process.getBuiltinModule('node:http');

export interface Reply {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

/** Answers a GET of one path. `query` is the part behind the question mark. */
export type Handler = (query: URLSearchParams, headers: IncomingHttpHeaders) => Promise<Reply> | Reply;

export interface HttpServerOptions {
  readonly address: ListenAddress;
  /** Handlers by path, e.g. `/metrics`. */
  readonly routes: Readonly<Record<string, Handler>>;
  readonly log: Logger;
}

/** Throws when the part it looks at is not well; the message says in one sentence what is wrong. */
export type HealthCheck = () => void | Promise<void>;

export interface HttpServer {
  /** The port in use, also where the address asked for any (0). */
  readonly port: number;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

/** A check that takes longer counts as failed: the kubelet asks again soon, and a probe must not pile up. */
const CHECK_TIMEOUT_MS = 2_000;

/**
 * Starts a server for metrics and probes.
 * @throws Error naming the address, when it cannot be listened on.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { address, routes, log } = options;
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 30_000 });
  server.maxConnections = 64;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(routes, request)
      .catch((error: unknown): Reply => {
        log.error({ err: error, path: request.url }, 'request failed');
        return { status: 500, body: 'internal error\n' };
      })
      .then((reply) => send(request, response, reply))
      // The peer has gone while we answered; there is nobody left to tell.
      .catch(() => response.destroy());
  });
  await listen(server, address);
  return { port: portOf(server), close: () => close(server) };
}

function listen(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      const text = `${address.host ?? ''}:${address.port}`;
      reject(new Error(`cannot listen on ${text}; is another process using the port?`, { cause: error }));
    };
    server.once('error', onError);
    server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(routes: HttpServerOptions['routes'], request: IncomingMessage): Promise<Reply> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const handler = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (handler === undefined) {
    return { status: 404, body: `nothing here; try ${Object.keys(routes).join(', ')}\n` };
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'only GET is answered\n' };
  return handler(new URLSearchParams(query), request.headers);
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  response.writeHead(reply.status, {
    'content-type': reply.contentType ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(reply.body),
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : reply.body);
}

/** Serves the registry in Prometheus's text format. */
export function metricsHandler(registry: Registry): Handler {
  return async () => ({ status: 200, contentType: registry.contentType, body: await registry.metrics() });
}

/**
 * Serves the checks in the API server's own form: `ok`, or 503 with one line a check. `?verbose` lists them always.
 */
export function healthHandler(name: string, checks: Readonly<Record<string, HealthCheck>>): Handler {
  return async (query) => {
    const results = await Promise.all(Object.entries(checks).map(([check, run]) => outcomeOf(check, run)));
    const healthy = results.every(({ ok }) => ok);
    if (healthy && !query.has('verbose')) return { status: 200, body: 'ok\n' };
    const lines = results.map(({ line }) => `${line}\n`).join('');
    return { status: healthy ? 200 : 503, body: `${lines}${name} check ${healthy ? 'passed' : 'failed'}\n` };
  };
}

async function outcomeOf(check: string, run: HealthCheck): Promise<{ readonly ok: boolean; readonly line: string }> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    timeout.reject(new Error(`no answer within ${CHECK_TIMEOUT_MS / 1000} s`));
  }, CHECK_TIMEOUT_MS);
  try {
    await Promise.race([Promise.resolve().then(run), timeout.promise]);
    return { ok: true, line: `[+]${check} ok` };
  } catch (error) {
    return { ok: false, line: `[-]${check} failed: ${describeError(error)}` };
  } finally {
    clearTimeout(timer);
  }
}
