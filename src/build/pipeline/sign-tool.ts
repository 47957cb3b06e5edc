import { access, constants, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Where distributions put the kernel's scripts/sign-file: Debian's linux-kbuild-*, Debian's and Ubuntu's headers, Fedora's kernel-devel. */
const PLACES: readonly { readonly folder: string; readonly name: RegExp }[] = [
  { folder: '/usr/lib', name: /^linux-kbuild-/ },
  { folder: '/usr/src', name: /^linux-(?:headers|kbuild)-/ },
  { folder: '/usr/src/kernels', name: /./ },
];

/** The newest `sign-file` of this machine; undefined where there is none. */
export async function findSignFile(places = PLACES): Promise<string | undefined> {
  for (const { folder, name } of places) {
    const versions = (await list(folder))
      .filter((entry) => name.test(entry))
      .sort(byVersion)
      .reverse();
    for (const version of versions) {
      const tool = join(folder, version, 'scripts', 'sign-file');
      if (await isExecutable(tool)) return tool;
    }
  }
  return undefined;
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
