/** The part of a kubelet that gives logs, for nodes of a test: kwok's have none. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { NODES } from '../../src/kube/core.ts';
import type { AdminClient } from './admin.ts';
import { freePorts } from './ports.ts';
import { testAuthority } from './test-authority.ts';

export interface LogKubelet {
  stop(): Promise<void>;
}

/**
 * Answers the API server's requests for logs of pods on `node`.
 * @param logs text by `namespace/pod/container`, with `?previous` behind it for the container before
 */
export async function startLogKubelet(
  admin: AdminClient,
  node: string,
  logs: Readonly<Record<string, string>>,
): Promise<LogKubelet> {
  const [port = 0] = await freePorts(1);
  const authority = await testAuthority();
  const [key, cert] = await Promise.all([readFile(authority.key), readFile(authority.certificate)]);
  const server = createServer({ key, cert }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://localhost');
    const path = url.pathname.replace(/^\/containerLogs\//, '');
    const text = logs[url.searchParams.get('previous') === 'true' ? `${path}?previous` : path];
    response.writeHead(text === undefined ? 404 : 200).end(text ?? 'no such log');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }];
  const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: port } } };
  await admin.patch(NODES, { name: node }, { status }, { subresource: 'status' });
  return {
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await authority.remove();
    },
  };
}
