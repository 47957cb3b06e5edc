import { describe, expect, test } from 'vitest';
import { type Credential, Credentials } from './credentials.ts';

function withToken(token: string, freshUntilMs?: number): Credential {
  return { headers: { authorization: `Bearer ${token}` }, tls: { ca: 'CA' }, freshUntilMs };
}

/** A source that gives what is queued, and the last of it again. */
function scripted(script: (Credential | Error)[], keepsLast = true) {
  const state = { now: 0, fetches: 0 };
  const source = {
    keepsLast,
    fetch: async (): Promise<Credential> => {
      state.fetches++;
      const next = script.length > 1 ? script.shift() : script[0];
      if (next === undefined || next instanceof Error) throw next ?? new Error('nothing is scripted');
      return next;
    },
  };
  return { credentials: new Credentials(source, () => state.now), state };
}

describe('Credentials', () => {
  test('asks the source once for all who come at the same time, and not again while the credential is fresh', async () => {
    const { credentials, state } = scripted([withToken('a', 100), withToken('b')]);
    const [first, second] = await Promise.all([credentials.authorize(), credentials.authorize()]);
    state.now = 99;
    expect([second, await credentials.authorize()]).toEqual([first, first]);
    expect(state.fetches).toBe(1);
    state.now = 100;
    expect((await credentials.authorize()).headers).toEqual({ authorization: 'Bearer b' });
  });

  test('what is equal is the same object, so that connections go on being used', async () => {
    const { credentials, state } = scripted([withToken('a', 1), withToken('a', 2), withToken('b')]);
    const first = await credentials.authorize();
    state.now = 1;
    expect(await credentials.authorize()).toBe(first);
    state.now = 2;
    const third = await credentials.authorize();
    expect(third).not.toBe(first);
    expect(third.tls).toBe(first.tls);
  });

  test('a rejected credential is replaced once; a source with nothing new says so', async () => {
    const { credentials, state } = scripted([withToken('a'), withToken('b')]);
    const first = await credentials.authorize();
    expect(await Promise.all([credentials.refresh(first), credentials.refresh(first)])).toEqual([true, true]);
    expect(state.fetches).toBe(2);
    // A request that was sent with the first one and is rejected only now finds the second one there.
    expect(await credentials.refresh(first)).toBe(true);
    expect(state.fetches).toBe(2);
    expect(await credentials.refresh(await credentials.authorize())).toBe(false);
  });

  test('a file that cannot be read for a while leaves its last token in use, and is tried again', async () => {
    const { credentials, state } = scripted([withToken('a', 1), new Error('gone'), withToken('b')]);
    const first = await credentials.authorize();
    state.now = 1;
    expect(await credentials.authorize()).toBe(first);
    expect(await credentials.authorize()).toBe(first);
    expect(state.fetches).toBe(2);
    state.now += 60_000;
    expect((await credentials.authorize()).headers).toEqual({ authorization: 'Bearer b' });
  });

  test('a credential that has expired is not used for want of a new one', async () => {
    const { credentials, state } = scripted([withToken('a', 1), new Error('the plugin failed')], false);
    await credentials.authorize();
    state.now = 1;
    await expect(credentials.authorize()).rejects.toThrow('the plugin failed');
  });

  test('who aborts gets the reason; the others get their credential', async () => {
    const { promise, resolve } = Promise.withResolvers<Credential>();
    const credentials = new Credentials({ keepsLast: false, fetch: () => promise });
    const abort = new AbortController();
    const aborted = credentials.authorize(abort.signal);
    const other = credentials.authorize();
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    resolve(withToken('a'));
    expect((await other).headers).toEqual({ authorization: 'Bearer a' });
  });
});
