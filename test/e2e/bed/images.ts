/** The images that run on nodes. Each is made once, as an archive in the cache, and pushed to every bed's registry. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

import { tagSafe } from '../../../src/kernel/template.ts';
import { buildahIn } from '../../harness/buildah.ts';
import { type KernelHeaders, realtimeFlavour } from '../../harness/kernel-headers.ts';
import { compiledModule } from '../../harness/kernel-modules.ts';
import { runOrThrow } from '../../harness/run.ts';
import { helloDevicePlugin, sampleDevicePlugin } from './binaries.ts';
import { type Making, made } from './cache.ts';
import { PAUSE_IMAGE } from './guest-config.ts';

/** Of /etc/modprobe.d: the module's one parameter. */
export const HELLO_OPTIONS = 'options kmm_hello who=kubernetes\n';
/** Folder of kmm_hello's sources. */
export const HELLO = join(import.meta.dirname, '..', 'hello');

/** An image in the cache, and what it is called in whatever registry it is pushed to. */
export interface BedImage {
  /** Repository and tag, as `tools:1`: a reference without its registry. */
  readonly name: string;
  /** As skopeo names it: `oci-archive:PATH`, `oci:PATH:TAG`. */
  readonly source: string;
  /** It is large, and only nodes pull it: zstd unpacks faster than gzip, which counts under emulation (a compiler in 65 s, not 94). */
  readonly zstd?: true;
}

/** busybox, and kmod's own modprobe: enough to load a module, to read from a device, and to ask a kernel. */
export const TOOLS_IMAGE = 'tools:1';
/** The largest takes a quarter of a minute. */
const PUSH_TIMEOUT_MS = 300_000;
/** A loader image for each kernel, under the tag of its release. */
export const HELLO_REPOSITORY = 'kmm-hello';
/** As tag a kernel's release, in the place of whose module there is one of its realtime flavour, called kmm_wrong. */
export const MISMATCHED_REPOSITORY = 'kmm-mismatched';
export const DEVICE_PLUGIN_IMAGE = 'kmm-hello-device-plugin:1';

/** Kubernetes' own, as it is: it offers example.com/resource, and mounts a file of the node's /tmp for each device. */
export const SAMPLE_PLUGIN_IMAGE = 'sample-device-plugin:1';

/** All images of the bed, for its kernels. */
export async function bedImages(kernels: readonly KernelHeaders[], making: Making): Promise<readonly BedImage[]> {
  const { tools, images } = await commonImages(making);
  const loaders: BedImage[] = [];
  for (const kernel of kernels) {
    loaders.push(await helloImage(kernel, tools, making));
    const madeFor = await realtimeFlavour(kernel.release, making.signal);
    loaders.push(
      await loaderImage({ repository: MISMATCHED_REPOSITORY, kernel, madeFor, file: 'kmm_wrong' }, tools, making),
    );
  }
  return [...images, ...loaders];
}

/** Those that are the same whatever kernels nodes run; `tools` is one of them. */
export async function commonImages(
  making: Making,
): Promise<{ readonly tools: BedImage; readonly images: readonly BedImage[] }> {
  const tools = await toolsImage(making);
  const images = [
    await pauseImage(making),
    tools,
    await pluginImage(DEVICE_PLUGIN_IMAGE, await helloDevicePlugin(making), making),
    await pluginImage(SAMPLE_PLUGIN_IMAGE, await sampleDevicePlugin(making), making),
  ];
  return { tools, images };
}

/** What loads kmm_hello into a kernel. */
export function helloImage(kernel: KernelHeaders, tools: BedImage, making: Making): Promise<BedImage> {
  return loaderImage({ repository: HELLO_REPOSITORY, kernel, madeFor: kernel, file: 'kmm_hello' }, tools, making);
}

/** @param insecure the registry speaks plain HTTP, or nobody knows who signed its certificate */
export async function push(
  { name, source, zstd }: BedImage,
  { registry, insecure = false }: { readonly registry: string; readonly insecure?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const options = ['--insecure-policy', ...(insecure ? ['--dest-tls-verify=false'] : [])];
  const compress = zstd === true ? ['--dest-compress-format=zstd', '--dest-compress-level=3'] : [];
  await runOrThrow('skopeo', ['copy', '--quiet', ...options, ...compress, source, `docker://${registry}/${name}`], {
    signal: AbortSignal.any([signal, AbortSignal.timeout(PUSH_TIMEOUT_MS)]),
  });
}

async function pauseImage(making: Making): Promise<BedImage> {
  const source = join(import.meta.dirname, 'pause.c');
  return image(
    {
      name: PAUSE_IMAGE,
      recipe: [await readFile(source)],
      dockerfile: 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n',
      async fill(context, signal) {
        await runOrThrow('gcc', ['-static', '-Os', '-s', '-o', join(context, 'pause'), source], { signal });
      },
    },
    making,
  );
}

const SHELL_APPLETS = ['sh', 'cat', 'grep', 'ls', 'sleep', 'echo', 'head', 'test', 'true', 'uname'];
/** For asking the kernel of a node, where the machine is not ours. */
const APPLETS = [...SHELL_APPLETS, 'dmesg', 'mkdir', 'mount', 'rmdir'];
const KMOD_NAMES = ['modprobe', 'modinfo', 'insmod', 'rmmod', 'lsmod', 'depmod'];

async function toolsImage(making: Making): Promise<BedImage> {
  const paths = ['/bin/busybox', '/bin/kmod', ...(await librariesOf('/bin/kmod', making.signal))];
  const contents = await Promise.all(paths.map((path) => readFile(path)));
  return image(
    {
      name: TOOLS_IMAGE,
      recipe: [...APPLETS, ...KMOD_NAMES, ...contents],
      dockerfile: 'FROM scratch\nCOPY . /\nENV PATH=/sbin:/bin\nCMD ["/bin/sh"]\n',
      async fill(context) {
        for (const folder of ['bin', 'sbin', 'usr/local/bin', 'etc', 'tmp', 'opt']) {
          await mkdir(join(context, folder), { recursive: true });
        }
        await copyInto(context, Object.fromEntries(paths.map((path) => [path, path])));
        for (const name of APPLETS) await symlink('busybox', join(context, 'bin', name));
        for (const name of KMOD_NAMES) await symlink('../bin/kmod', join(context, 'sbin', name));
        await writeFile(join(context, 'etc', 'passwd'), 'root:x:0:0:root:/:/bin/sh\n');
      },
    },
    making,
  );
}

/** Paths of what a program of this machine is linked with. */
export async function librariesOf(program: string, signal: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await runOrThrow('ldd', [program], { signal });
  return [...stdout.matchAll(/(\/lib\S+) \(0x/g)].map(([, path = '']) => path);
}

/** @param programs files of this machine by their paths in the image */
export async function copyInto(root: string, programs: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, from] of Object.entries(programs)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await copyFile(from, join(root, path));
    await chmod(join(root, path), 0o755);
  }
}

function pluginImage(name: string, program: string, making: Making): Promise<BedImage> {
  return image(
    {
      name,
      recipe: [basename(program)],
      dockerfile: 'FROM scratch\nCOPY device-plugin /device-plugin\nENTRYPOINT ["/device-plugin"]\n',
      fill: (context) => copyFile(program, join(context, 'device-plugin')),
    },
    making,
  );
}

interface LoaderImage {
  readonly repository: string;
  /** Whose folder the module is in. */
  readonly kernel: KernelHeaders;
  readonly madeFor: KernelHeaders;
  /** What the module's file is called. */
  readonly file: string;
}

async function loaderImage(
  { repository, kernel, madeFor, file }: LoaderImage,
  tools: BedImage,
  making: Making,
): Promise<BedImage> {
  const module = await compiledModule({ source: HELLO, name: 'kmm_hello' }, madeFor, making.signal);
  const script = await loaderScript('kmm_hello');
  const dockerfile = await readFile(join(HELLO, 'Dockerfile'), 'utf8');
  return image(
    {
      name: `${repository}:${tagSafe(kernel.release)}`,
      recipe: [kernel.release, file, basename(tools.source), await readFile(module), script],
      dockerfile,
      buildArgs: { BASE: tools.source },
      async fill(context, signal) {
        const folder = join(context, 'root', 'lib', 'modules', kernel.release);
        await mkdir(folder, { recursive: true });
        await copyFile(module, join(folder, `${file}.ko`));
        await runOrThrow('depmod', ['-b', join(context, 'root'), kernel.release], { signal });
        await rename(join(context, 'root', 'lib', 'modules'), join(context, 'modules'));
        await rm(join(context, 'root'), { recursive: true });
        await writeFile(join(context, 'load.sh'), script, { mode: 0o755 });
        await writeFile(join(context, 'kmm_hello.conf'), HELLO_OPTIONS);
      },
    },
    making,
  );
}

/**
 * The script that the documentation recommends, for this module: what users copy is what is tested.
 *
 * @throws Error when the page does not show it any more
 */
export async function loaderScript(module: string): Promise<string> {
  const page = join(import.meta.dirname, '..', '..', '..', 'docs', 'usage', 'loader-containers.md');
  const script = /`load\.sh`:\n\n```sh\n(.*?)```/s.exec(await readFile(page, 'utf8'))?.[1];
  if (script === undefined) throw new Error('docs/usage/loader-containers.md shows no load.sh');
  return script.replaceAll('my_driver', module);
}

interface ImageRecipe {
  readonly name: string;
  readonly recipe: readonly (string | Buffer)[];
  readonly dockerfile: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  /** Puts what the Dockerfile copies into the folder. */
  fill(context: string, signal: AbortSignal): Promise<void>;
}

/** Makes an image of what a few files are copied to. */
export async function image(recipe: ImageRecipe, making: Making): Promise<BedImage> {
  const { name, dockerfile } = recipe;
  const archive = await made(
    {
      name: `image-${name.replaceAll(/[:/]/g, '-')}`,
      recipe: [dockerfile, ...recipe.recipe],
      what: `Building the image ${name} (seconds)`,
      make: (path, signal) => buildArchive(recipe, path, signal),
    },
    making,
  );
  return { name, source: `oci-archive:${archive}` };
}

async function buildArchive(recipe: ImageRecipe, to: string, signal: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-image-'));
  try {
    const context = join(folder, 'context');
    await mkdir(context);
    await recipe.fill(context, signal);
    await writeFile(join(folder, 'Dockerfile'), recipe.dockerfile);
    const buildah = buildahIn(folder, signal);
    const args = Object.entries(recipe.buildArgs ?? {}).map(([name, value]) => `--build-arg=${name}=${value}`);
    const file = `--file=${join(folder, 'Dockerfile')}`;
    await buildah('build', '--quiet', '--isolation=chroot', ...args, file, `--tag=${recipe.name}`, context);
    await buildah('push', '--quiet', recipe.name, `oci-archive:${to}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
