import { describe, expect, it } from 'vitest';
import { aBuild, BUILDING, type BuildOf, KERNEL, resultOf } from '../../../test/harness/builds.ts';
import { aModule, type Mapping } from '../../../test/harness/modules.ts';
import { specOf, stored } from '../../../test/harness/plan-world.ts';
import { buildPod } from '../../build/engines/pod.ts';
import { imageBuild } from './image-build.ts';

const SIGN = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };

const withBuild = (build: NonNullable<Mapping['build']>): BuildOf => ({ mapping: { ...BUILDING, build } });

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

  it.each<[string, BuildOf]>([
    ['where it runs', withBuild({ dockerfile: 'FROM scratch\n', selector: { a: 'b' } })],
    ['what it tolerates', withBuild({ dockerfile: 'FROM scratch\n', tolerations: [{ operator: 'Exists' }] })],
    ['how long it may take', withBuild({ dockerfile: 'FROM scratch\n', timeout: '5m' })],
    ['its memory', withBuild({ dockerfile: 'FROM scratch\n', resources: { limits: { memory: '4Gi' } } })],
  ])('stays the same with %s, and its terms are others: what has failed is tried anew', (_what, other) => {
    expect(aBuild(other).terms).not.toBe(aBuild().terms);
    expect(aBuild(withBuild({ dockerfile: 'FROM other\n' })).terms).toBe(aBuild().terms);
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

describe('a request that is too large for the annotation of a pod', () => {
  const args = (count: number, value: string) =>
    Array.from({ length: count }, (_, index) => ({ name: `A${index}`, value }));

  it.each<[string, NonNullable<Mapping['build']>]>([
    ['build arguments', { dockerfile: 'FROM a\n', buildArgs: args(128, 'x'.repeat(4_096)) }],
    ['a Dockerfile of characters that JSON writes with two', { dockerfile: '"'.repeat(131_072) }],
    ['a Dockerfile of letters that take three bytes', { dockerfile: '漢'.repeat(131_072) }],
    ['control characters', { dockerfile: 'FROM a\n', buildArgs: args(11, '\u0001'.repeat(4_096)) }],
  ])('is refused in a sentence that names the fields, before a server does it: %s', (_what, build) => {
    expect(resultOf(withBuild(build))).toEqual({
      ok: false,
      problem: expect.stringMatching(/^build: dockerfile, buildArgs and .* come to \d+ KiB .* 240 KiB at most: put /),
    });
  });

  it('leaves a Dockerfile be that is as long as may be, and one that just fits', () => {
    expect(resultOf(withBuild({ dockerfile: 'x'.repeat(131_072) })).ok).toBe(true);
    const build = aBuild(withBuild({ dockerfile: '"'.repeat(122_500) }));
    const { annotations = {} } = buildPod(build, {
      builderImage: 'b',
      isolation: () => ({ kind: 'capabilities' }),
      registry: { hosts: { pullHost: 'a', pushHost: 'b' }, authority: () => 'x'.repeat(12_000) },
    }).metadata;
    const bytes = Object.entries(annotations).reduce((sum, entry) => sum + Buffer.byteLength(entry.join('')), 0);
    expect(bytes).toBeLessThanOrEqual(256 * 1_024);
  });
});

describe('DTK_AUTO', () => {
  const toolkit = { ok: true, image: 'quay.test/dtk:1' } as const;
  const missing = { ok: false, problem: 'no tag fits' } as const;
  const asking = { dockerfile: 'ARG DTK_AUTO\nFROM ${DTK_AUTO}\n' };
  const argument = (of: BuildOf) => aBuild(of).request.buildArgs['DTK_AUTO'];

  it('is given to a Dockerfile that asks for it, and to those that nobody reads here', () => {
    expect(argument({ ...withBuild(asking), driverToolkit: toolkit })).toBe('quay.test/dtk:1');
    expect(argument({ ...withBuild({ git: { url: 'https://git.test/k.git' } }), driverToolkit: toolkit })).toBe(
      'quay.test/dtk:1',
    );
    expect(argument({ ...withBuild({ dockerfileConfigMap: { name: 'c' } }), driverToolkit: toolkit })).toBe(
      'quay.test/dtk:1',
    );
    expect(argument({ driverToolkit: toolkit })).toBeUndefined();
    expect(argument(withBuild(asking))).toBeUndefined();
  });

  it('is the user’s own where there is one: the way out where no tag fits', () => {
    const mapping = withBuild({ ...asking, buildArgs: [{ name: 'DTK_AUTO', value: 'mine' }] });
    expect(argument({ ...mapping, driverToolkit: toolkit })).toBe('mine');
    expect(resultOf({ ...mapping, driverToolkit: missing })).not.toHaveProperty('obstacle');
  });

  it('holds a Dockerfile back that asks for it in vain, with a sentence that names the field', () => {
    expect(resultOf({ ...withBuild(asking), driverToolkit: missing })).toMatchObject({
      ok: true,
      obstacle: 'build.dockerfile asks for DTK_AUTO, and no tag fits',
    });
    const git = withBuild({ git: { url: 'https://git.test/k.git' } });
    expect(resultOf({ ...git, driverToolkit: missing })).not.toHaveProperty('obstacle');
  });

  it('changes no key: another ImageStream builds nothing anew', () => {
    const other = { ok: true, image: 'quay.test/dtk:2' } as const;
    const keys = [toolkit, other, missing].map((driverToolkit) => aBuild({ ...withBuild(asking), driverToolkit }).key);
    expect(new Set(keys).size).toBe(1);
  });
});
