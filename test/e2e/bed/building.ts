/** What it takes to build kmm_hello in the bed's cluster: the builder's image, one with a compiler, and the sources. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { tagSafe } from '../../../src/kernel/template.ts';
import { toolchain, toolchainTag } from '../../harness/toolchain.ts';
import type { Making } from './cache.ts';
import { REGISTRY } from './guest-config.ts';
import {
  type BedImage,
  copyInto,
  HELLO,
  HELLO_OPTIONS,
  image,
  librariesOf,
  loaderScript,
  TOOLS_IMAGE,
} from './images.ts';
import type { Kernel } from './kernels.ts';
import { productImage } from './product-image.ts';
import { pathOf } from './programs.ts';

/** gcc, make and the headers of the kernel. */
function toolchainName(release: string): string {
  return `toolchain:${tagSafe(release)}`;
}

/** Nothing but the sources, for Dockerfiles that have no build context. */
const SOURCES_IMAGE = 'kmm-hello-sources:1';

/** Debian's docker-registry, in the place of the one that the chart names. */
export const REGISTRY_IMAGE = 'docker-registry:1';

/**
 * Arguments of the Dockerfile of {@link helloSources}. Each kernel has a mapping of its own for it: KERNEL_FULL_VERSION, which a FROM line
 * could use, is no tag where the release has a plus sign.
 */
export function helloBuildArgs(kernel: Kernel) {
  return [
    { name: 'TOOLCHAIN', value: `${REGISTRY}/${toolchainName(kernel.release)}` },
    { name: 'RUNTIME', value: `${REGISTRY}/${TOOLS_IMAGE}` },
  ];
}

/** What Dockerfiles begin from; about a minute with empty caches. */
export async function compilingImages(
  kernels: readonly [Kernel, Kernel],
  making: Making,
): Promise<readonly BedImage[]> {
  const { layout } = await toolchain({
    of: kernels,
    signal: making.signal,
    onCold: () => making.progress.start('Making an image with a compiler (about a minute)'),
  });
  const toolchains = kernels.map(
    ({ release }): BedImage => ({
      name: toolchainName(release),
      source: `oci:${layout}:${toolchainTag(release)}`,
      zstd: true,
    }),
  );
  return [...toolchains, await sourcesImage(making)];
}

/** The same, and what builds and serves in the cluster: half a minute more, with empty caches 3 minutes. */
export async function buildingImages(kernels: readonly [Kernel, Kernel], making: Making): Promise<readonly BedImage[]> {
  return [
    ...(await compilingImages(kernels, making)),
    await registryImage(making),
    await productImage('builder', making),
  ];
}

/** Files of the repository of a vendor, by their paths: the Dockerfile, and what it copies. */
export async function helloSources(): Promise<Readonly<Record<string, string>>> {
  const text = (name: string): Promise<string> => readFile(join(HELLO, name), 'utf8');
  return {
    Dockerfile: await text('build.Dockerfile'),
    'kmm_hello.c': await text('kmm_hello.c'),
    Makefile: await text('Makefile'),
    'kmm_hello.conf': HELLO_OPTIONS,
    'load.sh': await loaderScript('kmm_hello'),
  };
}

/** The same Dockerfile, with its sources out of an image. */
export async function inlineDockerfile(): Promise<string> {
  const { Dockerfile = '' } = await helloSources();
  return Dockerfile.replace('COPY . ', `COPY --from=${REGISTRY}/${SOURCES_IMAGE} / `);
}

async function registryImage(making: Making): Promise<BedImage> {
  const program = await pathOf('docker-registry', making.signal);
  const libraries = await librariesOf(program, making.signal);
  return image(
    {
      name: REGISTRY_IMAGE,
      recipe: await Promise.all([program, ...libraries].map((path) => readFile(path))),
      dockerfile: 'FROM scratch\nCOPY . /\nENV PATH=/bin\n',
      async fill(context) {
        await copyInto(context, { '/bin/registry': program });
        await copyInto(context, Object.fromEntries(libraries.map((path) => [path, path])));
      },
    },
    making,
  );
}

async function sourcesImage(making: Making): Promise<BedImage> {
  const { Dockerfile: _, ...files } = await helloSources();
  return image(
    {
      name: SOURCES_IMAGE,
      recipe: [JSON.stringify(files)],
      dockerfile: 'FROM scratch\nCOPY . /\n',
      async fill(context) {
        for (const [path, content] of Object.entries(files)) {
          await mkdir(dirname(join(context, path)), { recursive: true });
          await writeFile(join(context, path), content, { mode: 0o755 });
        }
      },
    },
    making,
  );
}
