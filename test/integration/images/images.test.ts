/** The images that `make images` makes, run by a real OCI runtime with exactly the rights that pods have. */
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildPod } from '../../../src/build/engines/pod.ts';
import type { BuildIsolation } from '../../../src/build/engines/pod-security.ts';
import { decodeReport, type Report } from '../../../src/build/pipeline/report.ts';
import { lockedImage, referenceOf } from '../../../src/commands/image-lock.ts';
import { VERSION } from '../../../src/commands/version.ts';
import type { Container, Pod } from '../../../src/kube/core.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { aBuild } from '../../harness/builds.ts';
import type { Mapping } from '../../harness/modules.ts';
import { PodRuntime } from '../../harness/pod-runtime.ts';
import { ProductImages } from '../../harness/product-images.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { runOrThrow } from '../../harness/run.ts';
import type { ContainerImage } from '../../harness/runtime-spec.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { toolchain } from '../../harness/toolchain.ts';

// Only root may start a runtime that gives a container ids of its own.
const isRoot = process.getuid?.() === 0;
/** The bases are made once on a machine: 150 MB of Debian packages. */
const COLD = 10 * 60_000;
/** 400 MB are copied. */
const SLOW = 4 * 60_000;

let images: ProductImages;
let registry: RegistryServer;
let base: string;
let kernel: string;

beforeAll(async () => {
  if (!isRoot) return;
  images = await ProductImages.make(AbortSignal.timeout(COLD));
  registry = await startRegistry();
  base = await pushBaseImage(registry.host);
  ({ kernel } = await buildFixtures());
}, COLD);

afterAll(async () => {
  await registry?.stop();
  await images?.[Symbol.asyncDispose]();
});

const local = (name: string): string => `localhost/${referenceOf(lockedImage(name))}`;

describe.skipIf(!isRoot)('the image of the operator', () => {
  /** What Pod Security calls restricted, and a root folder that cannot be written to. */
  const RESTRICTED = {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  };
  let image: ContainerImage;
  beforeAll(async () => {
    image = await images.unpacked(local('operator'));
  });

  async function kmm(...args: readonly string[]) {
    const container: Container = { name: 'manager', args, securityContext: RESTRICTED };
    const pod: Pod = { metadata: { name: 'operator' }, spec: { containers: [container] } };
    await using runtime = await PodRuntime.create(pod);
    return await runtime.run(container, image);
  }

  test('runs as a user without a name or a right, on a root folder that is read-only', async () => {
    expect(image.user).toBe('65532:65532');
    expect(await kmm('version')).toMatchObject({ code: 0, log: `kmm ${VERSION}\n` });
  });

  test('is the manager unless told otherwise, which knows its flags', async () => {
    expect(image.command).toEqual(['manager']);
    const { code, log } = await kmm('manager', '--help');
    expect(log).toContain('--builder-image');
    expect(code).toBe(0);
  });

  test('has no shell, no package manager and no program but Node', async () => {
    await expect(access(join(image.root, 'bin/sh'))).rejects.toThrow('ENOENT');
    const programs = await Promise.all(
      ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'usr/local/bin'].map((folder) =>
        readdir(join(image.root, folder)).catch(() => []),
      ),
    );
    expect(programs.flat()).toEqual(['node']);
  });

  test(
    'is pushed as it was written, under the name that images.lock has for it',
    async () => {
      const push = ['hack/images.ts', '--only=operator', `--push=${registry.host}/kmm`, '--insecure'];
      const { stdout } = await runOrThrow(process.execPath, push);
      const digest = /^kmm-operator .*(sha256:[0-9a-f]{64})$/m.exec(stdout)?.[1];
      const { repository, tag } = lockedImage('operator');
      const answer = await fetch(`http://${registry.host}/v2/kmm/${repository}/manifests/${tag}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      expect(answer.headers.get('docker-content-digest')).toBe(digest);
      expect(await answer.json()).toMatchObject({ annotations: { 'org.opencontainers.image.version': VERSION } });
    },
    SLOW,
  );

  test('says in its labels what it is and of which commit', async () => {
    const { stdout } = await runOrThrow('git', ['rev-parse', 'HEAD']);
    expect(await images.labels(local('operator'))).toMatchObject({
      'org.opencontainers.image.version': VERSION,
      'org.opencontainers.image.revision': expect.stringContaining(stdout.trim()),
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.created': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
  });
});

describe.skipIf(!isRoot)('the image of the builder, in the very pod that the operator makes', () => {
  test.each<[BuildIsolation['kind']]>([['capabilities'], ['user-namespace']])(
    'builds, signs and pushes an image of a module, with the rights of the isolation %s',
    async (kind) => {
      const name = local('builder');
      const image = kind === 'user-namespace' ? await images.shifted(name) : await images.unpacked(name);
      const keys = await makeSignKeys(`signer for ${kind}`);
      const pod = podOf(kind);
      await using runtime = await PodRuntime.create(pod, {
        registry: { '.dockerconfigjson': '{"auths":{}}' },
        key: { key: keys.key },
        cert: { cert: keys.certificate },
      });
      let report: Report | undefined;
      for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
        const { code, log, terminationMessage } = await runtime.run(container, image);
        expect(code, log).toBe(0);
        report = decodeReport(terminationMessage);
      }
      expect(report).toMatchObject({
        result: 'built',
        files: [{ path: `/opt/lib/modules/${kernel}/dummy.ko`, signer: `signer for ${kind}` }],
      });
      expect(await registry.tags(`built/${kind}`)).toContain('1');
      // Copying every layer whole works too, and takes a hundred times as long for a large base.
      expect(await readdir(runtime.volume('work'))).not.toContain('vfs');
    },
    SLOW,
  );

  test(
    'keeps layers of the base as they came: what one container has pulled, no step and no later container packs again',
    async () => {
      // What is packed here is gzip, so a layer that was packed again has another digest.
      const zstd = `${registry.host}/zstd:1`;
      const { layout } = await toolchain();
      const compress = ['--dest-tls-verify=false', '--dest-compress-format=zstd'];
      await runOrThrow('skopeo', ['copy', '--quiet', ...compress, `oci:${layout}:runtime`, `docker://${zstd}`]);
      const image = await images.unpacked(local('builder'));
      const build = { dockerfile: dockerfile(zstd), pull: { insecure: true }, push: { insecure: true } };
      const pod = podOf('capabilities', { containerImage: `${registry.host}/built/kept:1`, build });
      await using runtime = await PodRuntime.create(pod, { registry: { '.dockerconfigjson': '{"auths":{}}' } });
      for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
        const { code, log } = await runtime.run(container, image);
        expect(code, log).toBe(0);
      }
      const [layer] = await layersOf('zstd', '1');
      const [other] = await layersOf('base', '1');
      const tags = await registry.tags('built/kept');
      const first = await Promise.all(tags.map(async (tag) => (await layersOf('built/kept', tag))[0]));
      // The image, and in the layer cache steps of both stages.
      expect((await layersOf('built/kept', '1'))[0]).toBe(layer);
      expect(new Set(first)).toEqual(new Set([layer, other]));
    },
    SLOW,
  );

  async function layersOf(repository: string, tag: string): Promise<readonly string[]> {
    const url = `docker://${registry.host}/${repository}:${tag}`;
    const { stdout } = await runOrThrow('skopeo', ['inspect', '--tls-verify=false', '--no-tags', url]);
    const { Layers: layers }: { readonly Layers: readonly string[] } = JSON.parse(stdout);
    return layers;
  }

  function podOf(kind: BuildIsolation['kind'], mapping: Partial<Mapping> = signed(kind)): Pod {
    return buildPod(aBuild({ kernel, mapping: { literal: kernel, ...mapping } }), {
      builderImage: local('builder'),
      isolation: () => ({ kind }),
    });
  }

  const signed = (kind: BuildIsolation['kind']): Partial<Mapping> => ({
    containerImage: `${registry.host}/built/${kind}:1`,
    build: { dockerfile: dockerfile(), pull: { insecure: true }, push: { insecure: true } },
    sign: { keySecret: { name: 'key' }, certSecret: { name: 'cert' } },
  });

  const dockerfile = (runtime = 'scratch'): string =>
    [
      `FROM ${base} AS build`,
      'ARG KERNEL_FULL_VERSION',
      'RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/',
      `FROM ${runtime}`,
      'COPY --from=build /opt /opt',
    ].join('\n');
});
