/**
 * Images that kernel modules are compiled in, as a user's Dockerfile would install them: gcc, make and the headers of two Debian kernels. Made of
 * Debian's own packages, once per machine.
 */
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { withLock } from '../../hack/control-plane/lock.ts';
import { isThere, machineCache, removeOld } from '../../hack/machine-cache.ts';
import { tagSafe } from '../../src/kernel/template.ts';
import { buildFixtures } from './build-fixtures.ts';
import { buildahIn } from './buildah.ts';
import { type KernelHeaders, twoKernels } from './kernel-headers.ts';
import { runOrThrow } from './run.ts';

export interface Toolchain {
  /** The two kernels, as `uname -r` prints them, the newest first. */
  readonly kernels: readonly [string, string];
  /** Folder of Debian packages: `runtime/`, `compiler/`, and for the headers of each kernel a folder of its name. */
  readonly packages: string;
  /**
   * OCI image layout with the tags `runtime` (busybox and kmod), `toolchain` (gcc, make and headers on top of that) and, with the headers of
   * one kernel alone, that of {@link toolchainTag}.
   */
  readonly layout: string;
}

export interface ToolchainOptions {
  /** Others than {@link twoKernels}. */
  readonly of?: readonly [KernelHeaders, KernelHeaders];
  /** Called where nothing of an earlier run can be used. */
  readonly onCold?: () => void;
  readonly signal?: AbortSignal;
}

/** Of a layout's image with the headers of this kernel alone. */
export function toolchainTag(release: string): string {
  return `toolchain-${tagSafe(release)}`;
}

interface Options {
  readonly signal?: AbortSignal;
}

/** Rises when what this file makes changes. */
const VERSION = 6;
/**
 * What no kernel module is compiled with: link-time optimisation, sanitizers and static libraries, which are half of gcc; and the kernel
 * itself with what installs it, which newer headers bring along.
 */
const LEFT_OUT_PACKAGES =
  /^(?:lib(?:asan|lsan|tsan|ubsan|itm|gomp|quadmath|atomic|cc1-|gprofng|klibc|systemd-shared)|linux-(?:compiler|image|base)|initramfs-tools|klibc|systemd|udev$|dmsetup$)/;
const LEFT_OUT_FILES = [
  ...['doc', 'info', 'lintian', 'locale', 'man', 'perl5'].map((name) => `usr/share/${name}`),
  // Tables for iconv(3): a third of what libc6 brings.
  `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/gconv`,
];
const LEFT_OUT_OF_COMPILER = /lto1$|lto-wrapper$|lto-dump|g\+\+-mapper-server$|\.a$|gold$|-dwp$|gp-|libstdc/;
/** Of headers of drivers of other kinds than tests compile: unpacking thousands of small files is most of what pulling the image costs. */
const LEFT_OUT_HEADERS =
  'ceph drm dt-bindings iio media mfd mlx4 mlx5 mtd platform_data qed rdma regulator scsi soc sound spi sunrpc target usb video'.split(
    ' ',
  );
/** Where such folders are, below `include`; not in `uapi`, whose `video` the x86 headers of 6.1 include. */
const HEADER_FOLDERS = ['.', 'linux', 'uapi/linux'];
/** In the kernel's words. */
const KERNEL_ARCH = process.arch === 'arm64' ? 'arm64' : 'x86';

/**
 * The images' layout, and the packages that they are made of. Made in about a minute (72 MB to download, 200 MB on the disk in
 * `$XDG_CACHE_HOME/kmm/toolchain`), and anew when the two kernels are others.
 *
 * @throws Error where Debian's packages cannot be had, or no buildah
 */
export async function toolchain({ of, onCold, signal }: ToolchainOptions = {}): Promise<Toolchain> {
  const cache = machineCache('toolchain');
  const isCold = !(await isThere(cache));
  // Which kernels they are is found out first, and that takes its time too.
  if (isCold) onCold?.();
  const [newest, older] = of ?? (await twoKernels(signal));
  if (newest === undefined || older === undefined) throw new Error('there are no two kernels');
  const kernels = [newest.release, older.release] as const;
  const folder = join(cache, `${kernels.join('_')}-v${VERSION}`);
  await withLock(
    folder,
    async () => {
      if (await isThere(folder)) return;
      if (!isCold) onCold?.();
      await mkdir(cache, { recursive: true });
      const partial = await mkdtemp(join(cache, '.partial-'));
      try {
        await make(partial, kernels, signal);
        // Those of kernels that were.
        await removeOld(cache, (name) => !name.startsWith('.'));
        await rename(partial, folder);
      } finally {
        await rm(partial, { recursive: true, force: true });
      }
    },
    signal === undefined ? {} : { signal },
  );
  return { kernels, packages: join(folder, 'packages'), layout: join(folder, 'layout') };
}

export interface ToolchainImages {
  readonly kernels: readonly [string, string];
  /** References in the registry, for FROM lines. */
  readonly toolchain: string;
  readonly runtime: string;
}

/** Puts both images into a registry that speaks plain HTTP. */
export async function pushToolchain(host: string, signal?: AbortSignal): Promise<ToolchainImages> {
  const options = signal === undefined ? {} : { signal };
  const { kernels, layout } = await toolchain(options);
  const push = async (name: string): Promise<string> => {
    const image = `${host}/${name}:1`;
    const words = ['copy', '--quiet', '--dest-tls-verify=false', `oci:${layout}:${name}`, `docker://${image}`];
    await runOrThrow('skopeo', words, options);
    return image;
  };
  // One after the other: the second finds the first one's layers there.
  const runtime = await push('runtime');
  return { kernels, runtime, toolchain: await push('toolchain') };
}

async function make(folder: string, kernels: readonly [string, string], signal?: AbortSignal): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  const packages = join(folder, 'packages');
  await download(packages, kernels, options);
  const context = join(folder, 'context');
  for (const part of await readdir(packages)) {
    for (const file of await readdir(join(packages, part))) {
      await mkdir(join(context, part), { recursive: true });
      await runOrThrow('dpkg-deb', ['-x', join(packages, part, file), join(context, part)], options);
    }
  }
  await prune(context, kernels);
  await addBusybox(join(context, 'runtime'));
  await buildLayout(folder, kernels, options);
  for (const name of ['context', 'storage', 'run']) await rm(join(folder, name), { recursive: true, force: true });
}

/** Downloads what apt would install on an empty machine, each package to the folder of its part. */
async function download(folder: string, kernels: readonly [string, string], options: Options): Promise<void> {
  const runtime = new Set(await closureOf(['kmod'], options));
  const headers = kernels.map((kernel) => `linux-headers-${kernel}`);
  const names = await closureOf(['make', 'kmod', ...headers], options);
  const partOf = (name: string): string => {
    if (runtime.has(name)) return 'runtime';
    return kernels.find((kernel) => name === `linux-headers-${kernel}` || name === commonHeaders(kernel)) ?? 'compiler';
  };
  for (const part of ['runtime', 'compiler', ...kernels]) {
    const cwd = join(folder, part);
    await mkdir(cwd, { recursive: true });
    const wanted = names.filter((name) => partOf(name) === part && !LEFT_OUT_PACKAGES.test(name));
    await runOrThrow('apt-get', ['download', '--quiet', ...wanted], { cwd, ...options });
  }
}

/** The package with what the flavours of a kernel share. */
function commonHeaders(kernel: string): string {
  return `linux-headers-${kernel.replace(/-cloud-.*/, '-common')}`;
}

/** Names of the packages that apt would install on a machine that has none. */
async function closureOf(packages: readonly string[], options: Options): Promise<readonly string[]> {
  const words = ['-qq', '--print-uris', '--no-install-recommends', '--option=Dir::State::status=/dev/null', 'install'];
  const { stdout } = await runOrThrow('apt-get', [...words, ...packages], options);
  // Each line: 'URI' FILE SIZE HASH; FILE is NAME_VERSION_ARCH.deb.
  return stdout.split('\n').flatMap((line) => {
    const file = line.split(' ')[1] ?? '';
    return file.endsWith('.deb') ? [file.slice(0, file.indexOf('_'))] : [];
  });
}

async function prune(context: string, kernels: readonly string[]): Promise<void> {
  const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true });
  for (const part of await readdir(context)) {
    for (const path of LEFT_OUT_FILES) await remove(join(context, part, path));
  }
  const compiler = join(context, 'compiler');
  for (const path of await readdir(compiler, { recursive: true })) {
    if (LEFT_OUT_OF_COMPILER.test(path)) await remove(join(compiler, path));
  }
  for (const kernel of kernels) {
    const source = join(context, kernel, 'usr', 'src');
    for (const folder of HEADER_FOLDERS) {
      for (const name of LEFT_OUT_HEADERS) await remove(join(source, commonHeaders(kernel), 'include', folder, name));
    }
    // A file for each option, empty: only a second compilation in the same place looks at them.
    const options = join(source, `linux-headers-${kernel}`, 'include', 'config');
    for (const name of await readdir(options)) {
      if ((await stat(join(options, name))).size === 0) await remove(join(options, name));
    }
    const arch = join(source, commonHeaders(kernel), 'arch');
    for (const entry of await readdir(arch, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name !== KERNEL_ARCH) await remove(join(arch, entry.name));
    }
  }
}

/** A shell and what goes with one; Debian's own programs, which lie in other folders of the PATH before it, win. */
async function addBusybox(root: string): Promise<void> {
  const { busybox } = await buildFixtures();
  const { stdout } = await runOrThrow(busybox, ['--list']);
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'tmp'), { recursive: true });
  await runOrThrow('cp', [busybox, join(root, 'bin', 'busybox')]);
  for (const applet of stdout.trim().split('\n')) {
    const path = join(root, 'bin', applet);
    if (applet !== 'busybox' && !(await isThere(path))) await symlink('busybox', path);
  }
}

async function buildLayout(folder: string, kernels: readonly string[], { signal }: Options): Promise<void> {
  const buildah = buildahIn(folder, signal);
  const dockerfile = join(folder, 'context', 'Dockerfile');
  const headers = kernels.map((kernel) => `COPY ${kernel}/ /\n`);
  const stages = [
    'FROM scratch AS runtime\nCOPY runtime/ /\n',
    'FROM runtime AS compiler\nCOPY compiler/ /\n',
    `FROM compiler AS toolchain\n${headers.join('')}`,
    ...kernels.map((kernel, index) => `FROM compiler AS ${toolchainTag(kernel)}\n${headers[index]}`),
  ];
  await writeFile(dockerfile, stages.join(''));
  for (const target of ['runtime', 'toolchain', ...kernels.map(toolchainTag)]) {
    await buildah(
      'build',
      '--isolation=chroot',
      '--format=oci',
      '--layers',
      `--target=${target}`,
      `--tag=${target}`,
      `--file=${dockerfile}`,
      join(folder, 'context'),
    );
    await buildah('push', '--quiet', target, `oci:${join(folder, 'layout')}:${target}`);
  }
}
