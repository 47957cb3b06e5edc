import type { Refusal, Wish } from './request-policy.ts';
import { passwordOf, wishOf } from './request-policy.ts';
import type { TokenReviews, Verdict } from './token-reviews.ts';

export type Decision =
  | { readonly kind: 'pass' }
  /** Answered here: the registry has nothing to add. */
  | { readonly kind: 'welcome' }
  | { readonly kind: 'refuse'; readonly refusal: Refusal; readonly challenge: boolean };

/** Who may do what. */
export type Access = (method: string, target: string, authorization: string | undefined) => Promise<Decision>;

type Write = Extract<Wish, { kind: 'write' }>;

/** Gives whose token it is; an answer for the client where that cannot be found out now. */
type Reviewer = (token: string) => Promise<Verdict | Refusal>;

/**
 * Everybody reads; a ServiceAccount writes what stands below its namespace.
 *
 * @param onFailure told why the API server could not be asked
 */
export function pushingAccess(reviews: TokenReviews, onFailure: (error: unknown) => void): Access {
  const review: Reviewer = async (token) => {
    try {
      return await reviews.review(token);
    } catch (error) {
      onFailure(error);
      return {
        status: 503,
        code: 'UNAVAILABLE',
        message: 'the API server cannot be asked whose token this is: try again',
      };
    }
  };
  return accessOf({
    ping: (authorization) => welcome(authorization, review),
    write: (wish, authorization) => writing(wish, authorization, review),
  });
}

/** Everybody reads, and nobody does anything else. */
export const readingAccess: Access = accessOf({
  ping: async () => ({ kind: 'welcome' }),
  write: async () => refuse({ status: 405, code: 'UNSUPPORTED', message: READ_ONLY }),
});

interface Answers {
  readonly ping: (authorization: string | undefined) => Promise<Decision>;
  readonly write: (wish: Write, authorization: string | undefined) => Promise<Decision>;
}

/** What everybody may and nobody may is the same everywhere. */
function accessOf({ ping, write }: Answers): Access {
  return async (method, target, authorization) => {
    const wish = wishOf(method, target);
    switch (wish.kind) {
      case 'refused':
        return refuse(wish.refusal);
      case 'read':
        return { kind: 'pass' };
      case 'ping':
        return ping(authorization);
      case 'write':
        return write(wish, authorization);
    }
  };
}

const READ_ONLY = 'images are only pulled here: builds push to the Service kmm-registry';

/**
 * Tools ask here first, without credentials, and send them later only where they are told of a challenge now: skopeo and buildah push
 * without any otherwise. One that has none answers the challenge with an empty name and password, and reads.
 */
async function welcome(authorization: string | undefined, review: Reviewer): Promise<Decision> {
  if (authorization === undefined) return refuse(unauthorized('name a token to push; reading needs none'), true);
  const token = passwordOf(authorization);
  if (token === undefined) return { kind: 'welcome' };
  const verdict = await review(token);
  if ('status' in verdict) return refuse(verdict);
  return verdict.kind === 'namespace' ? { kind: 'welcome' } : refuse(unauthorized(BAD_TOKEN), true);
}

async function writing(
  { namespace, repository }: Write,
  authorization: string | undefined,
  review: Reviewer,
): Promise<Decision> {
  const token = passwordOf(authorization);
  if (token === undefined) {
    return refuse(unauthorized(`pushing to ${repository} needs a token of a ServiceAccount as password`), true);
  }
  const verdict = await review(token);
  if ('status' in verdict) return refuse(verdict);
  switch (verdict.kind) {
    case 'rejected':
      return refuse(unauthorized(BAD_TOKEN), true);
    case 'no-service-account':
      return refuse(denied(`only ServiceAccounts push; this token is of none`));
    case 'namespace':
      return verdict.namespace === namespace
        ? { kind: 'pass' }
        : refuse(denied(`a ServiceAccount of ${verdict.namespace} pushes below ${verdict.namespace}/ only`));
  }
}

const BAD_TOKEN =
  'this is no token of this cluster for the audience kmm-registry, or it is out of date: make one with kubectl create token';

function unauthorized(message: string): Refusal {
  return { status: 401, code: 'UNAUTHORIZED', message };
}

function denied(message: string): Refusal {
  return { status: 403, code: 'DENIED', message };
}

function refuse(refusal: Refusal, challenge = false): Decision {
  return { kind: 'refuse', refusal, challenge };
}
