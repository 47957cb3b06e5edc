import { type Dispatcher, Pool, ProxyAgent } from 'undici';
import type { Connection, TlsMaterial } from './connection.ts';

export interface PoolOptions {
  readonly connection: Connection;
  readonly maxConcurrentRequests: number;
  readonly requestTimeoutMs: number;
}

export interface PooledOrigin {
  readonly origin: string;
  /** The path of the server's URL; empty mostly. */
  readonly prefix: string;
  readonly dispatcher: Dispatcher;
}

interface Generation {
  readonly tls: TlsMaterial;
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
}

/** A list of every pod of 5,000 nodes is some 200 MB; what is much longer is no list of ours. */
const MOST_RESPONSE_BYTES = 512 * 1024 * 1024;
/** Less than the 90 s after which kube-apiserver closes an idle connection, so that it is us who close. */
const KEEP_ALIVE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** The connections to the server: one pool for requests, one for watches. New ones when certificate or CA change. */
export class ConnectionPools {
  readonly #options: PoolOptions;
  readonly #origin: string;
  readonly #prefix: string;
  /** All that are not closed yet; of older ones only what is still under way goes on. */
  readonly #open = new Set<Dispatcher>();
  #current: Generation | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    const { origin, pathname } = new URL(options.connection.server);
    this.#options = options;
    this.#origin = origin;
    this.#prefix = pathname.replace(/\/+$/, '');
  }

  of(tls: TlsMaterial, pool: 'requests' | 'watches'): PooledOrigin {
    if (this.#current?.tls !== tls) this.#current = this.#replace(this.#current, tls);
    return { origin: this.#origin, prefix: this.#prefix, dispatcher: this.#current[pool] };
  }

  /** Breaks off whatever is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open].map((dispatcher) => dispatcher.destroy()));
    this.#open.clear();
  }

  #replace(old: Generation | undefined, tls: TlsMaterial): Generation {
    const { maxConcurrentRequests, requestTimeoutMs } = this.#options;
    for (const dispatcher of old === undefined ? [] : [old.requests, old.watches]) void this.#retire(dispatcher);
    return {
      tls,
      requests: this.#create(tls, {
        connections: maxConcurrentRequests,
        headersTimeout: requestTimeoutMs,
        bodyTimeout: requestTimeoutMs,
        maxResponseSize: MOST_RESPONSE_BYTES,
      }),
      // A watch says nothing for as long as nothing happens; who watches has a watchdog of its own.
      watches: this.#create(tls, { headersTimeout: requestTimeoutMs, bodyTimeout: 0 }),
    };
  }

  async #retire(dispatcher: Dispatcher): Promise<void> {
    await dispatcher.close().catch(() => undefined);
    this.#open.delete(dispatcher);
  }

  #create(tls: TlsMaterial, limits: Pool.Options): Dispatcher {
    const { proxyUrl } = this.#options.connection;
    const connect = { ...tlsOptions(tls), timeout: CONNECT_TIMEOUT_MS };
    // HTTP/1.1: one broken HTTP/2 connection would take every watch with it.
    const options = { ...limits, allowH2: false, pipelining: 1, keepAliveTimeout: KEEP_ALIVE_MS };
    const dispatcher =
      proxyUrl === undefined
        ? new Pool(this.#origin, { ...options, connect })
        : new ProxyAgent({ ...options, uri: proxyUrl, requestTls: connect });
    // A request that comes after close() must be refused, not leave a socket behind.
    if (this.#closed) void dispatcher.destroy();
    else this.#open.add(dispatcher);
    return dispatcher;
  }
}

function tlsOptions({ ca, cert, key, servername, insecure }: TlsMaterial): Readonly<Record<string, unknown>> {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    ...(insecure === true ? { rejectUnauthorized: false } : {}),
  };
}
