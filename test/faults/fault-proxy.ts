/**
 * A proxy between the operator and its API server, for what goes wrong on the way. It speaks HTTP to the operator and TLS to the server, so
 * it can answer in the server's place, hold answers back, and read what is written. What it does by chance depends on its seed alone and on
 * the order in which requests arrive.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import type { ControlPlane } from '../harness/control-plane.ts';
import { randomFrom } from './random.ts';

/** What befalls requests. Shares are between 0 and 1. */
export interface Weather {
  /** Answered with 429 and a Retry-After of a second; not carried out. */
  readonly tooMany: number;
  /** Answered with 500; not carried out. */
  readonly broken: number;
  /** Carried out, and answered with 500 all the same. */
  readonly brokenAfter: number;
  /** Milliseconds that a request is held before it is sent on; watches are not. */
  readonly slowMs: number;
  /** Milliseconds by which everything that a watch says comes late. */
  readonly lateMs: number;
}

export const FINE: Weather = { tooMany: 0, broken: 0, brokenAfter: 0, slowMs: 0, lateMs: 0 };

/** What random histories are played in: 13 % of all answers. */
export const STORMY: Weather = { ...FINE, tooMany: 0.03, broken: 0.05, brokenAfter: 0.05 };

/** A write of the operator's that the API server has carried out. Leases and events do not count. */
export interface Write {
  readonly method: string;
  /** Without query: the object, or the collection that it was created in. */
  readonly path: string;
  /** As it was sent; the empty string for none. */
  readonly body: string;
}

export interface FaultProxyOptions {
  readonly seed?: number;
  /**
   * Called when a write has been carried out, before its answer is passed on; the answer waits for it, and so does every other write. What
   * gives `false` ends every connection without an answer.
   */
  readonly afterWrite?: (write: Write) => Promise<boolean>;
}

export class FaultProxy {
  readonly #target: URL;
  readonly #agent: TlsAgent;
  readonly #server: Server;
  readonly #random: () => number;
  readonly #options: FaultProxyOptions;
  /** What was written through it, in the order in which the server answered. */
  readonly writes: Write[] = [];
  weather: Weather = FINE;
  /** How many requests met each fault. */
  readonly met = { tooMany: 0, broken: 0, brokenAfter: 0, refused: 0 };
  #port = 0;
  #turn: Promise<void> = Promise.resolve();

  private constructor(server: string, ca: Buffer, options: FaultProxyOptions) {
    this.#target = new URL(server);
    this.#agent = new TlsAgent({ ca, keepAlive: true });
    this.#options = options;
    this.#random = randomFrom(options.seed ?? 1);
    this.#server = createServer((incoming, answer) => void this.#serve(incoming, answer));
    // A watch has no end, and a slow request is what this is for.
    this.#server.requestTimeout = 0;
    this.#server.headersTimeout = 0;
  }

  static async start(controlPlane: ControlPlane, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(controlPlane.server, await readFile(controlPlane.pki.ca), options);
    await proxy.up();
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, on the port of before. */
  async up(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#port = portOf(this.#server.address());
  }

  /** As when the API server dies: connections break, and nobody listens any more. */
  async down(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async close(): Promise<void> {
    if (this.#server.listening) await this.down();
    this.#agent.destroy();
  }

  async #serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const url = new URL(incoming.url ?? '/', this.#target);
      const isWatch = url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1';
      const body = await text(incoming);
      const isWrite = countsAsWrite(incoming.method ?? '', url.pathname);
      const fate = this.#fate();
      if (!isWatch && this.weather.slowMs > 0) await delay(this.weather.slowMs);
      if (fate === 'tooMany' || fate === 'broken') {
        this.met[fate] += 1;
        return fate === 'tooMany' ? refuse(answer, 429, { 'retry-after': '1' }) : refuse(answer, 500);
      }
      if (isWrite && this.#options.afterWrite !== undefined) return await this.#inTurn(incoming, url, body, answer);
      const upstream = await this.#send(incoming, url, body, answer);
      if (isWrite && isDone(upstream)) this.#note(incoming, url, body);
      if (fate === 'brokenAfter' && !isWatch) {
        this.met.brokenAfter += 1;
        upstream.resume();
        return refuse(answer, 500);
      }
      answer.writeHead(upstream.statusCode ?? 502, upstream.headers);
      answer.flushHeaders();
      answer.once('close', () => upstream.destroy());
      if (isWatch) this.#passLate(upstream, answer);
      else upstream.pipe(answer);
      upstream.once('error', () => answer.destroy());
    } catch {
      // The API server is not there, or went while it answered.
      this.met.refused += 1;
      answer.destroy();
    }
  }

  /** One write after the other, so that whoever counts them can stop the operator between any two. */
  async #inTurn(incoming: IncomingMessage, url: URL, body: string, answer: ServerResponse): Promise<void> {
    const before = this.#turn;
    let done = (): void => undefined;
    this.#turn = new Promise((resolve) => (done = resolve));
    await before;
    try {
      // Its sender was killed while it waited: it has not been sent on yet, so it never is.
      if (incoming.socket.destroyed) return;
      const upstream = await this.#send(incoming, url, body, answer);
      const told = await text(upstream);
      if (isDone(upstream)) {
        this.#note(incoming, url, body);
        const write = this.writes.at(-1);
        if (write !== undefined && (await this.#options.afterWrite?.(write)) === false) {
          // All of them are connections of the dead, whether that is known here yet or not.
          this.#server.closeAllConnections();
          return;
        }
      }
      const { 'transfer-encoding': _chunked, ...headers } = upstream.headers;
      answer.writeHead(upstream.statusCode ?? 502, headers).end(told);
    } finally {
      done();
    }
  }

  #note({ method = '' }: IncomingMessage, { pathname }: URL, body: string): void {
    this.writes.push({ method, path: pathname, body });
  }

  #send(incoming: IncomingMessage, url: URL, body: string, answer: ServerResponse): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { host: _host, 'transfer-encoding': _chunked, connection: _connection, ...headers } = incoming.headers;
      const outgoing = tlsRequest(
        {
          agent: this.#agent,
          hostname: this.#target.hostname,
          port: this.#target.port,
          path: url.pathname + url.search,
          method: incoming.method,
          headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        },
        resolve,
      );
      outgoing.once('error', reject);
      // Its sender has gone.
      answer.once('close', () => {
        if (!answer.writableFinished) outgoing.destroy();
      });
      outgoing.end(body);
    });
  }

  /** In order, each piece `lateMs` after it came. */
  #passLate(upstream: IncomingMessage, answer: ServerResponse): void {
    let last: Promise<unknown> = Promise.resolve();
    const later = (pass: () => void): void => {
      const due = this.weather.lateMs === 0 ? undefined : delay(this.weather.lateMs);
      const before = last;
      last = (async () => {
        await before;
        await due;
        if (!answer.destroyed) pass();
      })();
    };
    upstream.on('data', (piece: Buffer) => later(() => answer.write(piece)));
    upstream.once('end', () => later(() => answer.end()));
  }

  #fate(): 'fine' | 'tooMany' | 'broken' | 'brokenAfter' {
    const { tooMany, broken, brokenAfter } = this.weather;
    const at = this.#random();
    if (at < tooMany) return 'tooMany';
    if (at < tooMany + broken) return 'broken';
    return at < tooMany + broken + brokenAfter ? 'brokenAfter' : 'fine';
  }
}

function countsAsWrite(method: string, path: string): boolean {
  return method !== 'GET' && method !== 'HEAD' && !/\/(?:leases|events)(?:\/|$)/.test(path);
}

function isDone({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function refuse(answer: ServerResponse, code: 429 | 500, headers: Readonly<Record<string, string>> = {}): void {
  const reason = code === 429 ? 'TooManyRequests' : 'InternalError';
  const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'injected by a test', reason, code };
  answer.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(status));
}

async function text(stream: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
  return address.port;
}
