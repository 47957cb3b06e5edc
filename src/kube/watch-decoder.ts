import type { KubeObject } from './objects.ts';

/** One line of a watch. Source: k8s.io/apimachinery/pkg/watch/watch.go. */
export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject }
  | { readonly type: 'ERROR'; readonly object: WatchStatus };

/** The part of a metav1.Status that an ERROR event carries and we read. */
export interface WatchStatus {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
}

/** The bytes of a watch are not what a watch is made of; the connection is given up and resumed. */
export class WatchDecodeError extends Error {
  override readonly name = 'WatchDecodeError';
}

/** etcd takes no object over 1.5 MB by default and no cluster is known to allow 64: a line without end is not a watch. */
const LONGEST_LINE_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const EVENT_TYPES: ReadonlySet<unknown> = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']);

/**
 * Turns the chunks of one watch's body into its events. Lines are cut on bytes, before decoding: a chunk may end in the middle of a
 * character, and no byte of a UTF-8 sequence looks like a newline.
 */
export class WatchDecoder<T extends KubeObject> {
  readonly #longestLineBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;
  #first = true;

  constructor(longestLineBytes = LONGEST_LINE_BYTES) {
    this.#longestLineBytes = longestLineBytes;
  }

  /**
   * The events that this chunk completes, each parsed only when asked for. Use them up before the next chunk.
   *
   * @throws WatchDecodeError on a line that is too long or is no event.
   */
  *push(chunk: Uint8Array | string): Generator<WatchEvent<T>, void> {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      this.#keep(bytes.subarray(start, end));
      start = end + 1;
      const line = this.#takeLine();
      if (line.trim() !== '') yield parseEvent(line);
    }
    this.#keep(bytes.subarray(start));
  }

  /**
   * The body has ended.
   *
   * @throws WatchDecodeError when it ended within a line.
   */
  end(): void {
    if (this.#length > 0) {
      throw new WatchDecodeError(`the watch ended within an event, after ${this.#length} bytes of it`);
    }
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length > this.#longestLineBytes) {
      throw new WatchDecodeError(`an event of the watch is longer than ${this.#longestLineBytes} bytes`);
    }
    this.#parts.push(part);
  }

  #takeLine(): string {
    let line = Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    if (this.#first && line.subarray(0, 3).equals(BYTE_ORDER_MARK)) line = line.subarray(3);
    this.#first = false;
    return line.toString('utf8');
  }
}

function parseEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  let event: WatchEvent<T>;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new WatchDecodeError(`a line of the watch is not JSON: ${excerpt(line)}`, { cause });
  }
  if (!isEvent(event)) throw new WatchDecodeError(`a line of the watch is not an event: ${excerpt(line)}`);
  return event;
}

function isEvent(value: unknown): boolean {
  if (!isRecord(value) || !EVENT_TYPES.has(value['type']) || !isRecord(value['object'])) return false;
  return value['type'] === 'ERROR' || isRecord(value['object']['metadata']);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Only the beginning: an object may hold what must not get into a log, and its kind and name stand first. */
function excerpt(line: string): string {
  return line.length <= 80 ? line : `${line.slice(0, 80)}…`;
}
