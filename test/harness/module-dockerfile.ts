/** A Dockerfile as a user would write it for an out-of-tree module: it compiles in one stage and keeps the module in another. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const SOURCE = join(import.meta.dirname, '..', 'fixtures', 'hello-module', 'hello.c');

export interface ModuleDockerfile {
  /** What the compiling stage begins FROM, and the other one. */
  readonly toolchain: string;
  readonly runtime: string;
  /** Lines of the compiling stage before the kernel is an argument, and after. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The kernel whose headers are taken, where that is not the one that is built for. */
  readonly headersOf?: string;
}

/** Compiles test/fixtures/hello-module, whose source stands in the Dockerfile, for KERNEL_FULL_VERSION. */
export async function moduleDockerfile(options: ModuleDockerfile): Promise<string> {
  const { toolchain, runtime, before = [], after = [], headersOf = '$KERNEL_FULL_VERSION' } = options;
  const source = (await readFile(SOURCE, 'utf8')).trim().split('\n');
  return [
    `FROM ${toolchain} AS build`,
    ...before,
    'WORKDIR /hello',
    `RUN ${written(source, 'hello.c')} && ${written(['obj-m := hello.o'], 'Kbuild')}`,
    'ARG KERNEL_FULL_VERSION',
    ...after,
    `RUN make -C /usr/src/linux-headers-${headersOf} M=$PWD modules`,
    `FROM ${runtime}`,
    'ARG KERNEL_FULL_VERSION',
    'COPY --from=build /hello/hello.ko /opt/lib/modules/$KERNEL_FULL_VERSION/',
    'RUN /sbin/depmod -b /opt $KERNEL_FULL_VERSION',
    '',
  ].join('\n');
}

/** Shell's words; no line of the source has a single quote. */
function written(lines: readonly string[], file: string): string {
  return `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} > ${file}`;
}
