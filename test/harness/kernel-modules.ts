import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { withLock } from '../../hack/control-plane/lock.ts';
import { twoKernels } from './kernel-headers.ts';
import { run } from './run.ts';

export { twoKernels } from './kernel-headers.ts';

const SOURCE = join(import.meta.dirname, '..', 'fixtures', 'hello-module');

/**
 * Path of `hello.ko`, compiled by this machine's gcc against the headers of one of {@link twoKernels}' kernels; compiled once for each text of its
 * source. Copy it; do not change it.
 *
 * @throws Error with the compiler's words
 */
export async function helloModule(release: string, signal?: AbortSignal): Promise<string> {
  const kernel = (await twoKernels(signal)).find((kernel) => kernel.release === release);
  if (kernel === undefined) throw new Error(`${release} is none of the two kernels that tests compile for`);
  const cache = join(dirname(kernel.headers), '..', '..');
  const built = join(cache, `hello-${await sourceHash()}.ko`);
  return withLock(
    built,
    async () => {
      if (!(await isThere(built))) await compile(kernel.headers, built, signal);
      return built;
    },
    signal === undefined ? {} : { signal },
  );
}

async function compile(headers: string, to: string, signal?: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-hello-'));
  try {
    for (const name of ['hello.c', 'Makefile']) await copyFile(join(SOURCE, name), join(folder, name));
    // Another gcc than the kernel's is only warned of; the name of Debian's (gcc-12) need not be there.
    const made = await run('make', ['-C', folder, `KDIR=${headers}`, 'CC=gcc'], {
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: folder, LC_ALL: 'C' },
      ...(signal === undefined ? {} : { signal }),
    });
    if (made.code !== 0)
      throw new Error(`hello.c does not compile against ${headers}:\n${made.stdout}\n${made.stderr}`);
    const partial = `${to}.partial`;
    await mkdir(dirname(to), { recursive: true });
    await copyFile(join(folder, 'hello.ko'), partial);
    await rename(partial, to);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sourceHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(SOURCE)).sort()) hash.update(name).update(await readFile(join(SOURCE, name)));
  return hash.digest('hex').slice(0, 12);
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
