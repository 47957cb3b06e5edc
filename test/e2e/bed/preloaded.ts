/**
 * An image that nodes have from the start: the base of the builder. A node that ran an earlier version's builder has it too, and unpacking
 * its 5,000 files under emulation takes two minutes of every run that builds.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builderPackages } from '../../../hack/images/packages.ts';
import { baseRecipe, baseTag } from '../../../hack/images/recipe.ts';
import { ImageStorage } from '../../../hack/images/storage.ts';
import { eventually } from '../../harness/eventually.ts';
import { runOrThrow } from '../../harness/run.ts';

/** An image in the storage of `make images`. */
export interface PreloadedImage {
  readonly name: string;
  /** Of its configuration. */
  readonly id: string;
}

/** Where the image of the builder was made before. */
export async function builderBase(signal: AbortSignal): Promise<PreloadedImage> {
  const name = baseTag('builder', baseRecipe('builder', builderPackages()));
  return { name, id: await new ImageStorage(signal).idOf(name) };
}

/** Programs of the disk, by their paths on this machine, which is of the same release. */
export interface ContainerdPrograms {
  readonly containerd: string;
  readonly ctr: string;
}

/** Unpacks the image to where the containerd of the disk has its own. */
export async function preload(
  root: string,
  image: PreloadedImage,
  { containerd, ctr }: ContainerdPrograms,
  signal: AbortSignal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-preload-'));
  try {
    // The format whose layers are not packed.
    const archive = join(folder, 'image.tar');
    await new ImageStorage(signal).export(image.name, `docker-archive:${archive}`);
    const socket = join(folder, 'containerd.sock');
    const config = join(folder, 'containerd.toml');
    await writeFile(
      config,
      `version = 2
root = "${join(root, 'var', 'lib', 'containerd')}"
state = "${join(folder, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
`,
    );
    const server = spawn(containerd, ['--config', config], { stdio: 'ignore' });
    const end = new Promise<void>((resolve) => server.once('error', () => resolve()).once('close', () => resolve()));
    const client = (...words: string[]) => runOrThrow(ctr, ['--address', socket, ...words], { signal });
    try {
      await eventually(() => client('version'), { what: 'containerd to answer', intervalMs: 200, signal });
      await client('--namespace=k8s.io', 'images', 'import', archive);
    } finally {
      server.kill('SIGTERM');
      await end;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
