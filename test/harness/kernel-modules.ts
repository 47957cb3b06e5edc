import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { withLock } from '../../hack/control-plane/lock.ts';
import { isThere } from '../../hack/machine-cache.ts';
import { type KernelHeaders, twoKernels } from './kernel-headers.ts';
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
  return compiledModule({ source: SOURCE, name: 'hello' }, kernel, signal);
}

/** A folder with a Makefile that makes NAME.ko out of NAME.c, given KDIR. */
export interface ModuleSource {
  readonly source: string;
  readonly name: string;
}

/** As {@link helloModule}, of any module. */
export async function compiledModule(
  module: ModuleSource,
  kernel: KernelHeaders,
  signal?: AbortSignal,
): Promise<string> {
  const cache = join(dirname(kernel.headers), '..', '..');
  const built = join(cache, `${module.name}-${await sourceHash(module)}.ko`);
  return withLock(
    built,
    async () => {
      if (!(await isThere(built))) await compile(module, kernel.headers, built, signal);
      return built;
    },
    signal === undefined ? {} : { signal },
  );
}

async function compile(
  { source, name }: ModuleSource,
  headers: string,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-hello-'));
  try {
    for (const file of [`${name}.c`, 'Makefile']) await copyFile(join(source, file), join(folder, file));
    // Another gcc than the kernel's is only warned of; the name of Debian's (gcc-12) need not be there.
    const made = await run('make', ['-C', folder, `KDIR=${headers}`, 'CC=gcc'], {
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: folder, LC_ALL: 'C' },
      ...(signal === undefined ? {} : { signal }),
    });
    if (made.code !== 0)
      throw new Error(`${name}.c does not compile against ${headers}:\n${made.stdout}\n${made.stderr}`);
    const partial = `${to}.partial`;
    await mkdir(dirname(to), { recursive: true });
    await copyFile(join(folder, `${name}.ko`), partial);
    await rename(partial, to);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sourceHash({ source, name }: ModuleSource): Promise<string> {
  const hash = createHash('sha256');
  for (const file of [`${name}.c`, 'Makefile']) hash.update(file).update(await readFile(join(source, file)));
  return hash.digest('hex').slice(0, 12);
}
