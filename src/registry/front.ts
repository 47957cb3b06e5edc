import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { ListenAddress } from '../runtime/listen-address.ts';
import { describeError, type Logger } from '../runtime/logger.ts';
import type { Access } from './access.ts';
import type { ServingCertificate } from './certificates.ts';
import { answerHeaders, hasBody, onwardHeaders } from './headers.ts';
import { errorBody, type Refusal } from './request-policy.ts';
import type { Upstream } from './upstream.ts';

export interface FrontOptions {
  readonly address: ListenAddress;
  /** Absent: plain HTTP, for a listener on loopback. */
  readonly certificate?: ServingCertificate;
  readonly access: Access;
  readonly upstream: Upstream;
  /** Whether the Host header of the client goes on, from which the registry makes addresses. */
  readonly keepHost: boolean;
  /** What it waits for before it is to be asked anything; undefined where it is ready. */
  readonly notReady?: () => string | undefined;
  readonly log: Logger;
}

/** A blob of gigabytes may take its time; a connection on which nothing moves may not. */
const IDLE_MS = 5 * 60_000;
const MOST_CONNECTIONS = 512;
const HEALTH_TIMEOUT_MS = 2_000;

/**
 * Stands before a registry: lets through what {@link Access} passes, body for body as it comes, and answers the rest itself. Neither a
 * token nor a query is ever logged.
 */
export class Front {
  readonly #options: FrontOptions;
  readonly #server: Server | HttpsServer;
  readonly #active = new Set<Promise<void>>();
  #draining = false;

  constructor(options: FrontOptions) {
    this.#options = options;
    const limits = { requestTimeout: 0, headersTimeout: 10_000, keepAliveTimeout: 30_000, maxHeaderSize: 32_768 };
    const { certificate } = options;
    this.#server =
      certificate === undefined
        ? createHttpServer(limits)
        : createHttpsServer({ ...limits, minVersion: 'TLSv1.2', cert: certificate.certificate, key: certificate.key });
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.timeout = IDLE_MS;
    this.#server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
      const serving = this.#serve(incoming, outgoing).finally(() => this.#active.delete(serving));
      this.#active.add(serving);
    });
  }

  /** New connections get this one; those that are there go on. */
  use({ certificate, key }: ServingCertificate): void {
    if ('setSecureContext' in this.#server)
      this.#server.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' });
  }

  /**
   * @returns the port in use, also where the address asked for any
   * @throws Error naming the address, when it cannot be listened on
   */
  listen(): Promise<number> {
    const { host, port } = this.#options.address;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) => {
        const text = `${host ?? ''}:${port}`;
        reject(new Error(`cannot listen on ${text}; is another process using the port?`, { cause }));
      });
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Takes nothing new, and ends when what is under way has, or when the signal aborts. */
  async close(signal: AbortSignal): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const late = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    if (!signal.aborted) await Promise.race([Promise.all(this.#active), late]);
    this.#server.closeAllConnections();
    await closed;
    this.#options.upstream.close();
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { log, access } = this.#options;
    const { method = '', url = '', headers } = incoming;
    const startedAt = performance.now();
    if (this.#draining) outgoing.setHeader('connection', 'close');
    try {
      if (url === '/healthz' || url === '/readyz') return await this.#health(url, outgoing);
      if (isReading(method) && hasBody(headers)) {
        refuse(incoming, outgoing, { status: 400, code: 'UNSUPPORTED', message: NO_BODY }, false);
        return;
      }
      const decision = await access(method, url, headers.authorization);
      switch (decision.kind) {
        case 'pass':
          await this.#pass(incoming, outgoing);
          break;
        case 'welcome':
          answer(outgoing, 200, '{}');
          break;
        case 'refuse':
          refuse(incoming, outgoing, decision.refusal, decision.challenge);
          break;
      }
    } catch (error) {
      log.error({ err: error, method, path: pathOf(url) }, 'request failed');
      if (outgoing.headersSent) outgoing.destroy();
      else
        refuse(
          incoming,
          outgoing,
          { status: 500, code: 'UNAVAILABLE', message: 'the front failed: see its log' },
          false,
        );
    } finally {
      const ms = Math.round(performance.now() - startedAt);
      const level = outgoing.statusCode >= 400 ? 'info' : 'debug';
      log[level](
        { method, path: pathOf(url), status: outgoing.statusCode, ms, cut: !outgoing.writableEnded },
        'request',
      );
    }
  }

  /** Both bodies stream: neither side is read faster than the other takes it. */
  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { upstream, keepHost, log } = this.#options;
    const stop = new AbortController();
    // Whoever asked has gone, in the middle of a body or of its answer: what stands behind need not go on.
    outgoing.once('close', () => stop.abort(new Error('the client has gone')));
    const onward = await upstream.open({
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers: onwardHeaders(incoming.headers, {
        scheme: 'encrypted' in incoming.socket ? 'https' : 'http',
        ...(keepHost ? {} : { host: upstream.host }),
      }),
      signal: stop.signal,
    });
    onward.setTimeout(IDLE_MS, () => onward.destroy(new Error('nothing has moved for 5 minutes')));
    try {
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        onward.once('response', resolve);
        onward.once('error', reject);
      });
      // It may answer, and refuse, before it has taken the whole body: the answer counts then.
      const sent = isReading(onward.method)
        ? onward.end()
        : pipeline(incoming, onward).catch((error: unknown) => error);
      const response = await answered;
      outgoing.writeHead(response.statusCode ?? 502, answerHeaders(response.headers));
      await pipeline(response, outgoing);
      await sent;
    } catch (error) {
      if (stop.signal.aborted && !outgoing.writableEnded) return;
      log.warn({ err: error, path: pathOf(incoming.url ?? '') }, 'the registry behind does not answer');
      if (outgoing.headersSent) outgoing.destroy();
      else refuse(incoming, outgoing, { status: 502, code: 'UNAVAILABLE', message: behind(upstream, error) }, false);
    }
  }

  async #health(path: '/healthz' | '/readyz', outgoing: ServerResponse): Promise<void> {
    if (path === '/healthz') return answer(outgoing, 200, 'ok\n', 'text/plain');
    const { upstream, notReady } = this.#options;
    const waiting = notReady?.();
    if (waiting !== undefined) return answer(outgoing, 503, `${waiting}\n`, 'text/plain');
    try {
      const asked = await upstream.open({
        method: 'GET',
        path: '/v2/',
        signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
      });
      await new Promise<void>((resolve, reject) => {
        asked.once('response', (response) => {
          response.resume();
          resolve();
        });
        asked.once('error', reject);
        asked.end();
      });
      answer(outgoing, 200, 'ok\n', 'text/plain');
    } catch (error) {
      answer(outgoing, 503, `${behind(upstream, error)}\n`, 'text/plain');
    }
  }
}

const NO_BODY = 'a request that reads has no body: send it without Content-Length and Transfer-Encoding';

function isReading(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

function behind({ host }: Upstream, error: unknown): string {
  return `the registry behind, ${host}, does not answer (${describeError(error)}): it is starting, or see its log`;
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, refusal: Refusal, challenge: boolean): void {
  // What is left of the body is for nobody, and may be gigabytes: the connection ends with the answer.
  if (!incoming.complete) {
    outgoing.setHeader('connection', 'close');
    outgoing.once('finish', () => incoming.socket.destroySoon());
  }
  if (challenge) outgoing.setHeader('www-authenticate', 'Basic realm="kmm-registry"');
  answer(outgoing, refusal.status, errorBody(refusal));
}

function answer(outgoing: ServerResponse, status: number, body: string, type = 'application/json'): void {
  outgoing.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'docker-distribution-api-version': 'registry/2.0',
    'x-content-type-options': 'nosniff',
  });
  outgoing.end(body);
}

function pathOf(url: string): string {
  return url.split('?', 1)[0]?.slice(0, 256) ?? '';
}
