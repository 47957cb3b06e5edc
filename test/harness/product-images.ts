/** The images of operator and builder, made as `make images` makes them, and unpacked for a runtime. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ImageStorage } from '../../hack/images/storage.ts';
import { isRecord } from '../../src/kernel/json-record.ts';
import { runOrThrow } from './run.ts';
import { type ContainerImage, FIRST_ID } from './runtime-spec.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export class ProductImages implements AsyncDisposable {
  readonly #storage: ImageStorage;
  readonly #folder: string;
  readonly #containers: string[] = [];

  private constructor(storage: ImageStorage, folder: string) {
    this.#storage = storage;
    this.#folder = folder;
  }

  /** Half a minute where the bases are there, else as long as Debian's mirror takes. */
  static async make(signal: AbortSignal): Promise<ProductImages> {
    await runOrThrow(process.execPath, ['hack/images.ts', '--no-export'], { cwd: ROOT, signal });
    const folder = await mkdtemp(join(tmpdir(), 'kmm-images-'));
    await chmod(folder, 0o755);
    return new ProductImages(new ImageStorage(signal), folder);
  }

  /** The image's files as they lie in the storage: its root is root. */
  async unpacked(name: string): Promise<ContainerImage> {
    const { container, ...config } = await this.#container(name);
    return { root: (await this.#storage.buildah('mount', container)).trim(), ...config };
  }

  /** A copy that belongs to root of a user namespace, as a runtime makes it for `hostUsers: false`. */
  async shifted(name: string): Promise<ContainerImage> {
    const image = await this.unpacked(name);
    const root = join(this.#folder, name.replaceAll(/[^a-z0-9]/g, '-'));
    await mkdir(root);
    const owner = `root:${FIRST_ID}`;
    const copy = 'tar --owner="$2" --group="$2" -C "$0" -c . | tar --numeric-owner -C "$1" -x';
    await runOrThrow('sh', ['-c', copy, image.root, root, owner]);
    return { ...image, root };
  }

  async labels(name: string): Promise<Readonly<Record<string, unknown>>> {
    const config = await this.#config(name);
    return isRecord(config.Labels) ? config.Labels : {};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const container of this.#containers) await this.#storage.buildah('rm', container);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #container(name: string): Promise<Omit<ContainerImage, 'root'> & { readonly container: string }> {
    const container = (await this.#storage.buildah('from', '--quiet', '--pull=never', name)).trim();
    this.#containers.push(container);
    const config = await this.#config(name);
    return {
      container,
      entrypoint: texts(config.Entrypoint),
      command: texts(config.Cmd),
      env: texts(config.Env),
      user: typeof config.User === 'string' ? config.User : '',
    };
  }

  async #config(name: string): Promise<Readonly<Record<string, unknown>>> {
    const answer: unknown = JSON.parse(await this.#storage.buildah('inspect', '--type', 'image', name));
    const oci = isRecord(answer) ? answer.OCIv1 : undefined;
    const config = isRecord(oci) ? oci.config : undefined;
    if (!isRecord(config)) throw new Error(`${name} has no configuration`);
    return config;
  }
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
