import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** As the kernel's own limit (MAXSYMLINKS). */
const MOST_LINKS = 40;

/**
 * Follows `path` as a process would whose root folder is `root`: an absolute link begins at `root` again, and `..` stays in it.
 *
 * @param root a folder of this machine
 * @param path absolute, in terms of `root`
 * @returns the path without links, in terms of `root` (`/` for `root` itself); undefined where nothing is there
 */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const left = path.split('/').filter((part) => part !== '' && part !== '.');
  let real: string[] = [];
  let links = 0;
  for (let part = left.shift(); part !== undefined; part = left.shift()) {
    if (part === '.') continue;
    if (part === '..') {
      real.pop();
      continue;
    }
    const here = join(root, ...real, part);
    const entry = await lstatOrNothing(here);
    if (entry === undefined) return undefined;
    if (!entry.isSymbolicLink()) {
      real.push(part);
      continue;
    }
    if (++links > MOST_LINKS) return undefined;
    const target = await readlink(here);
    if (target.startsWith('/')) real = [];
    left.unshift(...target.split('/').filter((piece) => piece !== ''));
  }
  return `/${real.join('/')}`;
}

async function lstatOrNothing(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}
