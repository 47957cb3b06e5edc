/** Kernels that nodes boot: Debian's own, unpacked and never installed. */
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import type { KernelHeaders } from '../../harness/kernel-headers.ts';
import { runOrThrow } from '../../harness/run.ts';
import { type Making, made } from './cache.ts';

/** A kernel to boot; paths. */
export interface Kernel extends KernelHeaders {
  readonly image: string;
  /** Mounts the first virtio disk (ext4) and starts /sbin/bed-init of it. */
  readonly initrd: string;
  /** The folder that is to be /lib/modules/RELEASE there, with depmod's index. */
  readonly modules: string;
}

export async function bootable(kernel: KernelHeaders, making: Making): Promise<Kernel> {
  const { release } = kernel;
  const init = await readFile(join(import.meta.dirname, 'guest', 'initrd-init'));
  const folder = await made(
    {
      name: `kernel-${release}`,
      recipe: [release, ...INITRD_MODULES, init],
      what: `Fetching Debian's kernel ${release} (27 MB)`,
      make: (path, signal) => unpack(kernel, init, path, signal),
    },
    making,
  );
  return {
    ...kernel,
    image: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd.img'),
    modules: join(folder, 'lib', 'modules', release),
  };
}

/** What it takes to see the disk; ext4 is built in. */
const INITRD_MODULES = ['virtio_pci', 'virtio_blk'];

async function unpack({ release }: KernelHeaders, init: Buffer, to: string, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-kernel-'));
  try {
    await runOrThrow('apt-get', ['download', '--quiet', `linux-image-${release}`], { cwd: folder, signal });
    const debs = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    for (const name of debs) await runOrThrow('dpkg', ['-x', name, 'root'], { cwd: folder, signal });
    const root = join(folder, 'root');
    await runOrThrow('depmod', ['-b', root, release], { signal });
    await mkdir(join(to, 'lib', 'modules'), { recursive: true });
    await writeInitrd(root, release, init, join(to, 'initrd.img'), signal);
    await copyFile(join(root, 'boot', `vmlinuz-${release}`), join(to, 'vmlinuz'));
    await cp(join(root, 'lib', 'modules', release), join(to, 'lib', 'modules', release), { recursive: true });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** busybox, the modules of the disk in the order in which they load, and the script that mounts it. */
async function writeInitrd(
  root: string,
  release: string,
  init: Buffer,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const folder = join(root, '..', 'initrd');
  for (const name of ['bin', 'modules', 'proc', 'dev', 'root']) await mkdir(join(folder, name), { recursive: true });
  await copyFile('/bin/busybox', join(folder, 'bin', 'busybox'));
  await writeFile(join(folder, 'init'), init);
  await chmod(join(folder, 'init'), 0o755);
  const files: string[] = [];
  for (const name of INITRD_MODULES) {
    const { stdout } = await runOrThrow('modprobe', ['-d', root, '-S', release, '--show-depends', name], { signal });
    // What is built into this kernel is listed as `builtin`.
    for (const [, file = ''] of stdout.matchAll(/^insmod (\S+)/gm)) if (!files.includes(file)) files.push(file);
  }
  for (const file of files) await copyFile(file, join(folder, 'modules', basename(file)));
  await writeFile(join(folder, 'modules', 'order'), files.map((file) => `${basename(file)}\n`).join(''));
  const partial = `${to}.partial`;
  await runOrThrow('sh', ['-c', 'find . | cpio -o -H newc --quiet | gzip -1 > "$1"', 'sh', partial], {
    cwd: folder,
    signal,
  });
  await rename(partial, to);
}
