import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Ports below the range from which the kernel hands out outgoing connections (/proc/sys/net/ipv4/ip_local_port_range
 * begins at 32768): a port that is free now cannot be taken by a connection before the component listens on it.
 */
const FIRST = 20_000;
const LAST = 32_000;

/** Gives `count` different ports on which nobody listens now. Two callers may still draw the same: retry the start. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries++) {
    if (tries > 50 * count) throw new Error(`no ${count} free ports between ${FIRST} and ${LAST} on 127.0.0.1`);
    const port = randomInt(FIRST, LAST);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
