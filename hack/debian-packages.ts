/** What building and signing images is tried with: the tools of the builder image, and servers for tests. All are Debian's. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Progress } from './control-plane/progress.ts';
import { builderPackages } from './images/packages.ts';

const run = promisify(execFile);

/** sign-file is in the package of the kernel's build tools, whose name has the version of the distribution's kernel. */
const SIGN_FILE_PACKAGE = /^linux-kbuild-[0-9.]+$/;

/** Those of the builder image, and behind them what only tests and `make images` need. */
const PACKAGES = [
  ...builderPackages().filter((name) => !SIGN_FILE_PACKAGE.test(name)),
  'apache2-utils',
  'busybox-static',
  'docker-registry',
  'gcc',
  'libc6-dev',
  'make',
  'mmdebstrap',
  'openssh-server',
  'openssl',
  'prometheus',
  'runc',
  'zstd',
];

/**
 * What `make e2e` needs besides: machines with kernels of their own, what their disks are made with, and what newer kernels' modules
 * and a newer runc are made with.
 */
export const E2E_PACKAGES = [
  'cpio',
  'e2fsprogs',
  'iproute2',
  'libseccomp-dev',
  'pahole',
  'qemu-system-x86',
  'qemu-utils',
] as const;

/**
 * Installs what is missing, which takes root and about half a minute.
 *
 * @param more names of packages beside those that every test needs
 * @throws Error that says what to install where this is no Debian, or nobody who may install
 */
export async function ensureDebianPackages(
  progress: Progress,
  signal: AbortSignal,
  more: readonly string[] = [],
): Promise<void> {
  const installed = await installedPackages(signal);
  const missing = [...PACKAGES, ...more].filter((name) => !installed.has(name));
  const hasSignFile = [...installed].some((name) => SIGN_FILE_PACKAGE.test(name));
  if (missing.length === 0 && hasSignFile) return;
  if (process.getuid?.() !== 0) {
    const names = [...missing, ...(hasSignFile ? [] : ['linux-kbuild-<version of your kernel>'])].join(' ');
    throw new Error(`Tests need more Debian packages. Install them as root: apt-get install ${names}`);
  }
  progress.start(`Installing ${missing.length + (hasSignFile ? 0 : 1)} Debian packages (about half a minute)`);
  await updatePackageLists(signal);
  const signFile = hasSignFile ? [] : [await newestKbuild(signal)];
  // A server that a package brings is not to run beside those of the tests.
  await apt(signal, 'install', '--yes', '--no-install-recommends', ...missing, ...signFile);
}

export async function updatePackageLists(signal: AbortSignal): Promise<void> {
  await apt(signal, 'update');
}

function apt(signal: AbortSignal, ...args: string[]): Promise<unknown> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return run('apt-get', ['-qq', ...args], { env, signal, maxBuffer: 64 * 1024 * 1024 });
}

/** @throws Error where this is no Debian */
async function installedPackages(signal: AbortSignal): Promise<ReadonlySet<string>> {
  try {
    const { stdout } = await run('dpkg-query', ['--show', '--showformat=${db:Status-Status} ${Package}\n'], {
      signal,
      maxBuffer: 64 * 1024 * 1024,
    });
    return new Set(stdout.split('\n').flatMap((line) => (line.startsWith('installed ') ? [line.slice(10)] : [])));
  } catch (cause) {
    signal.throwIfAborted();
    throw new Error('Tests of building need the tools of Debian or Ubuntu, and this machine has no dpkg.', { cause });
  }
}

async function newestKbuild(signal: AbortSignal): Promise<string> {
  const { stdout } = await run('apt-cache', ['search', '--names-only', '^linux-kbuild-[0-9.]+$'], { signal });
  const names = stdout.split('\n').flatMap((line) => line.split(' ')[0] || []);
  const newest = names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  if (newest === undefined) throw new Error('no package linux-kbuild-* is to be had: apt-get update lists none');
  return newest;
}
