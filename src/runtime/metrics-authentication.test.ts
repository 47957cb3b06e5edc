import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Resource } from '../kube/resources.ts';
import { createLogger } from './logger.ts';
import { authenticated } from './metrics-authentication.ts';

const log = createLogger({ level: 'error' });

/** The two reviews as the API server answers them for `good` (may read), `nosy` (may not) and anything else (unknown). */
function aWorld() {
  const clock = new ManualClock();
  const asked: string[] = [];
  let down = false;
  const client = {
    async create<T extends KubeObject>({ kind }: Resource<T>, object: T): Promise<T> {
      if (down) throw new Error('the API server is away');
      asked.push(kind);
      const text = JSON.stringify(object);
      const status =
        kind === 'TokenReview'
          ? { authenticated: /good|nosy/.test(text), user: { username: text.includes('good') ? 'good' : 'nosy' } }
          : { allowed: text.includes('"user":"good"') && text.includes('"path":"/metrics"') };
      return { ...object, status };
    },
  };
  const handler = authenticated('/metrics', () => ({ status: 200, body: 'metrics' }), { client, log, clock });
  const get = async (authorization?: string) => (await handler(new URLSearchParams(), { authorization })).status;
  return { clock, asked, get, fail: (value: boolean) => (down = value) };
}

describe('/metrics with authentication', () => {
  it.each([
    [undefined, 401],
    ['', 401],
    ['Basic Z29vZA==', 401],
    ['Bearer', 401],
    ['Bearer two words', 401],
    [`Bearer ${'x'.repeat(20_000)}`, 401],
    ['Bearer stranger', 401],
    ['Bearer nosy', 403],
    ['Bearer good', 200],
    ['bearer good', 200],
  ])('answers %j with %i', async (authorization, status) => {
    expect(await aWorld().get(authorization)).toBe(status);
  });

  it('asks the API server nothing where there is no token', async () => {
    const { get, asked } = aWorld();
    await get();
    await get('Basic eDp5');
    expect(asked).toEqual([]);
  });

  it('asks once a minute for a token that may, and again after that', async () => {
    const { get, asked, clock } = aWorld();
    await get('Bearer good');
    await get('Bearer good');
    expect(asked).toEqual(['TokenReview', 'SubjectAccessReview']);
    clock.advance(60_001);
    await get('Bearer good');
    expect(asked).toHaveLength(4);
  });

  it('asks again after ten seconds for a token that may not: a right may have been given', async () => {
    const { get, asked, clock } = aWorld();
    await get('Bearer nosy');
    await get('Bearer nosy');
    expect(asked).toHaveLength(2);
    clock.advance(10_001);
    await get('Bearer nosy');
    expect(asked).toHaveLength(4);
  });

  it('asks once for many requests at the same time, and refuses a flood of tokens', async () => {
    const { get, asked } = aWorld();
    expect(await Promise.all([get('Bearer good'), get('Bearer good')])).toEqual([200, 200]);
    expect(asked).toHaveLength(2);
    const flood = await Promise.all(Array.from({ length: 50 }, (_, index) => get(`Bearer made-up-${index}`)));
    expect(flood.filter((status) => status === 503)).toHaveLength(48);
    expect(asked).toHaveLength(4);
  });

  it('says 503 while the API server is away, and lets nobody in', async () => {
    const { get, fail } = aWorld();
    fail(true);
    expect(await get('Bearer good')).toBe(503);
    fail(false);
    expect(await get('Bearer good')).toBe(200);
  });
});
