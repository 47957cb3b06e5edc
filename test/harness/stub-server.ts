/** For tests: a server that plays what a real API server is hard to be made to do. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ClientOptions, KubeClient } from '../../src/kube/client.ts';
import type { Authorization, Connection } from '../../src/kube/connection.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export interface StubServer {
  readonly connection: Connection;
  /** `METHOD /path` of the requests so far. */
  readonly requests: readonly string[];
  /** Most requests that were open at once. */
  readonly mostAtOnce: () => number;
  readonly client: (options?: Partial<ClientOptions>) => KubeClient;
  readonly close: () => Promise<void>;
}

/** Credentials by `refreshed` are what the connection has after a 401: a token each. */
export async function stubServer(handler: Handler, tokens: readonly string[] = ['secret-1']): Promise<StubServer> {
  const requests: string[] = [];
  let open = 0;
  let most = 0;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    most = Math.max(most, ++open);
    response.once('close', () => open--);
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.once('end', () => handler(request, response, body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const connection = stubConnection(`http://127.0.0.1:${portOf(server.address())}`, tokens);
  const clients: KubeClient[] = [];
  return {
    connection,
    requests,
    mostAtOnce: () => most,
    client(options = {}) {
      const client = new KubeClient({ connection, userAgent: 'stub/1', ...options });
      clients.push(client);
      return client;
    },
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A connection to `server` with the first of the tokens, and after each 401 the next one. */
function stubConnection(server: string, tokens: readonly string[]): Connection {
  const tls = {};
  const authorizations = tokens.map((token): Authorization => ({ headers: { authorization: `Bearer ${token}` }, tls }));
  let at = 0;
  return {
    server,
    host: new URL(server).host,
    description: 'the stub',
    caSource: 'no CA',
    authorize: async () => authorizations[at] ?? { headers: {}, tls },
    refresh: async () => authorizations[++at] !== undefined,
  };
}

/** Answers with a Status, as the API server does when it refuses. */
export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ kind: 'Status', code, reason, message: `${reason} by the stub` }));
}

export function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new Error('the stub has no port');
  return address.port;
}
