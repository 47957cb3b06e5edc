import { describe, expect, it } from 'vitest';
import { aBuild, BUILDING, type BuildOf, KERNEL } from '../../../test/harness/builds.ts';
import { aModule, type Mapping } from '../../../test/harness/modules.ts';
import { specOf, stored } from '../../../test/harness/plan-world.ts';
import { imageBuild } from './image-build.ts';

const SIGN = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };

describe('what is built for a kernel', () => {
  it('is asked for with the real kernel, the variables, and the names of what only the build may read', () => {
    const build = aBuild({
      mapping: {
        regexp: '^6',
        containerImage: 'registry.test/kmod:1',
        build: {
          git: { url: 'https://git.test/kmod.git', ref: 'v1', secret: { name: 'git' }, caConfigMap: { name: 'ca' } },
          buildArgs: [{ name: 'FLAVOUR', value: 'debug' }],
          secrets: [{ name: 'licence' }],
          push: { insecure: true, secret: { name: 'pusher' } },
          timeout: '1h30m',
          selector: { 'builds.test': 'yes' },
          cache: false,
        },
        sign: { ...SIGN, filesToSign: ['/opt/lib/modules/${KERNEL_FULL_VERSION}/*.ko'] },
      },
      kernel: '6.1.0+',
      arch: 'arm64',
    });
    expect(build.request).toMatchObject({
      kernel: '6.1.0+',
      arch: 'arm64',
      source: { kind: 'git', url: 'https://git.test/kmod.git', ref: 'v1' },
      buildArgs: { KERNEL_FULL_VERSION: '6.1.0+', ARCH: 'arm64', FLAVOUR: 'debug' },
      secrets: ['licence'],
      pull: { insecure: false, insecureSkipTLSVerify: false },
      push: { insecure: true, insecureSkipTLSVerify: false },
      sign: { filesToSign: ['/opt/lib/modules/6.1.0+/*.ko'] },
      cache: false,
    });
    expect(build.inputs).toEqual({
      gitSecret: 'git',
      gitCAConfigMap: 'ca',
      pullSecret: 'registry',
      pushSecret: 'pusher',
      buildSecrets: ['licence'],
      signKeySecret: 'key',
      signCertSecret: 'cert',
    });
    expect(build.placement.nodeSelector).toEqual({
      'builds.test': 'yes',
      'kubernetes.io/arch': 'arm64',
      'kubernetes.io/os': 'linux',
    });
    expect(build.timeoutSeconds).toBe(5_400);
  });

  it('is signed only, from the unsigned image of the mapping, where nothing is built', () => {
    const mapping: Mapping = {
      literal: KERNEL,
      containerImage: 'registry.test/kmod:signed',
      sign: { ...SIGN, unsignedImage: 'registry.test/kmod:${KERNEL_XYZ}' },
    };
    expect(aBuild({ mapping }).request.source).toEqual({ kind: 'image', reference: 'registry.test/kmod:6.1.0' });
  });

  it('is pulled and pushed as sign says, where nothing is built', () => {
    const build = aBuild({
      mapping: {
        literal: KERNEL,
        containerImage: 'registry.test/kmod:signed',
        sign: {
          ...SIGN,
          unsignedImage: 'vendor.test/kmod:1',
          pull: { insecureSkipTLSVerify: true, secret: { name: 'puller' } },
          push: { insecure: true },
        },
      },
    });
    expect(build.request).toMatchObject({
      pull: { insecure: false, insecureSkipTLSVerify: true },
      push: { insecure: true, insecureSkipTLSVerify: false },
    });
    expect(build.inputs).toMatchObject({ pullSecret: 'puller', pushSecret: 'registry' });
  });

  it.each<[string, Mapping, string]>([
    [
      'no unsigned image',
      { literal: KERNEL, containerImage: 'registry.test/kmod:1', sign: SIGN },
      'sign.unsignedImage: write the image to sign, or say in build how to make one',
    ],
    [
      'an unsigned image that is no reference',
      { literal: KERNEL, containerImage: 'registry.test/kmod:1', sign: { ...SIGN, unsignedImage: 'Registry/X Y' } },
      'sign.unsignedImage: an image reference has no white space, and "Registry/X Y" has',
    ],
    [
      'an unknown variable in a glob',
      {
        literal: KERNEL,
        containerImage: 'registry.test/kmod:1',
        sign: { ...SIGN, unsignedImage: 'registry.test/x:1', filesToSign: ['/opt/${NONSENSE}/*.ko'] },
      },
      'sign.filesToSign[0]: unknown variable ${NONSENSE}',
    ],
  ])('cannot be said of a mapping with %s', (_what, mapping, problem) => {
    const module = stored(aModule('kmod').withMapping(mapping));
    const subject = { module, spec: specOf(module), mapping, kernel: KERNEL, arch: 'amd64', image: 'x', shared: false };
    const result = imageBuild(subject);
    expect(result.ok ? 'ok' : result.problem).toContain(problem);
  });
});

describe('the key of a build', () => {
  const key = (build: BuildOf): string => aBuild(build).key;
  const withBuild = (build: NonNullable<Mapping['build']>): BuildOf => ({ mapping: { ...BUILDING, build } });

  it('is the same for the same request, and names its pod', () => {
    expect(aBuild()).toEqual(aBuild());
    expect(aBuild().name).toContain(key({}).slice(0, 10));
  });

  it.each<[string, BuildOf]>([
    ['another Dockerfile', withBuild({ dockerfile: 'FROM other\n' })],
    ['another argument', withBuild({ dockerfile: 'FROM scratch\n', buildArgs: [{ name: 'A', value: '1' }] })],
    ['another kernel', { kernel: '6.1.0-56-cloud-amd64' }],
    ['another architecture', { arch: 'arm64' }],
    ['another Module', { module: 'other' }],
    ['another image', { mapping: { ...BUILDING, containerImage: 'registry.test/kmod:2' } }],
    ['an edited ConfigMap', { dockerfileVersion: { uid: 'u', resourceVersion: '2' } }],
    ['another push credential', withBuild({ dockerfile: 'FROM scratch\n', push: { secret: { name: 'other' } } })],
  ])('is another one for %s', (_what, other) => {
    expect(key(other)).not.toBe(key({}));
  });

  it.each<[string, BuildOf]>([
    ['where it runs', withBuild({ dockerfile: 'FROM scratch\n', selector: { a: 'b' } })],
    ['how long it may take', withBuild({ dockerfile: 'FROM scratch\n', timeout: '5m' })],
    ['whether layers are kept', withBuild({ dockerfile: 'FROM scratch\n', cache: false })],
  ])('does not change with %s: the image would be the same', (_what, other) => {
    expect(key(other)).toBe(key({}));
  });

  it('changes with the trigger, and with nothing else of the Module', () => {
    const keyOf = (spec: object): string => {
      const module = stored(aModule('kmod').withMapping(BUILDING).withSpec(spec));
      const result = imageBuild({
        module,
        spec: specOf(module),
        mapping: BUILDING,
        kernel: KERNEL,
        arch: 'amd64',
        image: 'registry.test/kmod:1',
        shared: false,
      });
      return result.ok ? result.build.key : '';
    };
    expect(keyOf({ imageRebuildTriggerGeneration: 2 })).not.toBe(keyOf({ imageRebuildTriggerGeneration: 1 }));
    expect(keyOf({ selector: { other: 'nodes' } })).toBe(keyOf({}));
  });
});
