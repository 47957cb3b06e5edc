import { connect } from 'node:net';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { type Handler, type HttpServer, healthHandler, metricsHandler, startHttpServer } from './http-server.ts';

const servers: HttpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(routes: Readonly<Record<string, Handler>>) {
  const captured = captureLog();
  const server = await startHttpServer({ address: { host: '127.0.0.1', port: 0 }, routes, log: captured.log });
  servers.push(server);
  const ask = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  return { server, ask, ...captured };
}

const hello: Handler = (query) => ({ status: 200, body: `hello ${query.get('name') ?? 'you'}` });

describe('startHttpServer', () => {
  it('answers a GET of a path, with its query', async () => {
    const { ask } = await serve({ '/hello': hello });
    const answer = await ask('/hello?name=a%20b');
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'hello a b',
    ]);
  });

  it('answers a HEAD with the headers only', async () => {
    const { ask } = await serve({ '/hello': hello });
    const answer = await ask('/hello', { method: 'HEAD' });
    expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '9', '']);
  });

  it.each([
    ['/', 404, 'nothing here; try /hello\n'],
    ['/hello/', 404, 'nothing here; try /hello\n'],
  ])('says at %s where there is something', async (path, status, body) => {
    const { ask } = await serve({ '/hello': hello });
    const answer = await ask(path);
    expect([answer.status, await answer.text()]).toEqual([status, body]);
  });

  it('refuses what is not a GET', async () => {
    const { ask } = await serve({ '/hello': hello });
    const answer = await ask('/hello', { method: 'POST', body: 'x' });
    expect([answer.status, await answer.text()]).toEqual([405, 'only GET is answered\n']);
  });

  it('answers 500 without the reason, which goes to the log, when a handler throws', async () => {
    const { ask, lines } = await serve({
      '/bad': () => {
        throw new Error('inner secret');
      },
    });
    const answer = await ask('/bad');
    expect([answer.status, await answer.text()]).toEqual([500, 'internal error\n']);
    expect(lines).toMatchObject([{ level: 'error', msg: 'request failed', err: { message: 'inner secret' } }]);
  });

  it('names the address that it cannot listen on', async () => {
    const { server, log } = await serve({});
    const address = { host: '127.0.0.1', port: server.port };
    await expect(startHttpServer({ address, routes: {}, log })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${server.port}; is another process using the port?`,
    );
  });

  it('closes although a client keeps its connection open or waits for an answer', async () => {
    const asked = Promise.withResolvers<void>();
    const { server, ask } = await serve({
      '/slow': () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    });
    const idle = connect(server.port, '127.0.0.1');
    const idleClosed = new Promise((resolve) => idle.once('close', resolve));
    idle.on('error', () => undefined);
    const waiting = ask('/slow').catch((error: unknown) => error);
    await asked.promise;
    await server.close();
    await idleClosed;
    expect(await waiting).toBeInstanceOf(Error);
  });
});

it('metricsHandler serves the registry as Prometheus reads it', async () => {
  const { ask } = await serve({ '/metrics': metricsHandler(new Registry()) });
  const answer = await ask('/metrics');
  expect(answer.headers.get('content-type')).toContain('version=0.0.4');
});

describe('healthHandler', () => {
  const well = (): void => undefined;
  const ill = async (): Promise<void> => {
    throw new Error('not listed yet: nodes');
  };

  it.each<[string, Parameters<typeof healthHandler>[1], string, number, string]>([
    ['all is well', { a: well, b: well }, '', 200, 'ok\n'],
    [
      'all is well and it is asked for more',
      { a: well, b: well },
      'verbose',
      200,
      '[+]a ok\n[+]b ok\nreadyz check passed\n',
    ],
    [
      'a check fails',
      { a: well, b: ill },
      '',
      503,
      '[+]a ok\n[-]b failed: not listed yet: nodes\nreadyz check failed\n',
    ],
    ['there is no check', {}, '', 200, 'ok\n'],
  ])('when %s', async (_what, checks, query, status, body) => {
    expect(await healthHandler('readyz', checks)(new URLSearchParams(query), {})).toEqual({ status, body });
  });

  it('counts a check that does not answer within 2 s as failed', async () => {
    vi.useFakeTimers();
    try {
      const answer = healthHandler('readyz', { stuck: () => new Promise(() => undefined) })(new URLSearchParams(), {});
      await vi.advanceTimersByTimeAsync(2_000);
      expect(await answer).toEqual({
        status: 503,
        body: '[-]stuck failed: no answer within 2 s\nreadyz check failed\n',
      });
    } finally {
      vi.useRealTimers();
    }
  });
});
