/** Runs the containers of a pod by runc, the runtime below containerd: the kubelet's part of volumes is played, the rest is the kernel's. */
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import type { Container, Pod, PodSpec } from '../../src/kube/core.ts';
import { run } from './run.ts';
import { type BindMount, type ContainerImage, FIRST_ID, runtimeSpec } from './runtime-spec.ts';
import { shownData } from './secrets.ts';

export interface ContainerOutcome {
  readonly code: number;
  readonly log: string;
  readonly terminationMessage: string;
}

/** Texts of Secrets and ConfigMaps: by the object's name, then by key. */
export type PodInputs = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The volumes of one pod, which live as long as it does. */
export class PodRuntime implements AsyncDisposable {
  readonly #folder: string;
  readonly #pod: PodSpec;

  private constructor(folder: string, pod: PodSpec) {
    this.#folder = folder;
    this.#pod = pod;
  }

  static async create(pod: Pod, inputs: PodInputs = {}): Promise<PodRuntime> {
    const spec = pod.spec ?? { containers: [] };
    const runtime = new PodRuntime(await mkdtemp(join(tmpdir(), 'kmm-pod-')), spec);
    // Others must come through to what is mounted out of it.
    await chmod(runtime.#folder, 0o755);
    for (const { name, secret, configMap, downwardAPI } of spec.volumes ?? []) {
      const folder = join(runtime.#folder, 'volumes', name);
      await mkdir(folder, { recursive: true });
      // As the kubelet makes an emptyDir.
      await chmod(folder, 0o777);
      const files =
        downwardAPI === undefined
          ? inputs[objectOf(secret, 'secretName') ?? objectOf(configMap, 'name') ?? '']
          : { 'request.json': pod.metadata.annotations?.['kmm.node.kubernetes.io/build-request'] ?? '' };
      for (const [key, text] of Object.entries(shownData(secret, files ?? {}))) {
        await runtime.#write(join(folder, key), text, secret === undefined ? 0o644 : 0o400);
      }
    }
    return runtime;
  }

  /** Runs one container to its end. */
  async run(container: Container, image: ContainerImage): Promise<ContainerOutcome> {
    const bundle = join(this.#folder, 'bundles', container.name);
    await mkdir(bundle, { recursive: true });
    const message = join(bundle, 'termination-log');
    await this.#write(message, '', 0o666);
    const mounts: BindMount[] = [
      { source: message, destination: '/dev/termination-log', readOnly: false },
      ...['/etc/hosts', '/etc/resolv.conf'].map((path) => ({ source: path, destination: path, readOnly: true })),
      ...(container.volumeMounts ?? []).map(({ name, mountPath, readOnly = false }) => ({
        source: join(this.#folder, 'volumes', name),
        destination: mountPath,
        readOnly,
      })),
    ];
    const spec = runtimeSpec(this.#pod, container, image, mounts);
    await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
    const id = `${this.#folder.slice(dirname(this.#folder).length + 1)}-${container.name}`;
    const state = ['--root', join(this.#folder, 'state')];
    const { code, stdout, stderr } = await run('runc', [...state, 'run', '--bundle', bundle, id]);
    return { code, log: stdout + stderr, terminationMessage: await readFile(message, 'utf8') };
  }

  /** Of all that its containers wrote to a volume. */
  volume(name: string): string {
    return join(this.#folder, 'volumes', name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** In a user namespace, root of the pod owns it: an id-mapped mount shows it so. */
  async #write(path: string, text: string, mode: number): Promise<void> {
    await writeFile(path, text);
    await chmod(path, mode);
    if (this.#pod.hostUsers === false) await chown(path, FIRST_ID, FIRST_ID);
  }
}

function objectOf(source: unknown, key: string): string | undefined {
  if (typeof source !== 'object' || source === null) return undefined;
  const name: unknown = Object.entries(source).find(([each]) => each === key)?.[1];
  return typeof name === 'string' ? name : undefined;
}
