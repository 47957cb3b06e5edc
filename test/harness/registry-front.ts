/** `kmm registry-front` as processes of their own: before a registry, and as the way of a node to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Agent, request } from 'undici';

import type { ControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';
import { kustomize } from './kustomization.ts';
import { OPERATOR_NAMESPACE, REGISTRY_SERVICE_ACCOUNT } from './operator-identity.ts';
import { freePorts } from './ports.ts';
import { PROGRAM } from './program.ts';

/** What `kubectl kustomize` makes of the operator's roles with the component. */
export function renderRegistryComponent(
  controlPlane: ControlPlane,
  components: readonly string[] = ['registry'],
): Promise<string> {
  return kustomize(controlPlane, {
    resources: ['rbac'],
    components: components.map((name) => `components/${name}`),
  });
}

/** Applies the component; its pods are simulated ones, and the front of a test takes their place. */
export async function installRegistryComponent(controlPlane: ControlPlane): Promise<void> {
  const input = await renderRegistryComponent(controlPlane);
  await controlPlane.kubectl(['apply', '--server-side', '-f', '-'], { input });
}

/** A token as the kubelet projects it into a build pod. */
export async function registryToken(
  controlPlane: ControlPlane,
  namespace: string,
  audience = 'kmm-registry',
): Promise<string> {
  // The ServiceAccount of a namespace that was just made is on its way.
  return eventually(() => controlPlane.token({ namespace, name: 'default' }, { audience }), {
    what: `a token of ${namespace}`,
  });
}

export class RegistryFront {
  readonly #args: (port: number) => readonly string[];
  readonly #scheme: 'http' | 'https';
  readonly port: number;
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(port: number, scheme: 'http' | 'https', args: (port: number) => readonly string[]) {
    this.port = port;
    this.#scheme = scheme;
    this.#args = args;
  }

  /**
   * @param registry `localhost:PORT` that speaks plain HTTP
   * @param port a free one unless told
   */
  static async start(controlPlane: ControlPlane, registry: string, port?: number): Promise<RegistryFront> {
    const kubeconfig = await controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, REGISTRY_SERVICE_ACCOUNT);
    return RegistryFront.#start(
      'https',
      (port) => [
        `--listen-address=127.0.0.1:${port}`,
        `--upstream=http://${registry}`,
        '--tls-names=localhost',
        `--kubeconfig=${kubeconfig}`,
        '--log-level=debug',
      ],
      port,
    );
  }

  /** @param front `localhost:PORT` of a front */
  static async startNode(front: string, authorityFile: string, port?: number): Promise<RegistryFront> {
    return RegistryFront.#start(
      'http',
      (port) => [
        '--read-only',
        `--listen-address=127.0.0.1:${port}`,
        `--upstream=https://${front}`,
        `--upstream-ca-file=${authorityFile}`,
        '--log-level=debug',
      ],
      port,
    );
  }

  static async #start(
    scheme: 'http' | 'https',
    args: (port: number) => readonly string[],
    wanted: number | undefined,
  ): Promise<RegistryFront> {
    const [free = 0] = await freePorts(1);
    const port = wanted ?? free;
    const front = new RegistryFront(port, scheme, args);
    await front.up();
    return front;
  }

  /** `localhost:PORT`, or what a node calls it. */
  get host(): string {
    return this.#scheme === 'https' ? `localhost:${this.port}` : `127.0.0.1:${this.port}`;
  }

  get log(): string {
    return this.#log;
  }

  /** Starts it, or starts it again on the same port; returns when it is ready. */
  async up(): Promise<void> {
    const child = spawn(process.execPath, [PROGRAM, 'registry-front', ...this.#args(this.port)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/bin:/bin' },
    });
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (this.#log += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (this.#log += chunk));
    this.#child = child;
    const agent = new Agent({ connect: { rejectUnauthorized: false } });
    try {
      await eventually(
        async (signal) => {
          if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${this.#log}`);
          const url = `${this.#scheme}://${this.host}/readyz`;
          const { statusCode, body } = await request(url, { dispatcher: agent, signal });
          const text = await body.text();
          if (statusCode !== 200) throw new Error(text);
        },
        { what: 'a front that is ready', timeoutMs: 60_000 },
      );
    } finally {
      await agent.close();
    }
  }

  /** @param signal SIGKILL as when its node dies, or SIGTERM */
  down(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    return new Promise((resolve) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resolve(null);
      child.once('exit', (code) => resolve(code));
      child.kill(signal);
    });
  }
}

/** Path of a file with the authority that the front has made known; it goes with its folder. */
export async function publishedAuthority(controlPlane: ControlPlane): Promise<AuthorityFile> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-registry-ca-'));
  const path = join(folder, 'ca.crt');
  const refresh = async (): Promise<void> => {
    const args = ['get', 'configmap', 'kmm-registry-ca', '-n', OPERATOR_NAMESPACE, '-o', 'jsonpath={.data.ca\\.crt}'];
    await writeFile(path, await controlPlane.kubectl(args));
  };
  await refresh();
  return {
    path,
    refresh,
    text: () => readFile(path, 'utf8'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface AuthorityFile {
  readonly path: string;
  /** As the kubelet does with a mounted ConfigMap. */
  refresh(): Promise<void>;
  text(): Promise<string>;
  remove(): Promise<void>;
}
