/** The way from the API server to pods: simulated ones have no address, or one at which nobody is. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A proxy that the API server connects through to everything in the cluster, as managed ones do to reach pods from outside.
 * Source: Kubernetes docs, "Set up Konnectivity service".
 */
export class PodNetwork {
  readonly #folder: string;
  readonly #server: Server;
  readonly #ports = new Map<string, number>();
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server = createServer().on('connect', ({ url = '' }, client: Socket) => this.#connect(url, client));
  }

  static async start(): Promise<PodNetwork> {
    const network = new PodNetwork(await mkdtemp(join(tmpdir(), 'kmm-pods-')));
    const udsName = join(network.#folder, 'proxy.sock');
    await new Promise<void>((resolve) => network.#server.listen(udsName, resolve));
    const connection = { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName } } };
    const configuration = {
      apiVersion: 'apiserver.k8s.io/v1beta1',
      kind: 'EgressSelectorConfiguration',
      egressSelections: [{ name: 'cluster', connection }],
    };
    await writeFile(network.#file, JSON.stringify(configuration));
    return network;
  }

  /** Of kube-apiserver. */
  get args(): readonly string[] {
    return [`egress-selector-config-file=${this.#file}`];
  }

  get #file(): string {
    return join(this.#folder, 'egress.json');
  }

  /** Whoever connects to `address` (a pod's, as `10.0.0.1:8080`) reaches this port on loopback. */
  route(address: string, port: number): void {
    this.#ports.set(address, port);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  #connect(address: string, client: Socket): void {
    // Kubelets of tests are on loopback themselves.
    const port = this.#ports.get(address) ?? /^127\.0\.0\.1:(\d+)$/.exec(address)?.[1];
    if (port === undefined) {
      client.end('HTTP/1.1 502 Nobody is there\r\n\r\n');
      return;
    }
    const upstream = connect({ host: '127.0.0.1', port: Number(port) });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    }
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
  }
}
