import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { withLock } from '../../hack/control-plane/lock.ts';
import { isThere, machineCache, WEEK_MS } from '../../hack/machine-cache.ts';
import { runOrThrow } from './run.ts';

/** Headers of a kernel against which modules compile. */
export interface KernelHeaders {
  /** As `uname -r` prints it there. */
  readonly release: string;
  /** What goes after `make -C`. */
  readonly headers: string;
}

/** Debian's word for this machine's architecture, which is Go's word too for those that its cloud kernels are built for. */
const DEBIAN_ARCH = process.arch === 'x64' ? 'amd64' : process.arch;

/**
 * The two newest kernels of one series for which the machine's own package sources have headers, the distribution's own newest kernel first.
 *
 * The packages are unpacked, not installed, into `$XDG_CACHE_HOME/kmm/kernel-headers` (`~/.cache/kmm/kernel-headers`), once (12 MB to download and 82 MB on the disk for each, seconds);
 * which two they are stands there for a week, so that a machine whose package lists have gone still has them.
 *
 * @throws Error where apt knows of no such package: `apt-get update` has to have run
 */
export function twoKernels(signal?: AbortSignal): Promise<readonly KernelHeaders[]> {
  return inCache(signal, async (cache) => {
    const kernels: KernelHeaders[] = [];
    for (const release of await wantedReleases(cache, signal)) {
      kernels.push(await unpackedHeaders(cache, release, signal));
    }
    return kernels;
  });
}

/**
 * The newest kernel of the newest series that the machine's package sources have headers for, which may be years ahead of the distribution's
 * own: Debian keeps a later one beside it.
 *
 * @throws Error where apt knows of no such package
 */
export async function newestKernel(signal?: AbortSignal): Promise<KernelHeaders> {
  const options = signal === undefined ? {} : { signal };
  const { stdout } = await runOrThrow('apt-cache', ['pkgnames', 'linux-headers-'], options);
  const depends = await runOrThrow('apt-cache', headersOfNewest(newestSeries(stdout.split('\n'))), options);
  const release = newestOf(depends.stdout);
  if (release === undefined)
    throw new Error('apt knows of no headers of a kernel: run `apt-get update` on a Debian machine');
  return headersOf(release, signal);
}

/**
 * Name of the metapackage whose series is the newest: that of the distribution's own kernel has no number in its name.
 *
 * @param packages names of packages
 */
export function newestSeries(packages: readonly string[]): string {
  const metas = packages.filter((name) => /^linux-headers-\d+\.\d+-cloud-/.test(name) && name.endsWith(DEBIAN_ARCH));
  return metas.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? META;
}

/**
 * Headers of a kernel of Debian's.
 *
 * @throws Error where the machine's package sources have none for it
 */
export function headersOf(release: string, signal?: AbortSignal): Promise<KernelHeaders> {
  return inCache(signal, (cache) => unpackedHeaders(cache, release, signal));
}

/**
 * The realtime flavour of a kernel, which neither takes the modules of the other one: their vermagic differs by
 * `preempt_rt`. Two kernels of one series and flavour do take each other's, as long as the versions of their symbols are the same.
 */
export function realtimeFlavour(release: string, signal?: AbortSignal): Promise<KernelHeaders> {
  return headersOf(release.replace('-cloud-', '-rt-'), signal);
}

/** No other run of this machine is in there meanwhile. */
async function inCache<T>(signal: AbortSignal | undefined, work: (cache: string) => Promise<T>): Promise<T> {
  const cache = machineCache('kernel-headers');
  await mkdir(cache, { recursive: true });
  return withLock(cache, () => work(cache), signal === undefined ? {} : { signal });
}

const META = `linux-headers-cloud-${DEBIAN_ARCH}`;
/** Arguments of apt-cache that ask which package the metapackage stands for. */
function headersOfNewest(meta: string): readonly string[] {
  return ['depends', '--important', meta];
}

/** @param depends what `apt-cache depends` says of the newest headers' metapackage */
function newestOf(depends: string): string | undefined {
  return /Depends: linux-headers-(\d\S+)/.exec(depends)?.[1];
}

/** Those of the last time while they are fresh, so that tests do not download whenever a security update comes. */
async function wantedReleases(cache: string, signal?: AbortSignal): Promise<readonly string[]> {
  const file = join(cache, 'releases.json');
  try {
    if (Date.now() - (await stat(file)).mtimeMs < WEEK_MS) return parseReleases(await readFile(file, 'utf8'));
  } catch {
    // There was no last time.
  }
  const options = signal === undefined ? {} : { signal };
  const names = await runOrThrow('apt-cache', ['pkgnames', 'linux-headers-'], options);
  const depends = await runOrThrow('apt-cache', headersOfNewest(META), options);
  const releases = newestTwo(names.stdout.split('\n'), depends.stdout);
  await writeWhole(file, JSON.stringify(releases));
  return releases;
}

function parseReleases(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw new Error('no list of releases');
  return value.filter((item) => typeof item === 'string');
}

/**
 * @param packages names of packages
 * @param depends what `apt-cache depends` says of the newest headers' metapackage
 */
export function newestTwo(packages: readonly string[], depends: string): readonly string[] {
  const series = /^\d+\.\d+\./.exec(newestOf(depends) ?? '')?.[0];
  const flavour = `-cloud-${DEBIAN_ARCH}`;
  const releases = packages
    .flatMap((name) => (name.startsWith('linux-headers-') ? [name.slice('linux-headers-'.length)] : []))
    .filter((release) => series !== undefined && release.startsWith(series) && release.endsWith(flavour))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .reverse()
    .slice(0, 2);
  if (releases.length === 2) return releases;
  throw new Error(
    `tests compile a kernel module for two kernels, and apt has no two packages linux-headers-*${flavour}: run \`apt-get update\` on a Debian machine`,
  );
}

async function unpackedHeaders(cache: string, release: string, signal?: AbortSignal): Promise<KernelHeaders> {
  const folder = join(cache, release);
  const headers = join(folder, 'usr', 'src', `linux-headers-${release}`);
  const found = { release, headers };
  if (await isThere(headers)) return found;
  const partial = await mkdtemp(join(cache, '.partial-'));
  try {
    const packages = await packagesOf(release, signal);
    const options = { cwd: partial, ...(signal === undefined ? {} : { signal }) };
    await runOrThrow('apt-get', ['download', '--quiet', ...packages], options);
    for (const name of (await readdir(partial)).filter((entry) => entry.endsWith('.deb'))) {
      await runOrThrow('dpkg', ['-x', name, '.'], options);
      await rm(join(partial, name));
    }
    await relocate(partial, folder, release);
    await rename(partial, folder);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return found;
}

/** The headers, the part that flavours share, and the programs that the build runs. */
async function packagesOf(release: string, signal?: AbortSignal): Promise<readonly string[]> {
  const own = `linux-headers-${release}`;
  const { stdout } = await runOrThrow(
    'apt-cache',
    ['depends', '--important', own],
    signal === undefined ? {} : { signal },
  );
  const needed = [...stdout.matchAll(/Depends: (linux-(?:headers|kbuild)-\S+)/g)].map(([, name = '']) => name);
  return [own, ...needed];
}

/** Debian's headers name each other by absolute paths: links into /usr/lib/linux-kbuild-*, and a Makefile that includes that of the shared part. */
async function relocate(root: string, later: string, release: string): Promise<void> {
  const source = join(root, 'usr', 'src');
  for (const folder of await readdir(source)) {
    for (const entry of await readdir(join(source, folder), { withFileTypes: true })) {
      const path = join(source, folder, entry.name);
      if (!entry.isSymbolicLink()) continue;
      const target = await readlink(path);
      if (!target.startsWith('/')) continue;
      await rm(path);
      await symlink(join(later, target), path);
    }
  }
  const makefile = join(source, `linux-headers-${release}`, 'Makefile');
  const text = await readFile(makefile, 'utf8');
  await writeFile(makefile, text.replaceAll(/(^|[\s=])\/usr\/(src|lib)\//gm, `$1${later}/usr/$2/`));
}

/** Never half a file. */
async function writeWhole(path: string, content: string | Buffer): Promise<void> {
  const partial = `${path}.partial-${process.pid}`;
  await writeFile(partial, content);
  await rename(partial, path);
}
