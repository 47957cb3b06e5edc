import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { answer, type Handler, refuse, type StubServer, stubServer } from '../../test/harness/stub-server.ts';
import type { KubeClient, RequestReport } from './client.ts';
import { NODES } from './core.ts';
import { Credentials } from './credentials.ts';
import { ApiError, ConnectionError, isTooManyRequests, isUnauthorized } from './errors.ts';

const A_NODE = { metadata: { name: 'n' } };
const get = (client: KubeClient, signal?: AbortSignal) => client.get(NODES, { name: 'n' }, { signal });
const create = (client: KubeClient, signal?: AbortSignal) => client.create(NODES, A_NODE, { signal });

const stubs: StubServer[] = [];

async function serve(handler: Handler, tokens?: readonly string[]): Promise<StubServer> {
  const stub = await stubServer(handler, tokens);
  stubs.push(stub);
  return stub;
}

/** Answers the requests in turn, the last handler all that follow. */
function inTurn(...handlers: readonly Handler[]): Handler {
  let at = 0;
  return (request, response, body) => handlers[Math.min(at++, handlers.length - 1)]?.(request, response, body);
}

const silentWatch: Handler = (_, response) => {
  response.writeHead(200).flushHeaders();
};
const ok: Handler = (_, response) => answer(response, A_NODE);

afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.close()));
});

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('succeeded'),
    (error: unknown) => error,
  );
}

describe('a server that has too much to do', () => {
  const busy: Handler = (_, response) => refuse(response, 429, 'TooManyRequests', { 'retry-after': '0' });

  test.each([
    ['read', get],
    ['write', create],
  ])('a %s is sent again when the server says so, and then succeeds', async (_, call) => {
    const stub = await serve(inTurn(busy, (_, response) => refuse(response, 503, 'X', { 'retry-after': '0' }), ok));
    expect(await call(stub.client())).toEqual(A_NODE);
    expect(stub.requests).toHaveLength(3);
  });

  test('the time in Retry-After is waited for', async () => {
    const stub = await serve(inTurn((_, response) => refuse(response, 429, 'X', { 'retry-after': '1' }), ok));
    const startedAt = performance.now();
    await get(stub.client());
    // Not an upper bound, so a slow machine cannot break it.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(999);
  });

  test('it is asked five times, and then the error says when to come back', async () => {
    const stub = await serve((_, response) => refuse(response, 429, 'TooManyRequests', { 'retry-after': '0' }));
    const error = await failure(get(stub.client()));
    expect(isTooManyRequests(error)).toBe(true);
    expect(error).toMatchObject({ retryAfterMs: 0, message: 'get nodes n: TooManyRequests by the stub' });
    expect(stub.requests).toHaveLength(5);
  });

  test('who waits holds no place: others get through', async () => {
    const stub = await serve((request, response, body) =>
      request.url?.endsWith('/late')
        ? refuse(response, 429, 'X', { 'retry-after': '60' })
        : ok(request, response, body),
    );
    const abort = new AbortController();
    const client = stub.client({ maxConcurrentRequests: 1 });
    const waiting = failure(client.get(NODES, { name: 'late' }, { signal: abort.signal }));
    await get(client);
    abort.abort(new Error('enough'));
    expect(await waiting).toBe(abort.signal.reason);
  });

  test.each([500, 502, 503, 504])(
    'a %d that names no time is told at once: the write may have been carried out',
    async (code) => {
      const stub = await serve((_, response) => refuse(response, code, 'X'));
      expect(await failure(create(stub.client()))).toMatchObject({ status: code });
      expect(stub.requests).toHaveLength(1);
    },
  );

  test('a watch is not sent again; its error says when to come back', async () => {
    const stub = await serve((_, response) => refuse(response, 429, 'X', { 'retry-after': '7' }));
    const { signal } = new AbortController();
    expect(await failure(stub.client().watch(NODES, { signal }))).toMatchObject({ status: 429, retryAfterMs: 7_000 });
    expect(stub.requests).toHaveLength(1);
  });
});

describe('a connection that breaks', () => {
  const breakOff: Handler = (request) => request.socket.destroy();

  test('before the answer: a read is sent once more', async () => {
    const stub = await serve(inTurn(breakOff, ok));
    expect(await get(stub.client())).toEqual(A_NODE);
  });

  test('twice: a read fails too', async () => {
    const stub = await serve(breakOff);
    expect(await failure(get(stub.client()))).toBeInstanceOf(ConnectionError);
    expect(stub.requests).toHaveLength(2);
  });

  test('before the answer: a write is not sent again, it may have been carried out', async () => {
    const stub = await serve(inTurn(breakOff, ok));
    expect(await failure(create(stub.client()))).toMatchObject({
      name: 'ConnectionError',
      message: expect.stringMatching(/^create nodes n: the connection to http:\S+ broke/),
    });
    expect(stub.requests).toHaveLength(1);
  });

  test('in the middle of an answer: half a list is an error', async () => {
    const stub = await serve((request, response) => {
      response.writeHead(200);
      response.write('{"items":[', () => request.socket.destroy());
    });
    expect(await failure(stub.client().list(NODES))).toBeInstanceOf(ConnectionError);
    expect(stub.requests).toHaveLength(2);
  });

  test('in the middle of a watch: what came is given, and then the error', async () => {
    const stub = await serve((request, response) => {
      response.writeHead(200);
      response.write('{"type":"ADDED"}\n', () => request.socket.destroy());
    });
    const stream = await stub.client().watch(NODES, { signal: new AbortController().signal });
    const chunks: string[] = [];
    const reading = (async () => {
      for await (const chunk of stream) chunks.push(Buffer.from(chunk).toString());
    })();
    expect(await failure(reading)).toMatchObject({
      name: 'ConnectionError',
      message: expect.stringMatching(/^watch nodes: /),
    });
    expect(chunks).toEqual(['{"type":"ADDED"}\n']);
  });

  test('nobody listens: the sentence says where, and what to check', async () => {
    const stub = await serve(ok);
    const client = stub.client();
    await stub.close();
    const refused = stub.client();
    expect(await failure(get(refused))).toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringMatching(
        /^get nodes n: nobody listens at http:\S+ \(ECONNREFUSED\)\. Is the API server up/,
      ),
    });
    expect(await failure(get(client))).toMatchObject({ code: 'UND_ERR_DESTROYED' });
    await refused.close();
  });

  test('a server that takes the request and says nothing is given up', async () => {
    const stub = await serve(() => undefined);
    expect(await failure(create(stub.client({ requestTimeoutMs: 100 })))).toMatchObject({
      code: 'UND_ERR_HEADERS_TIMEOUT',
    });
  });

  test('an answer that stops in the middle is given up', async () => {
    const stub = await serve((_, response) => {
      response.writeHead(200);
      response.write('{');
    });
    expect(await failure(create(stub.client({ requestTimeoutMs: 100 })))).toMatchObject({
      code: 'UND_ERR_BODY_TIMEOUT',
    });
  });

  test('a watch that says nothing for longer than a request may take goes on', async () => {
    const stub = await serve((_, response) => {
      response.writeHead(200).flushHeaders();
      // Longer than the timeout below and the 500 ms of the HTTP client's coarse timers.
      setTimeout(() => response.end('late'), 1_500);
    });
    const { signal } = new AbortController();
    const stream = await stub.client({ requestTimeoutMs: 100 }).watch(NODES, { signal });
    let text = '';
    for await (const chunk of stream) text += Buffer.from(chunk).toString();
    expect(text).toBe('late');
  });

  test('something that is no API server is told as such', async () => {
    const stub = await serve((_, response) => response.end('<html>log in</html>'));
    const error = await failure(get(stub.client()));
    expect(error).toMatchObject({ code: 'NOT_JSON', message: expect.stringContaining('Is it an API server?') });
  });

  test('a refusal that never ends is read no further than 64 KB', async () => {
    const closed = Promise.withResolvers<void>();
    const stub = await serve((_, response) => {
      response.writeHead(500);
      response.once('close', () => closed.resolve());
      const flood = (): void => {
        while (response.write('x'.repeat(16_384)) && !response.destroyed);
        response.once('drain', flood);
      };
      flood();
    });
    expect(await failure(get(stub.client()))).toBeInstanceOf(ApiError);
    await closed.promise;
  });
});

describe('a credential', () => {
  const wants =
    (token: string): Handler =>
    (request, response) =>
      request.headers.authorization === `Bearer ${token}`
        ? answer(response, A_NODE)
        : refuse(response, 401, 'Unauthorized');

  test.each([
    ['read', get],
    ['write', create],
    ['watch', (client: KubeClient) => client.watch(NODES, { signal: new AbortController().signal })],
  ])('that is rejected is renewed, and the %s sent again', async (_, call) => {
    const stub = await serve(wants('secret-2'), ['secret-1', 'secret-2']);
    await call(stub.client());
    expect(stub.requests).toHaveLength(2);
  });

  test('that is rejected and cannot be renewed fails at once', async () => {
    const stub = await serve(wants('secret-2'), ['secret-1']);
    expect(isUnauthorized(await failure(get(stub.client())))).toBe(true);
    expect(stub.requests).toHaveLength(1);
  });

  test('is tried a second time, not for ever', async () => {
    const stub = await serve(wants('none of them'), ['secret-1', 'secret-2', 'secret-3']);
    expect(isUnauthorized(await failure(get(stub.client())))).toBe(true);
    expect(stub.requests).toHaveLength(2);
  });

  test('is in no error', async () => {
    const handlers: Handler[] = [
      (_, response) => refuse(response, 401, 'Unauthorized'),
      (_, response) => refuse(response, 500, 'X'),
      (request) => request.socket.destroy(),
      (_, response) => response.end('not JSON'),
    ];
    for (const handler of handlers) {
      const stub = await serve(handler);
      const error = await failure(create(stub.client()));
      expect(everythingIn(error)).toContain('create nodes n');
      expect(everythingIn(error)).not.toContain('secret-1');
    }
  });
});

/** All that is in an error and its causes, whether enumerable or not. */
function everythingIn(error: unknown, depth = 0): string {
  if (typeof error !== 'object' || error === null || depth > 6) return String(error);
  return Object.getOwnPropertyNames(error)
    .map((name) => `${name}=${everythingIn(Reflect.get(error, name), depth + 1)}`)
    .join(';');
}

describe('requests under way', () => {
  test('are never more than allowed, and all are answered', async () => {
    const held: (() => void)[] = [];
    const stub = await serve((_, response) => {
      held.push(() => answer(response, A_NODE));
      // Fewer at once than three would wait here for ever.
      if (held.length === 3) for (const release of held.splice(0)) release();
    });
    const client = stub.client({ maxConcurrentRequests: 3 });
    await Promise.all(Array.from({ length: 30 }, () => get(client)));
    expect(stub.mostAtOnce()).toBe(3);
    expect(stub.requests).toHaveLength(30);
  });

  test('take their credential when their turn has come, so that it is not an old one by then', async () => {
    const arrived = Promise.withResolvers<() => void>();
    const stub = await serve(inTurn((_, response) => arrived.resolve(() => answer(response, A_NODE)), ok));
    let asked = 0;
    const connection = {
      ...stub.connection,
      authorize: (signal?: AbortSignal) => {
        asked++;
        return stub.connection.authorize(signal);
      },
    };
    const client = stub.client({ connection, maxConcurrentRequests: 1 });
    const calls = [get(client), get(client)];
    const release = await arrived.promise;
    expect(asked).toBe(1);
    release();
    await Promise.all(calls);
    expect(asked).toBe(2);
  });

  test('do not count watches, which never hold one up', async () => {
    const stub = await serve((request, response, body) => {
      if (request.url?.includes('watch=true')) response.writeHead(200).flushHeaders();
      else ok(request, response, body);
    });
    const client = stub.client({ maxConcurrentRequests: 1 });
    const { signal } = new AbortController();
    const streams = await Promise.all(Array.from({ length: 5 }, () => client.watch(NODES, { signal })));
    await get(client);
    for (const stream of streams) stream.destroy();
  });

  test('are reported, each send, with its code', async () => {
    const reports: RequestReport[] = [];
    const stub = await serve(
      inTurn(
        (_, response) => refuse(response, 429, 'X', { 'retry-after': '0' }),
        (request) => request.socket.destroy(),
        ok,
      ),
    );
    await get(stub.client({ observer: (report) => reports.push(report) }));
    expect(reports).toEqual(
      [429, '<error>', 200].map((code) => ({ method: 'GET', resource: 'nodes', code, seconds: expect.any(Number) })),
    );
  });
});

describe('an abort gives the signal’s reason', () => {
  const reason = new Error('enough');

  test('before anything is sent', async () => {
    const stub = await serve(ok);
    expect(await failure(get(stub.client(), AbortSignal.abort(reason)))).toBe(reason);
    expect(stub.requests).toEqual([]);
  });

  test('while the credential is being fetched', async () => {
    const stub = await serve(ok);
    const abort = new AbortController();
    const asked = Promise.withResolvers<void>();
    const credentials = new Credentials({
      keepsLast: false,
      fetch: () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    });
    const connection = { ...stub.connection, authorize: (signal?: AbortSignal) => credentials.authorize(signal) };
    const call = failure(get(stub.client({ connection }), abort.signal));
    await asked.promise;
    abort.abort(reason);
    expect(await call).toBe(reason);
  });

  test('while waiting for a place', async () => {
    const stub = await serve(() => undefined);
    const client = stub.client({ maxConcurrentRequests: 1 });
    const first = failure(get(client));
    const abort = new AbortController();
    const second = failure(get(client, abort.signal));
    abort.abort(reason);
    expect(await second).toBe(reason);
    await client.close();
    expect(await first).toMatchObject({ code: 'UND_ERR_DESTROYED' });
  });

  test('while connecting', async () => {
    // TCP connects, and then nobody answers the TLS handshake.
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const stub = await serve(ok);
    const abort = new AbortController();
    const client = stub.client({ connection: { ...stub.connection, server: `https://127.0.0.1:${port}` } });
    const call = failure(get(client, abort.signal));
    const [socket] = await once(silent, 'connection');
    abort.abort(reason);
    expect(await call).toBe(reason);
    await client.close();
    socket.destroy();
    silent.close();
  });

  test.each([
    ['waiting for the answer', (() => undefined) satisfies Handler],
    [
      'in the middle of the answer',
      ((_, response) => {
        response.writeHead(200);
        response.write('{');
      }) satisfies Handler,
    ],
    [
      'in the middle of a refusal',
      ((_, response) => {
        response.writeHead(500);
        response.write('{');
      }) satisfies Handler,
    ],
    ['waiting to send again', ((_, response) => refuse(response, 429, 'X', { 'retry-after': '60' })) satisfies Handler],
  ])('%s', async (_, handler) => {
    const arrived = Promise.withResolvers<void>();
    const stub = await serve((request, response) => {
      handler(request, response);
      // One round of the event loop later the client has seen what came.
      setTimeout(() => arrived.resolve(), 20);
    });
    const abort = new AbortController();
    const call = failure(create(stub.client(), abort.signal));
    await arrived.promise;
    abort.abort(reason);
    expect(await call).toBe(reason);
    expect(stub.requests).toHaveLength(1);
  });

  test('of a watch, before and after its headers', async () => {
    const arrived = Promise.withResolvers<void>();
    const stub = await serve(inTurn(() => arrived.resolve(), silentWatch));
    const client = stub.client();
    const before = new AbortController();
    const call = failure(client.watch(NODES, { signal: before.signal }));
    await arrived.promise;
    before.abort(reason);
    expect(await call).toBe(reason);
    const after = new AbortController();
    const stream = await client.watch(NODES, { signal: after.signal });
    const reading = failure(stream[Symbol.asyncIterator]().next());
    after.abort(reason);
    expect(await reading).toBe(reason);
  });

  test('also of a watch that nobody reads yet, which ends no process', async () => {
    const stub = await serve(silentWatch);
    const abort = new AbortController();
    const stream = await stub.client().watch(NODES, { signal: abort.signal });
    abort.abort(reason);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await failure(stream[Symbol.asyncIterator]().next())).toBe(reason);
  });
});

test('a destroyed watch ends, with a reason as its error if one is given', async () => {
  const stub = await serve(silentWatch);
  const client = stub.client();
  const { signal } = new AbortController();
  const plain = await client.watch(NODES, { signal });
  const ended = plain[Symbol.asyncIterator]().next();
  plain.destroy();
  expect((await ended).done).toBe(true);
  const idle = new Error('idle');
  const reasoned = await client.watch(NODES, { signal });
  const failed = failure(reasoned[Symbol.asyncIterator]().next());
  reasoned.destroy(idle);
  expect(await failed).toBe(idle);
});

test('a server under a path is asked under that path', async () => {
  const stub = await serve(ok);
  const connection = { ...stub.connection, server: `${stub.connection.server}/k8s/clusters/c-1` };
  await get(stub.client({ connection }));
  expect(stub.requests).toEqual(['GET /k8s/clusters/c-1/api/v1/nodes/n']);
});
