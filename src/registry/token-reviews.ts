import { hash } from 'node:crypto';
import { BoundedCache } from '../kernel/bounded-cache.ts';
import { REGISTRY_AUDIENCE } from '../kernel/cluster-registry.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import { defineResource } from '../kube/resources.ts';

/** Source: k8s.io/api/authentication/v1/types.go. */
interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] };
  readonly status?: ReviewStatus;
}

export interface ReviewStatus {
  readonly authenticated?: boolean;
  readonly user?: { readonly username?: string };
  readonly audiences?: readonly string[];
}

const TOKEN_REVIEWS = defineResource<TokenReview>({
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenReview',
  plural: 'tokenreviews',
  namespaced: false,
});

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
  readonly #ask: (token: string) => Promise<ReviewStatus | undefined>;
  readonly #now: () => number;
  /** By hash: no token is kept. */
  readonly #known = new BoundedCache<{ readonly verdict: Verdict; readonly untilMs: number }>({
    entries: MOST_REMEMBERED,
    weight: MOST_REMEMBERED,
  });
  readonly #underWay = new Map<string, Promise<Verdict>>();

  constructor(ask: (token: string) => Promise<ReviewStatus | undefined>, now: () => number = Date.now) {
    this.#ask = ask;
    this.#now = now;
  }

  /** @throws what asking throws */
  async review(token: string): Promise<Verdict> {
    if (token.length > LONGEST_TOKEN || !TOKEN.test(token)) return { kind: 'rejected' };
    const key = hash('sha256', token, 'hex');
    const known = this.#known.get(key);
    if (known !== undefined && this.#now() < known.untilMs) return known.verdict;
    const asked = this.#underWay.get(key);
    if (asked !== undefined) return asked;
    const asking = this.#remember(token, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asking);
    return asking;
  }

  async #remember(token: string, key: string): Promise<Verdict> {
    const verdict = verdictOf(await this.#ask(token));
    const goodForMs = verdict.kind === 'namespace' ? GOOD_FOR_MS : BAD_FOR_MS;
    this.#known.set(key, { verdict, untilMs: this.#now() + goodForMs }, 1);
    return verdict;
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
