import type { Dispatcher } from 'undici';
import { abortable, pause } from './abort.ts';
import { ConcurrencyLimit } from './concurrency-limit.ts';
import type { Authorization, Connection } from './connection.ts';
import { connectionErrorOf, isReset } from './connection-errors.ts';
import { ConnectionPools } from './connection-pools.ts';
import { ApiError } from './errors.ts';
import { retryDelayMs } from './retry.ts';
import { apiErrorOf } from './status-response.ts';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One answered or failed send, for metrics. */
export interface RequestReport {
  readonly method: HttpMethod;
  /** Plural of the kind. */
  readonly resource: string;
  /** HTTP status, or `<error>` when there was no answer. */
  readonly code: number | '<error>';
  /** Until the answer's headers were there. */
  readonly seconds: number;
}

export interface ApiRequest {
  readonly method: HttpMethod;
  /** With its query. */
  readonly path: string;
  readonly resource: string;
  /** How it stands in errors, e.g. `get nodes worker-1`. */
  readonly attempted: string;
  /** What an error says when the server does not know the path at all. */
  readonly unservedHint: string;
  readonly body?: { readonly contentType: string; readonly text: string };
  /** The default is JSON of the whole object. */
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportOptions {
  readonly connection: Connection;
  readonly userAgent: string;
  readonly maxConcurrentRequests: number;
  readonly requestTimeoutMs: number;
  readonly observer?: ((report: RequestReport) => void) | undefined;
  readonly beforeWrite?: (() => void) | undefined;
}

/** A refusal is a Status object; what is longer is not from an API server. */
const MOST_ERROR_BYTES = 64 * 1024;

/** When an API server ends, all connections to it break, one after the other: by then we have seen it of the others too. */
const AFTER_RESET_MS = 50;

/** Sends requests with authorization, a bound on how many at once, and tries again where that is safe. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #pools: ConnectionPools;
  readonly #limit: ConcurrencyLimit;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#pools = new ConnectionPools(options);
    this.#limit = new ConcurrencyLimit(options.maxConcurrentRequests);
  }

  /**
   * Gives the body of a successful answer. Waits and sends again where the server asks for it (see retry.ts); a GET
   * whose connection broke is sent once more, because a connection that was kept open may be closed by the other side
   * in the moment of its use. A write whose connection broke is not: it may have been carried out.
   *
   * @throws ApiError, ConnectionError, ConfigError; the signal's reason.
   */
  async send(request: ApiRequest): Promise<string> {
    const { signal, method } = request;
    let broken = 0;
    for (let tries = 1; ; tries++) {
      try {
        return await this.#limit.run(signal, () => this.#sendOnce(request));
      } catch (error) {
        if (method === 'GET' && isReset(error) && broken++ === 0) {
          await pause(AFTER_RESET_MS, signal);
          continue;
        }
        const delayMs = error instanceof ApiError ? retryDelayMs(error, tries, Math.random()) : undefined;
        if (delayMs === undefined) throw error;
        await pause(delayMs, signal);
      }
    }
  }

  /**
   * Gives the body of a successful answer as it arrives, with no limit on how long it takes, on a connection of its
   * own and uncounted, so that watches never hold up requests. Sent once: who watches has its own way of trying again.
   *
   * @throws as `send`.
   */
  async stream(request: ApiRequest): Promise<Dispatcher.ResponseData['body']> {
    const response = await this.#exchange(request, 'watches');
    if (!isSuccess(response)) throw await refusal(request, response, this.#options.connection);
    return response.body;
  }

  close(): Promise<void> {
    return this.#pools.close();
  }

  async #sendOnce(request: ApiRequest): Promise<string> {
    const response = await this.#exchange(request, 'requests');
    if (!isSuccess(response)) throw await refusal(request, response, this.#options.connection);
    try {
      return await response.body.text();
    } catch (error) {
      request.signal?.throwIfAborted();
      throw connectionErrorOf(request.attempted, this.#options.connection, error);
    }
  }

  /** One answer, also a refusal; after a 401 a second try with another credential, if there is one. */
  async #exchange(request: ApiRequest, pool: 'requests' | 'watches'): Promise<Dispatcher.ResponseData> {
    const { connection } = this.#options;
    const { signal } = request;
    const authorization = await connection.authorize(signal);
    const response = await this.#dispatch(request, authorization, pool);
    if (response.statusCode !== 401) return response;
    // A rejected request was not carried out, so this holds for writes too.
    const renewed = await connection.refresh(authorization, signal).catch((error: unknown) => {
      response.body.destroy();
      throw error;
    });
    if (!renewed) return response;
    await response.body.dump({ limit: MOST_ERROR_BYTES }).catch(() => undefined);
    return this.#dispatch(request, await connection.authorize(signal), pool);
  }

  async #dispatch(
    { method, path, body, accept = 'application/json', signal, resource, attempted }: ApiRequest,
    { headers, tls }: Authorization,
    pool: 'requests' | 'watches',
  ): Promise<Dispatcher.ResponseData> {
    const { connection, userAgent, observer, beforeWrite } = this.#options;
    signal?.throwIfAborted();
    // Last of all, after every wait: what was allowed before a pause may not be after it.
    if (method !== 'GET') beforeWrite?.();
    const startedAt = performance.now();
    const report = (code: number | '<error>'): void =>
      observer?.({ method, resource, code, seconds: (performance.now() - startedAt) / 1_000 });
    try {
      const { origin, prefix, dispatcher } = this.#pools.of(tls, pool);
      const sent = dispatcher.request({
        origin,
        path: prefix + path,
        method,
        headers: requestHeaders(headers, { userAgent, accept, contentType: body?.contentType }),
        body: body?.text ?? null,
        signal: signal ?? null,
      });
      // undici looks at the signal only once there is a connection, and a connection may take ten seconds.
      const response = await abortable(sent, signal);
      // Without a listener, an abort before the body is read would end the process.
      response.body.on('error', () => undefined);
      report(response.statusCode);
      return response;
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      report('<error>');
      throw connectionErrorOf(attempted, connection, error);
    }
  }
}

function requestHeaders(
  authorization: Authorization['headers'],
  { userAgent, accept, contentType }: { userAgent: string; accept: string; contentType: string | undefined },
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'user-agent': userAgent, accept };
  for (const [name, value] of Object.entries(authorization)) {
    headers[name] = typeof value === 'string' ? value : [...value];
  }
  if (contentType !== undefined) headers['content-type'] = contentType;
  return headers;
}

function isSuccess({ statusCode }: Dispatcher.ResponseData): boolean {
  return statusCode >= 200 && statusCode < 300;
}

async function refusal(
  { attempted, unservedHint, signal }: ApiRequest,
  { statusCode, headers, body }: Dispatcher.ResponseData,
  connection: Connection,
): Promise<ApiError> {
  const retryAfter = headers['retry-after'];
  try {
    return apiErrorOf({
      attempted,
      unservedHint,
      status: statusCode,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
      body: await readAtMost(body, MOST_ERROR_BYTES),
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw connectionErrorOf(attempted, connection, error);
  }
}

async function readAtMost(body: AsyncIterable<Uint8Array>, mostBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    // Leaving the loop closes the connection: the rest is not waited for.
    if (bytes >= mostBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, mostBytes).toString('utf8');
}
