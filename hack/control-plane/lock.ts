import { createHash } from 'node:crypto';
import { createConnection, createServer, type Server } from 'node:net';
import { userInfo } from 'node:os';

/**
 * Runs `work` while no other process of this user on this machine runs it for the same `name`.
 *
 * The lock is a listening socket in Linux's abstract namespace (unix(7)): the kernel takes it back the moment its
 * process ends, however it ends, so there is no stale lock to recognise and to break. Who waits is connected to it and
 * learns of its end at once.
 *
 * @param onWait called with the holder's pid each time the lock is found taken
 */
export async function withLock<T>(
  name: string,
  work: () => Promise<T>,
  options: { readonly onWait?: (pid: string) => void; readonly signal?: AbortSignal } = {},
): Promise<T> {
  const address = `\0kmm-${createHash('sha256').update(`${userInfo().uid} ${name}`).digest('hex').slice(0, 32)}`;
  let server = await tryListen(address);
  while (server === undefined) {
    options.signal?.throwIfAborted();
    await untilReleased(address, options);
    server = await tryListen(address);
  }
  try {
    return await work();
  } finally {
    server.release();
  }
}

interface Held {
  readonly release: () => void;
}

function tryListen(address: string): Promise<Held | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<{ destroy(): void }>();
    const server: Server = createServer((socket) => {
      waiting.add(socket);
      socket.on('close', () => waiting.delete(socket)).on('error', () => undefined);
      socket.write(`${process.pid}\n`);
    });
    server.unref();
    server.once('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(undefined);
      else reject(new Error(`cannot take the lock: ${error.message}`, { cause: error }));
    });
    server.listen(address, () =>
      resolve({
        release() {
          server.close();
          for (const socket of waiting) socket.destroy();
        },
      }),
    );
  });
}

/** Ends when the holder has gone, or was gone before we looked. */
function untilReleased(
  address: string,
  options: { readonly onWait?: (pid: string) => void; readonly signal?: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(address);
    const abort = () => socket.destroy();
    options.signal?.addEventListener('abort', abort, { once: true });
    socket.setEncoding('utf8');
    socket.once('data', (text) => options.onWait?.(String(text).trim()));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      options.signal?.removeEventListener('abort', abort);
      resolve();
    });
  });
}
