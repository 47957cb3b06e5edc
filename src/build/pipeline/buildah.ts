import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildFailure, type Step } from './failure.ts';
import { type StorageDriver, storageConf } from './registries.ts';
import type { StepContext } from './step.ts';
import { runTool, ToolError } from './tool.ts';

/** What buildah is asked besides its arguments. */
export interface BuildahOptions {
  readonly onLine?: (line: string) => void;
  readonly stdout?: 'shown' | 'answer';
}

/** buildah with its storage in this build's work folder. */
export class Buildah {
  readonly #context: StepContext;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(context: StepContext, env: Readonly<Record<string, string>>) {
    this.#context = context;
    this.#env = env;
  }

  /** Makes the storage ready: on overlay where the kernel lets us mount it, else on vfs, which copies each layer whole. */
  static async open(context: StepContext): Promise<Buildah> {
    const { work } = context;
    const conf = join(work, 'storage.conf');
    const buildah = new Buildah(context, { ...context.env, CONTAINERS_STORAGE_CONF: conf });
    const before = await driverOf(work);
    await mkdir(join(work, 'run'), { recursive: true });
    await writeFile(conf, storageConf(work, before ?? 'overlay'));
    if (before !== undefined) {
      // A killed run leaves its containers, and on a machine of its own their mounts too.
      await buildah.run(['rm', '--all'], { stdout: 'answer' });
      return buildah;
    }
    try {
      await buildah.run(['images', '--quiet'], { stdout: 'answer', onLine: () => undefined });
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      context.say(`the storage driver overlay does not work here, vfs is used: ${error.lines.at(-1) ?? error.message}`);
      await rm(join(work, 'storage'), { recursive: true, force: true });
      await writeFile(conf, storageConf(work, 'vfs'));
    }
    return buildah;
  }

  /** @throws ToolError, or the signal's reason */
  run(args: readonly string[], options: BuildahOptions = {}): Promise<string> {
    const { say, signal, redact } = this.#context;
    const { onLine = say, stdout = 'shown' } = options;
    return runTool('buildah', args, { env: this.#env, onLine, stdout, signal }, redact);
  }

  /**
   * Mounts a container of an image while `act` runs, and makes an image of what is there then, if it wants to.
   *
   * @param act gets the folder where the image's files are; gives the labels of the new image, or undefined for none
   * @returns the id of the new image, or of the old
   */
  async within(
    imageId: string,
    step: Step,
    act: (root: string) => Promise<ReadonlyMap<string, string> | undefined>,
  ): Promise<string> {
    return this.asOwn(step, async () => {
      const container = (
        await this.run(['from', '--pull=never', '--quiet', '--isolation=chroot', imageId], { stdout: 'answer' })
      ).trim();
      try {
        const root = (await this.run(['mount', container], { stdout: 'answer' })).trim();
        const labels = await act(root);
        await this.run(['umount', container], { stdout: 'answer' });
        return labels === undefined ? imageId : await this.#commit(container, labels);
      } finally {
        if (!this.#context.signal.aborted) await this.run(['rm', container], { stdout: 'answer' });
      }
    });
  }

  async #commit(container: string, labels: ReadonlyMap<string, string>): Promise<string> {
    const options = [...labels].map(([name, value]) => `--label=${name}=${value}`);
    if (options.length > 0) await this.run(['config', ...options, container], { stdout: 'answer' });
    const file = join(this.#context.work, 'image-id');
    await this.run(['commit', '--quiet', '--format=oci', `--iidfile=${file}`, container], { stdout: 'answer' });
    return readImageId(file);
  }

  /** A tool that fails at our own work, not at the user's, is the builder's trouble. */
  async asOwn<T>(step: Step, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      const isFull = error.lines.some((line) => /no space left on device/i.test(line));
      const fact = isFull
        ? "The build's own disk is full. The build is tried again; ask for more in build.resources.requests (ephemeral-storage)."
        : `${error.message} in the step ${step}: ${error.lines.at(-1) ?? 'it said nothing'}. The build is tried again.`;
      throw new BuildFailure(step, 'infrastructure', fact, { log: error.lines.join('\n'), cause: error });
    }
  }
}

/** buildah writes `sha256:` in front, its storage takes it or leaves it. */
export async function readImageId(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim().replace(/^sha256:/, '');
}

async function driverOf(work: string): Promise<StorageDriver | undefined> {
  for (const driver of ['overlay', 'vfs'] as const) {
    try {
      await access(join(work, 'storage', `${driver}-images`));
      return driver;
    } catch {
      // The other one, then.
    }
  }
  return undefined;
}
