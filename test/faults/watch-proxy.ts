/** A TCP proxy between the client under test and the API server, for what networks do to connections. */
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

export class TcpProxy {
  /** Connections that clients have made so far. */
  accepted = 0;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #swallowing = false;

  private constructor(target: URL) {
    this.#server = createServer((client) => this.#accept(client, target));
  }

  /** @param server URL of the API server, `https://127.0.0.1:port` */
  static async start(server: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(server));
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    return `https://127.0.0.1:${address.port}`;
  }

  /** RST on every open connection, as when a load balancer forgets them. */
  resetAll(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Every open connection stays open and says nothing any more, in either direction: no bytes, no FIN. New ones work. */
  silenceAll(): void {
    for (const { client, server } of this.#pairs) silence(client, server);
  }

  /**
   * As silenceAll, and new connections are accepted and not answered either, until `swallow(false)`: that resets them all, as a network
   * does that is back and knows none of them.
   */
  swallow(swallowing: boolean): void {
    this.#swallowing = swallowing;
    if (swallowing) this.silenceAll();
    else this.resetAll();
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket, target: URL): void {
    this.accepted++;
    const server = tcpConnect({ host: target.hostname, port: Number(target.port) });
    const pair = { client, server };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on('error', end).once('close', end);
    if (this.#swallowing) {
      client.pause();
      return;
    }
    client.pipe(server);
    server.pipe(client);
  }
}

function silence(client: Socket, server: Socket): void {
  client.unpipe(server);
  server.unpipe(client);
  client.pause();
  server.pause();
}
