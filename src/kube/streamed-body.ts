import type { Readable } from 'node:stream';

/** The body of a watch, in chunks as they arrive (a chunk is no line). Iterate it once. */
export class WatchStream implements AsyncIterable<Uint8Array> {
  readonly #body: Readable;
  readonly #signal: AbortSignal;
  readonly #wrap: (cause: unknown) => Error;
  #destroyed = false;
  #reason: Error | undefined;

  /** @param wrap makes the error for a connection that broke */
  constructor(body: Readable, signal: AbortSignal, wrap: (cause: unknown) => Error) {
    this.#body = body;
    this.#signal = signal;
    this.#wrap = wrap;
    body.on('error', () => undefined);
  }

  /**
   * Ends when the server ends the watch, or after `destroy()`.
   * @throws ConnectionError when the connection breaks; the signal's reason; what `destroy` was given.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of this.#body) {
        if (this.#destroyed) break;
        yield chunk;
      }
    } catch (error) {
      if (this.#destroyed) {
        if (this.#reason !== undefined) throw this.#reason;
        return;
      }
      this.#signal.throwIfAborted();
      throw this.#wrap(error);
    }
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Closes the connection. The iteration ends, with `reason` as its error if one is given. */
  destroy(reason?: Error): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#reason = reason;
    this.#body.destroy();
  }
}
