import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface StallingProxy {
  /** URL under which the server is reached through the proxy. */
  readonly url: string;
  /** From now on nothing passes in either direction, and nobody is told: as when a firewall drops every packet. */
  readonly stall: () => void;
}

/** A TCP proxy in front of `server`, until the test is over. */
export async function startStallingProxy(server: string): Promise<StallingProxy> {
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  let stalled = false;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    return socket;
  };
  const proxy = createServer((incoming) => {
    keep(incoming);
    // A new connection is accepted and then meets silence too.
    if (stalled) return;
    const outgoing = keep(connect(Number(port), hostname));
    incoming.pipe(outgoing);
    outgoing.pipe(incoming);
    incoming.once('close', () => outgoing.destroy());
    outgoing.once('close', () => {
      if (!stalled) incoming.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => proxy.once('error', reject).listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen on a port');
  return {
    url: `https://127.0.0.1:${address.port}`,
    stall: () => {
      stalled = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}
