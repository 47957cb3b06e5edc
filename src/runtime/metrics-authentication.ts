import type { KubeClient } from '../kube/client.ts';
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS } from '../kube/reviews.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Handler, Reply } from './http-server.ts';
import { describeError, type Logger } from './logger.ts';
import { TokenVerdicts } from './token-verdicts.ts';

type Verdict = 'allowed' | 'unknown token' | 'forbidden';

export interface AuthenticationOptions {
  /** Not the client that may write only while leading: a standby is scraped too. */
  readonly client: Pick<KubeClient, 'create'>;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** A right that was taken away works for that long still. */
const ALLOWED_FOR_MS = 60_000;
const REFUSED_FOR_MS = 10_000;
const MOST_ANSWERS = 256;
/** Whoever sends made-up tokens must not keep the Lease from being renewed: it goes the same way. */
const MOST_LOOKUPS = 2;
const LOOKUP_TIMEOUT_MS = 5_000;
const LONGEST_TOKEN = 16_384;

/**
 * Lets through whoever has a bearer token that the API server knows (TokenReview) and the right to `get` the path (SubjectAccessReview of a
 * nonResourceURL). 401 and 403 say which of the two is missing; 503 that the API server could not be asked.
 */
export function authenticated(path: string, handler: Handler, options: AuthenticationOptions): Handler {
  const gate = new Gate(path, options);
  return async (query, headers) => {
    const refusal = await gate.refusal(headers.authorization);
    return refusal ?? handler(query, headers);
  };
}

class Gate {
  readonly #path: string;
  readonly #options: AuthenticationOptions;
  readonly #verdicts: TokenVerdicts<Verdict>;

  constructor(path: string, options: AuthenticationOptions) {
    this.#path = path;
    this.#options = options;
    const { clock = systemClock } = options;
    this.#verdicts = new TokenVerdicts({
      lookUp: (token) => this.#lookUp(token),
      goodForMs: (verdict) => (verdict === 'allowed' ? ALLOWED_FOR_MS : REFUSED_FOR_MS),
      most: MOST_ANSWERS,
      mostLookUps: MOST_LOOKUPS,
      nowMs: () => clock.monotonic(),
    });
  }

  /** The answer for whoever may not pass. */
  async refusal(authorization: string | undefined): Promise<Reply | undefined> {
    const token = bearerToken(authorization);
    if (token === undefined) return { status: 401, body: `${this.#path} wants a bearer token\n` };
    try {
      switch (await this.#verdicts.of(token)) {
        case 'allowed':
          return undefined;
        case 'unknown token':
          return { status: 401, body: 'the API server does not know this token\n' };
        case 'forbidden':
          return { status: 403, body: `whose token this is may not get ${this.#path}; a ClusterRole has to say so\n` };
      }
    } catch (error) {
      this.#options.log.warn({ reason: describeError(error) }, 'who asks for metrics cannot be looked up');
      return { status: 503, body: 'the API server cannot be asked whose token this is; try again\n' };
    }
  }

  async #lookUp(token: string): Promise<Verdict> {
    const { client } = this.#options;
    const call = { signal: AbortSignal.timeout(LOOKUP_TIMEOUT_MS) };
    const { status } = await client.create(TOKEN_REVIEWS, { metadata: {}, spec: { token } }, call);
    const user = status?.user;
    if (status?.authenticated !== true || user === undefined) return 'unknown token';
    const review = await client.create(
      SUBJECT_ACCESS_REVIEWS,
      {
        metadata: {},
        spec: {
          user: user.username,
          uid: user.uid,
          groups: user.groups,
          extra: user.extra,
          nonResourceAttributes: { path: this.#path, verb: 'get' },
        },
      },
      call,
    );
    return review.status?.allowed === true ? 'allowed' : 'forbidden';
  }
}

function bearerToken(authorization: string | undefined): string | undefined {
  const token = /^Bearer +([\w~+/.=-]+)$/i.exec(authorization ?? '')?.[1];
  return token !== undefined && token.length <= LONGEST_TOKEN ? token : undefined;
}
