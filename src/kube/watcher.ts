import { pause, reasonOf } from './abort.ts';
import { ApiError, ConnectionError, isGone } from './errors.ts';
import type { KubeList, KubeObject } from './objects.ts';
import type { Resource } from './resources.ts';
import { INITIAL_MACHINE, nextWatch, type RequestState, type WatchInput, type WatchMachine } from './watch.ts';
import { WatchDecoder, type WatchEvent, type WatchStatus } from './watch-decoder.ts';

/** What is followed: all objects of a kind, or those of a namespace or that selectors select. */
export interface WatchScope {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

interface ListRequest extends WatchScope {
  readonly limit: number;
  readonly continue?: string;
  readonly signal: AbortSignal;
}

interface WatchRequest extends WatchScope {
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'NotOlderThan';
  readonly sendInitialEvents?: boolean;
  readonly allowWatchBookmarks: boolean;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

/** The part of {@link KubeClient} that following a kind takes. */
export interface ListWatchClient {
  list<T extends KubeObject>(resource: Resource<T>, request: ListRequest): Promise<KubeList<T>>;
  watch<T extends KubeObject>(
    resource: Resource<T>,
    request: WatchRequest,
  ): Promise<AsyncIterable<Uint8Array | string> & { destroy(): void }>;
}

/** Who is told what the server has and what becomes of it. A throw ends the connection, which is then resumed. */
export interface WatchSink<T extends KubeObject> {
  /** A list begins, from nothing: what came of an earlier one that was not finished is void. */
  listStarted(): void;
  listed(object: T): void;
  /** An object that was listed has been deleted before the list was whole. */
  unlisted(object: T): void;
  listFinished(resourceVersion: string): void;
  /** ADDED or MODIFIED. */
  told(object: T): void;
  toldDeleted(object: T): void;
  toldBookmark(resourceVersion: string): void;
}

/** Why the machine makes its next request. */
export type Interruption =
  /** The server ended the watch in order, as it does every few minutes. */
  | { readonly reason: 'ended' }
  /** The connection brought nothing for the idle timeout. On a kind without bookmarks (Events) this is how every quiet watch ends. */
  | { readonly reason: 'idle' }
  /** 410: the kind is listed again. */
  | { readonly reason: 'gone'; readonly error: unknown }
  /** The server does not stream lists; pages are asked for. */
  | { readonly reason: 'refused'; readonly error: unknown }
  | { readonly reason: 'failed'; readonly error: unknown };

export interface WatcherOptions<T extends KubeObject> extends WatchScope {
  readonly client: ListWatchClient;
  readonly resource: Resource<T>;
  readonly sink: WatchSink<T>;
  /** Called before each list. */
  readonly onList?: (how: 'streaming' | 'listing') => void;
  /** Called at the end of each request but a page that came; `retryInMs` is 0 when the next one is made at once. */
  readonly onInterruption?: (interruption: Interruption, retryInMs: number) => void;
  /**
   * A connection that brings no byte for so long is taken for dead, milliseconds. Default 90 s: the server sends a bookmark every minute.
   */
  readonly idleTimeoutMs?: number;
  /** Objects a page. Default 500. */
  readonly pageSize?: number;
  /** After how long the server ends a watch, seconds. Default 300 to 600, drawn anew each time, so that watches spread over API servers. */
  readonly watchSeconds?: number;
  /** From 0 to just under 1. Default Math.random. */
  readonly random?: () => number;
}

const IDLE_TIMEOUT_MS = 90_000;
const PAGE_SIZE = 500;
/** Source: k8s.io/apimachinery/pkg/apis/meta/v1/types.go, InitialEventsAnnotationKey. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/** The shell around {@link nextWatch}: makes the requests, decodes, watches for silence. */
export class Watcher<T extends KubeObject> {
  readonly #options: WatcherOptions<T>;
  readonly #scope: WatchScope;
  readonly #random: () => number;
  readonly #idleTimeoutMs: number;
  #machine: WatchMachine = INITIAL_MACHINE;
  #lastEventAt: number | undefined;

  constructor(options: WatcherOptions<T>) {
    const { namespace, labelSelector, fieldSelector } = options;
    this.#options = options;
    this.#scope = {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    this.#random = options.random ?? Math.random;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  }

  /**
   * When anything last came, bookmarks and pages included; for a kind without bookmarks, also when a watch that goes on from an earlier one
   * was last answered. Milliseconds since the epoch.
   */
  get lastEventAt(): number | undefined {
    return this.#lastEventAt;
  }

  /** Follows the kind until the signal aborts, and only then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { state } = this.#machine;
      if (state.name === 'backing-off') {
        await pause(state.delayMs, signal).catch(() => undefined);
        this.#step({ type: 'waited' });
      } else {
        await this.#request(state, signal);
      }
    }
  }

  #step(input: WatchInput): void {
    this.#machine = nextWatch(this.#machine, input, this.#random());
  }

  async #request(state: RequestState, signal: AbortSignal): Promise<void> {
    const connection = new Connection(signal, this.#idleTimeoutMs);
    try {
      if (state.name === 'listing') {
        this.#step(await this.#listPage(state.continueToken, connection));
        return;
      }
      if (state.name === 'streaming') this.#startList('streaming');
      await this.#watch(state, connection);
      this.#step({ type: 'ended', lastedMs: connection.lastedMs, toldAnything: connection.toldAnything });
      this.#interrupted({ reason: 'ended' });
    } catch (error) {
      if (signal.aborted) return;
      const [input, interruption] = this.#failure(error, connection);
      this.#step(input);
      this.#interrupted(interruption);
    } finally {
      connection.close();
    }
  }

  #failure(error: unknown, connection: Connection): readonly [WatchInput, Interruption] {
    if (connection.idle) return [{ type: 'idle' }, { reason: 'idle' }];
    if (isGone(error)) return [{ type: 'gone' }, { reason: 'gone', error }];
    const { lastedMs } = connection;
    if (!(error instanceof ApiError))
      return [
        { type: 'failed', lastedMs },
        { reason: 'failed', error },
      ];
    if (this.#machine.state.name === 'streaming' && (error.status === 400 || error.status === 422)) {
      return [{ type: 'refused' }, { reason: 'refused', error }];
    }
    const { retryAfterMs } = error;
    return [
      { type: 'failed', lastedMs, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
      { reason: 'failed', error },
    ];
  }

  #interrupted(interruption: Interruption): void {
    const { state } = this.#machine;
    this.#options.onInterruption?.(interruption, state.name === 'backing-off' ? state.delayMs : 0);
  }

  #startList(how: 'streaming' | 'listing'): void {
    this.#options.onList?.(how);
    this.#options.sink.listStarted();
  }

  async #listPage(continueToken: string | undefined, { signal }: Connection): Promise<WatchInput> {
    const { client, resource, sink, pageSize } = this.#options;
    if (continueToken === undefined) this.#startList('listing');
    const { items, metadata } = await client.list(resource, {
      ...this.#scope,
      limit: pageSize ?? PAGE_SIZE,
      ...(continueToken === undefined ? {} : { continue: continueToken }),
      signal,
    });
    this.#lastEventAt = Date.now();
    for (const object of items) sink.listed(object);
    const { resourceVersion = '', continue: next = '' } = metadata;
    if (next !== '') return { type: 'page', resourceVersion, continueToken: next };
    sink.listFinished(resourceVersion);
    return { type: 'page', resourceVersion };
  }

  /** Resolves when the server ends the watch in order. */
  async #watch(state: Exclude<RequestState, { name: 'listing' }>, connection: Connection): Promise<void> {
    const { client, resource, watchSeconds } = this.#options;
    const stream = await client.watch(resource, {
      ...this.#scope,
      ...(state.name === 'streaming'
        ? { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: state.resourceVersion }),
      allowWatchBookmarks: true,
      timeoutSeconds: watchSeconds ?? Math.round(300 + 300 * this.#random()),
      signal: connection.signal,
    });
    connection.opened();
    // Where bookmarks are due, an answer alone proves nothing: what is behind it may be stuck.
    if (resource.withoutBookmarks === true && state.name === 'watching') this.#lastEventAt = Date.now();
    const decoder = new WatchDecoder<T>();
    try {
      for await (const chunk of stream) {
        connection.heard();
        for (const event of decoder.push(chunk)) this.#receive(event, connection);
      }
    } finally {
      stream.destroy();
    }
    connection.signal.throwIfAborted();
    decoder.end();
  }

  #receive(event: WatchEvent<T>, connection: Connection): void {
    this.#lastEventAt = Date.now();
    if (event.type === 'ERROR') throw errorOf(event.object, this.#options.resource);
    const { state } = this.#machine;
    if (state.name === 'streaming') this.#receiveInitial(event);
    else this.#receiveNews(event, connection);
  }

  #receiveInitial(event: Exclude<WatchEvent<T>, { type: 'ERROR' }>): void {
    const { sink } = this.#options;
    switch (event.type) {
      case 'ADDED':
      case 'MODIFIED':
        sink.listed(event.object);
        return;
      case 'DELETED':
        sink.unlisted(event.object);
        return;
      case 'BOOKMARK': {
        const { annotations, resourceVersion = '' } = event.object.metadata;
        if (annotations?.[INITIAL_EVENTS_END] !== 'true') return;
        sink.listFinished(resourceVersion);
        this.#step({ type: 'initial-events-end', resourceVersion });
      }
    }
  }

  #receiveNews(event: Exclude<WatchEvent<T>, { type: 'ERROR' }>, connection: Connection): void {
    const { sink } = this.#options;
    const { resourceVersion = '' } = event.object.metadata;
    switch (event.type) {
      case 'ADDED':
      case 'MODIFIED':
        sink.told(event.object);
        break;
      case 'DELETED':
        sink.toldDeleted(event.object);
        break;
      case 'BOOKMARK':
        sink.toldBookmark(resourceVersion);
    }
    // Only now: what the sink could not take is asked for again.
    connection.toldAnything = true;
    this.#step({ type: 'told', resourceVersion });
  }
}

/** One request: its signal aborts with the outer one, or when nothing has come for too long. */
class Connection {
  /** Whether silence ended it. */
  idle = false;
  toldAnything = false;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #watchdog: NodeJS.Timeout;
  #openedAt: number | undefined;

  constructor(outer: AbortSignal, idleTimeoutMs: number) {
    this.#outer = outer;
    this.#watchdog = setTimeout(() => {
      this.idle = true;
      this.#controller.abort(
        new ConnectionError(`nothing came from the API server for ${idleTimeoutMs / 1000} s`, 'IDLE'),
      );
    }, idleTimeoutMs);
    outer.addEventListener('abort', this.#onOuterAbort, { once: true });
    if (outer.aborted) this.#onOuterAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds since the server's headers; 0 when there were none. */
  get lastedMs(): number {
    return this.#openedAt === undefined ? 0 : performance.now() - this.#openedAt;
  }

  opened(): void {
    this.#openedAt = performance.now();
    this.heard();
  }

  heard(): void {
    this.#watchdog.refresh();
  }

  close(): void {
    clearTimeout(this.#watchdog);
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }

  readonly #onOuterAbort = (): void => this.#controller.abort(reasonOf(this.#outer));
}

function errorOf({ code = 500, reason = 'Unknown', message }: WatchStatus, { plural }: Resource<KubeObject>): ApiError {
  return new ApiError({
    attempted: `watch ${plural}`,
    status: code,
    reason,
    sentence: message ?? `the server ended the watch with an error (${reason})`,
  });
}
