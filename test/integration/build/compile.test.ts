/** Dockerfiles as users write them: the module is compiled in the build, against the headers of the kernel that is built for. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { aRequest, BuildPod, type BuildRun, type MountedFiles } from '../../harness/build-tools.ts';
import { type ModuleDockerfile, moduleDockerfile } from '../../harness/module-dockerfile.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { runOrThrow } from '../../harness/run.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { pushToolchain, type ToolchainImages } from '../../harness/toolchain.ts';

let registry: RegistryServer;
let images: ToolchainImages;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmm-compile-'));
  registry = await startRegistry();
  images = await pushToolchain(registry.host);
});
afterAll(async () => {
  await registry?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function build(
  image: string,
  kernel: string,
  { dockerfile = {}, mounted = {} }: { dockerfile?: Partial<ModuleDockerfile>; mounted?: MountedFiles } = {},
): Promise<BuildRun> {
  const text = await moduleDockerfile({ ...images, ...dockerfile });
  const request = aRequest(image, kernel, {
    source: { kind: 'inline', dockerfile: text },
    cache: true,
    ...(mounted.signKey === undefined ? {} : { sign: {} }),
  });
  const pod = await BuildPod.create(request, mounted);
  try {
    return await pod.run();
  } finally {
    await pod.remove();
  }
}

/** Path of a file of the image, unpacked from the registry by another tool than built it. */
async function fileOf(image: string, path: string): Promise<string> {
  const copy = await mkdtemp(join(folder, 'image-'));
  await runOrThrow('skopeo', ['copy', '--quiet', '--src-tls-verify=false', `docker://${image}`, `dir:${copy}`]);
  const { layers }: { readonly layers: readonly { readonly digest: string }[] } = JSON.parse(
    await readFile(join(copy, 'manifest.json'), 'utf8'),
  );
  for (const { digest } of layers) {
    // Most layers do not have the file; where several have it, the last one counts.
    const words = ['-xzf', join(copy, digest.replace('sha256:', '')), '-C', copy, path.slice(1)];
    await runOrThrow('tar', words).catch(() => undefined);
  }
  return join(copy, path);
}

it('a module is compiled for two kernels, signed and pushed, and modprobe would find each in the image of its kernel', async () => {
  const { key, certificate } = await makeSignKeys('Acme');
  for (const kernel of images.kernels) {
    const { report, log } = await build(`${registry.host}/hello:${kernel}`, kernel, {
      mounted: { signKey: key, signCert: certificate },
    });
    expect(report, log).toMatchObject({ result: 'built', filesNumber: 1 });
    if (report.result !== 'built') return;
    const module = await fileOf(report.image, `/opt/lib/modules/${kernel}/hello.ko`);
    const field = async (name: string) => (await runOrThrow('modinfo', ['-F', name, module])).stdout.trim();
    expect(await field('vermagic')).toMatch(new RegExp(`^${kernel} SMP `));
    expect(await field('signer')).toBe('Acme');
    expect(await field('description')).toContain('the smallest module');
    const index = await fileOf(report.image, `/opt/lib/modules/${kernel}/modules.dep`);
    expect(await readFile(index, 'utf8')).toContain('hello.ko:');
  }
});

it('headers of another kernel compile, and verify finds it before anything is pushed', async () => {
  const [kernel, other] = images.kernels;
  const { report, log } = await build(`${registry.host}/wrong:1`, kernel, { dockerfile: { headersOf: other } });
  expect(report, log).toMatchObject({
    result: 'failed',
    step: 'verify',
    cause: 'user',
    message: expect.stringContaining(`/opt/lib/modules/${kernel}/hello.ko for ${other}`),
  });
  // Layers are kept for the next build, under tags that nobody runs.
  expect((await registry.tags('wrong')).filter((tag) => !/^[0-9a-f]{64}$/.test(tag))).toEqual([]);
});

it('what the compiler says of an error is what the user reads', async () => {
  const [kernel] = images.kernels;
  const { report, log } = await build(`${registry.host}/broken:1`, kernel, {
    dockerfile: { after: [`RUN echo 'int broken(void) { return 1 }' >> hello.c`] },
  });
  expect(report, log).toMatchObject({
    result: 'failed',
    step: 'build',
    cause: 'user',
    message: expect.stringContaining('RUN make -C /usr/src/linux-headers-'),
    log: expect.stringMatching(/hello\.c:\d+:\d+: error: expected/),
  });
});
