import { REGISTRY_AUDIENCE } from '../kernel/cluster-registry.ts';
import type { KubeClient } from '../kube/client.ts';
import { TOKEN_REVIEWS, type TokenReview } from '../kube/reviews.ts';
import { TokenVerdicts } from '../runtime/token-verdicts.ts';

export type ReviewStatus = NonNullable<TokenReview['status']>;

export type Verdict =
  /** A token of a ServiceAccount of that namespace. */
  | { readonly kind: 'namespace'; readonly namespace: string }
  /** Not a token of this cluster for this registry, or not any more. */
  | { readonly kind: 'rejected' }
  /** Of somebody who is no ServiceAccount. */
  | { readonly kind: 'no-service-account' };

/** How long a verdict counts, milliseconds: a ServiceAccount that was deleted pushes for so long. */
const GOOD_FOR_MS = 60_000;
const BAD_FOR_MS = 10_000;
const MOST_REMEMBERED = 1_024;
/** Bytes. Tokens of service accounts have about a thousand. */
const LONGEST_TOKEN = 8_192;
/** A JWT, which is what the API server gives out. Anything else is not worth a question. */
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Puts the question to the API server; throws ApiError and ConnectionError. */
export function askServer(client: KubeClient): (token: string) => Promise<ReviewStatus | undefined> {
  return async (token) => {
    const review = await client.create(TOKEN_REVIEWS, {
      metadata: {},
      spec: { token, audiences: [REGISTRY_AUDIENCE] },
    });
    return review.status;
  };
}

/** Finds out whose token a password is, and asks for each one only once in a while. */
export class TokenReviews {
  readonly #verdicts: TokenVerdicts<Verdict>;

  constructor(ask: (token: string) => Promise<ReviewStatus | undefined>, now: () => number = Date.now) {
    this.#verdicts = new TokenVerdicts({
      lookUp: async (token) => verdictOf(await ask(token)),
      goodForMs: ({ kind }) => (kind === 'namespace' ? GOOD_FOR_MS : BAD_FOR_MS),
      most: MOST_REMEMBERED,
      nowMs: now,
    });
  }

  /** @throws what asking throws */
  async review(token: string): Promise<Verdict> {
    return token.length > LONGEST_TOKEN || !TOKEN.test(token) ? { kind: 'rejected' } : this.#verdicts.of(token);
  }
}

/** An authenticator that knows nothing of audiences leaves them out, and then the token may be for anybody. */
export function verdictOf(status: ReviewStatus | undefined): Verdict {
  if (status?.authenticated !== true || status.audiences?.includes(REGISTRY_AUDIENCE) !== true) {
    return { kind: 'rejected' };
  }
  const namespace = /^system:serviceaccount:([a-z0-9-]+):[^:]+$/.exec(status.user?.username ?? '')?.[1];
  return namespace === undefined ? { kind: 'no-service-account' } : { kind: 'namespace', namespace };
}
