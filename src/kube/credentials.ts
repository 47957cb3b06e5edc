import { isDeepStrictEqual } from 'node:util';
import { abortable } from './abort.ts';
import type { Authorization, TlsMaterial } from './connection.ts';

/** What a source gives at one time. */
export interface Credential {
  readonly headers: Authorization['headers'];
  readonly tls: TlsMaterial;
  /** Milliseconds since the epoch from when it has to be asked for again; absent: only when the server rejects it. */
  readonly freshUntilMs?: number;
}

export interface CredentialSource {
  fetch(): Promise<Credential>;
  /** Whether the last credential goes on being used while a newer one cannot be had: true for files, false for what has expired. */
  readonly keepsLast: boolean;
}

/** How soon a source that failed is asked again, while its last credential is still used. */
const RETRY_MS = 10_000;

/** Asks a source only when its last credential is no longer fresh or was rejected, and only once for all who wait. */
export class Credentials {
  readonly #source: CredentialSource;
  readonly #now: () => number;
  #current: Authorization | undefined;
  #freshUntilMs = Number.POSITIVE_INFINITY;
  #fetching: Promise<Authorization> | undefined;

  constructor(source: CredentialSource, now: () => number = Date.now) {
    this.#source = source;
    this.#now = now;
  }

  async authorize(signal?: AbortSignal): Promise<Authorization> {
    const last = this.#current;
    if (last !== undefined && this.#now() < this.#freshUntilMs) return last;
    try {
      return await abortable(this.#fetch(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (last === undefined || !this.#source.keepsLast) throw error;
      this.#freshUntilMs = this.#now() + RETRY_MS;
      return last;
    }
  }

  async refresh(rejected: Authorization, signal?: AbortSignal): Promise<boolean> {
    // Another request that was rejected too may have been here first.
    if (this.#current !== rejected) return true;
    try {
      return (await abortable(this.#fetch(), signal)) !== rejected;
    } catch (error) {
      signal?.throwIfAborted();
      if (!this.#source.keepsLast) throw error;
      return false;
    }
  }

  #fetch(): Promise<Authorization> {
    this.#fetching ??= this.#source
      .fetch()
      .then((credential) => this.#take(credential))
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }

  /** Keeps what is equal the same object, so that connections go on being used and refresh can tell news from none. */
  #take({ headers, tls, freshUntilMs }: Credential): Authorization {
    this.#freshUntilMs = freshUntilMs ?? Number.POSITIVE_INFINITY;
    const last = this.#current;
    const keptTls = last !== undefined && isDeepStrictEqual(last.tls, tls) ? last.tls : tls;
    if (last === undefined || keptTls !== last.tls || !isDeepStrictEqual(last.headers, headers)) {
      this.#current = { headers, tls: keptTls };
    }
    return this.#current ?? { headers, tls: keptTls };
  }
}

/** The header of a bearer token; none for an empty one. */
export function bearer(token: string): Readonly<Record<string, string>> {
  const trimmed = token.trim();
  return trimmed === '' ? {} : { authorization: `Bearer ${trimmed}` };
}
