import { describe, expect, it } from 'vitest';
import { type ReviewStatus, TokenReviews, verdictOf } from './token-reviews.ts';

const AUDIENCES = ['kmm-registry'];
const user = { username: 'system:serviceaccount:team-a:default' };

describe('what the API server says of a token', () => {
  it.each<[string, Parameters<typeof verdictOf>[0], object]>([
    [
      'a ServiceAccount',
      { authenticated: true, user, audiences: AUDIENCES },
      { kind: 'namespace', namespace: 'team-a' },
    ],
    ['nobody', { authenticated: false }, { kind: 'rejected' }],
    [
      'somebody else',
      { authenticated: true, user: { username: 'admin' }, audiences: AUDIENCES },
      { kind: 'no-service-account' },
    ],
    ['a ServiceAccount, for another audience', { authenticated: true, user, audiences: ['api'] }, { kind: 'rejected' }],
    // An authenticator that knows nothing of audiences.
    ['a ServiceAccount, for no audience', { authenticated: true, user }, { kind: 'rejected' }],
    ['nothing', undefined, { kind: 'rejected' }],
    [
      'a user whose name only looks like it',
      { authenticated: true, user: { username: 'x:system:serviceaccount:team-a:default' }, audiences: AUDIENCES },
      { kind: 'no-service-account' },
    ],
  ])('that is %s', (_what, status, verdict) => {
    expect(verdictOf(status)).toEqual(verdict);
  });
});

/** Counts what the API server is asked. */
function asked(answer: () => ReviewStatus) {
  const tokens: string[] = [];
  const ask = async (token: string): Promise<ReviewStatus> => {
    tokens.push(token);
    return answer();
  };
  return { tokens, ask };
}

describe('token reviews', () => {
  const good = { authenticated: true, user, audiences: AUDIENCES };

  it('are asked once for a minute, also where many ask at once', async () => {
    let now = 0;
    const { tokens, ask } = asked(() => good);
    const reviews = new TokenReviews(ask, () => now);
    await Promise.all([reviews.review('a.b.c'), reviews.review('a.b.c')]);
    now = 59_000;
    await reviews.review('a.b.c');
    expect(tokens).toHaveLength(1);
    now = 61_000;
    expect(await reviews.review('a.b.c')).toEqual({ kind: 'namespace', namespace: 'team-a' });
    expect(tokens).toHaveLength(2);
  });

  it('are not asked about what cannot be a token, and remember a bad one for a short while only', async () => {
    let now = 0;
    const { tokens, ask } = asked(() => ({ authenticated: false }));
    const reviews = new TokenReviews(ask, () => now);
    for (const text of ['password', 'a.b', `a.b.${'c'.repeat(10_000)}`, 'a.b.c d']) {
      expect(await reviews.review(text)).toEqual({ kind: 'rejected' });
    }
    expect(tokens).toEqual([]);
    await reviews.review('a.b.c');
    await reviews.review('a.b.c');
    now = 11_000;
    await reviews.review('a.b.c');
    expect(tokens).toHaveLength(2);
  });

  it('that fail are asked again at once', async () => {
    let fails = true;
    const { ask } = asked(() => {
      if (fails) throw new Error('unreachable');
      return good;
    });
    const reviews = new TokenReviews(ask, () => 0);
    await expect(reviews.review('a.b.c')).rejects.toThrow('unreachable');
    fails = false;
    expect(await reviews.review('a.b.c')).toEqual({ kind: 'namespace', namespace: 'team-a' });
  });
});
