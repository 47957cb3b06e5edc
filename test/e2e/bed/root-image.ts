/** The disk that all nodes start from: Debian with a containerd and a runc, our kubelet, and the modules of both kernels. */
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { runOrThrow } from '../../harness/run.ts';
import type { ContainerRuntime } from './binaries.ts';
import { type Making, made } from './cache.ts';
import type { Kernel } from './kernels.ts';
import { type PreloadedImage, preload } from './preloaded.ts';

/** Behind containerd and runc: what a kubelet calls, and what a person who looks into a node wants. */
const PACKAGES = [
  'busybox-static',
  'ca-certificates',
  'conntrack',
  'containerd',
  'containernetworking-plugins',
  'ethtool',
  'iproute2',
  'iptables',
  'kmod',
  'mount',
  'nftables',
  'procps',
  'runc',
  'socat',
  'util-linux',
];

const MMDEBSTRAP = [
  '--variant=minbase',
  '--quiet',
  '--dpkgopt=force-unsafe-io',
  '--aptopt=APT::Install-Recommends=false',
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
  '--dpkgopt=path-exclude=/usr/share/info/*',
];

/** Bytes that the file system can hold; the file itself is as large as what is in it. */
const SIZE = '8G';

export interface NodeContents {
  /** Path of the program. */
  readonly kubelet: string;
  /** In the place of Debian's own, which are there too. */
  readonly runtime?: ContainerRuntime;
  readonly preloaded?: PreloadedImage;
}

/** Path of an ext4 image; nodes write to overlays over it. */
export async function rootImage(
  kernels: readonly Kernel[],
  { kubelet, runtime, preloaded }: NodeContents,
  making: Making,
): Promise<string> {
  const local: DiskParts['local'] = {
    kubelet,
    ...(runtime === undefined
      ? {}
      : { containerd: runtime.containerd, 'containerd-shim-runc-v2': runtime.shim, runc: runtime.runc }),
  };
  const base = await debianBase(making);
  const guest = join(import.meta.dirname, 'guest');
  const programs = ['bed-init', 'bed-exec'].map((name) => join(guest, name));
  const texts = await Promise.all(programs.map((program) => readFile(program)));
  return made(
    {
      name: 'root',
      recipe: [
        basename(base),
        ...Object.values(local).map((path) => basename(path)),
        ...kernels.map(({ release }) => release),
        SIZE,
        ...texts,
        ...(preloaded === undefined ? [] : [preloaded.id]),
      ],
      what: 'Making the disk of the nodes (about 20 s)',
      make: (path, signal) => makeDisk({ base, local, kernels, programs, preloaded }, path, signal),
    },
    making,
  );
}

/** A tar of Debian, of the same release as this machine's and from where this machine has its packages. */
async function debianBase(making: Making): Promise<string> {
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  if (suite === undefined) throw new Error('/etc/os-release names no release of Debian');
  return made(
    {
      name: 'debian',
      recipe: [suite, ...PACKAGES, ...MMDEBSTRAP],
      what: `Making a root file system of Debian ${suite} (about 3 min)`,
      async make(path, signal) {
        // The ending says what kind of archive it is to be.
        const tar = `${path}.tar`;
        try {
          const sources = await aptSources();
          const include = `--include=${PACKAGES.join(',')}`;
          await runOrThrow('mmdebstrap', [...MMDEBSTRAP, include, suite, tar, ...sources], { signal });
          await rename(tar, path);
        } finally {
          await rm(tar, { force: true });
        }
      },
    },
    making,
  );
}

/** The package sources of this machine: a mirror that works here. */
async function aptSources(): Promise<readonly string[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = (await readdir(folder)).filter((name) => /^debian.*\.(list|sources)$/.test(name)).sort();
  const files = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return files.filter((_, index) => (texts[index] ?? '').trim() !== '');
}

interface DiskParts {
  readonly base: string;
  /** Paths of what goes to /usr/local/bin, by its names there. */
  readonly local: Readonly<Record<string, string>> & { readonly containerd?: string };
  readonly kernels: readonly Kernel[];
  readonly programs: readonly string[];
  readonly preloaded: PreloadedImage | undefined;
}

async function makeDisk(
  { base, local, kernels, programs, preloaded }: DiskParts,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'kmm-root-'));
  try {
    await runOrThrow('tar', ['-C', root, '--exclude=./dev/*', '-xf', base], { signal });
    for (const { release, modules } of kernels) {
      await cp(modules, join(root, 'lib', 'modules', release), { recursive: true, verbatimSymlinks: true });
    }
    for (const folder of ['etc/cni/net.d', 'opt/cni', 'var/lib/kubelet', 'var/lib/containerd']) {
      await mkdir(join(root, folder), { recursive: true });
    }
    await symlink('/usr/lib/cni', join(root, 'opt', 'cni', 'bin'));
    await rm(join(root, 'etc', 'machine-id'), { force: true });
    for (const [name, program] of Object.entries(local))
      await install(program, join(root, 'usr', 'local', 'bin', name));
    for (const program of programs) await install(program, join(root, 'sbin', basename(program)));
    if (preloaded !== undefined) {
      const debian = join(root, 'usr', 'bin');
      const { containerd = join(debian, 'containerd') } = local;
      await preload(root, preloaded, { containerd, ctr: join(debian, 'ctr') }, signal);
    }
    await chmod(root, 0o755);
    // With a journal: without one, a node that is killed does not start again.
    const options = ['-q', '-t', 'ext4', '-J', 'size=32', '-E', 'lazy_itable_init=1,root_owner=0:0', '-m', '0'];
    await runOrThrow('mke2fs', [...options, '-d', root, to, SIZE], { signal });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function install(program: string, to: string): Promise<void> {
  await copyFile(program, to);
  await chmod(to, 0o755);
}
