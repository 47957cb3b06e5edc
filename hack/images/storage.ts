import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { machineCache } from '../machine-cache.ts';
import { type BaseRecipe, baseTag, type ImageName, mmdebstrapArguments } from './recipe.ts';
import { type Tool, tool } from './tool.ts';

/** How the names of containers begin in which bases, and images on bases, are made: buildah calls the latter after the base. */
const MAKING = 'kmm-base-';

/** buildah with a storage of ours, in the user's cache: bases stay there from one run to the next. */
export class ImageStorage {
  readonly folder: string;
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.folder = machineCache('images');
    this.#signal = signal;
  }

  /** Gives standard output; the rest is in the error, if there is one. */
  readonly buildah: Tool = (...args) => tool('buildah', [...this.options, ...args], this.#signal);

  /** Of every program that reads this storage. */
  get options(): readonly string[] {
    return ['--root', join(this.folder, 'storage'), '--runroot', join(this.folder, 'run')];
  }

  async has(image: string): Promise<boolean> {
    return (await this.buildah('images', '--quiet', '--filter', `reference=${image}`)).trim() !== '';
  }

  /** @throws Error where it is not there */
  async idOf(image: string): Promise<string> {
    return (await this.buildah('images', '--quiet', '--no-trunc', image)).trim();
  }

  /** @param target as skopeo names it: `docker-archive:PATH` */
  async export(image: string, target: string): Promise<void> {
    await this.buildah('push', '--quiet', image, target);
  }

  /** Makes a base of Debian packages, in the place of older ones of the same image. */
  async makeBase(image: ImageName, recipe: BaseRecipe): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'kmm-base-'));
    try {
      const archive = join(folder, 'base.tar');
      await tool('mmdebstrap', mmdebstrapArguments(recipe, archive), this.#signal);
      const before = await this.#tagsOf(image);
      const container = (await this.buildah('from', '--quiet', `--name=${MAKING}${image}`, 'scratch')).trim();
      try {
        await this.buildah('add', '--quiet', container, archive, '/');
        await this.buildah('commit', '--quiet', '--format=oci', container, baseTag(image, recipe));
      } finally {
        await this.buildah('rm', container);
      }
      const outdated = before.filter((tag) => tag !== baseTag(image, recipe));
      if (outdated.length > 0) await this.buildah('rmi', ...outdated);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Takes away what a run that was interrupted has left: no other runs now, and tests make containers of finished images only. */
  async tidy(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const names = (await this.buildah('containers', '--format', '{{.ContainerName}}')).split('\n');
    const left = names.filter((name) => name.startsWith(MAKING));
    if (left.length > 0) await this.buildah('rm', ...left);
  }

  /** Takes away images that lost their name to a newer one, but those that a test runs at this moment. */
  async prune(): Promise<void> {
    const answer = await this.buildah('images', '--quiet', '--no-trunc', '--filter', 'dangling=true');
    for (const id of new Set(answer.split('\n').filter(Boolean))) {
      try {
        await this.buildah('rmi', id);
      } catch (error) {
        if (!(error instanceof Error && error.message.includes('image is in use by a container'))) throw error;
      }
    }
  }

  async #tagsOf(image: ImageName): Promise<readonly string[]> {
    const answer = await this.buildah('images', '--format', '{{.Name}}:{{.Tag}}');
    return answer.split('\n').filter((name) => name.startsWith(`localhost/kmm-base-${image}:`));
  }
}
