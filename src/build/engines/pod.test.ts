import { describe, expect, it } from 'vitest';
import { aBuild, BUILDING } from '../../../test/harness/builds.ts';
import type { Mapping } from '../../../test/harness/modules.ts';
import { PODS, type Pod } from '../../kube/core.ts';
import { buildFiles } from '../pipeline/files.ts';
import { buildPod, buildPods, podEngine } from './pod.ts';
import type { BuildIsolation } from './pod-security.ts';

const SIGNED: Mapping = {
  ...BUILDING,
  build: {
    git: { url: 'https://git.test/kmod.git', secret: { name: 'git' }, caConfigMap: { name: 'git-authority' } },
    secrets: [{ name: 'licence' }],
  },
  sign: { keySecret: { name: 'signing-key' }, certSecret: { name: 'signing-cert' } },
};

function podOf(mapping = SIGNED, isolation: BuildIsolation = { kind: 'user-namespace' }): Pod {
  return buildPod(aBuild({ mapping }), { builderImage: 'builder.test/kmm:1', isolation: () => isolation });
}

const containersOf = ({ spec }: Pod) => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];

/** Where a container finds the object of this name. */
function mountsOf(pod: Pod, container: string): readonly (string | undefined)[] {
  const volumes = new Map(pod.spec?.volumes?.map((volume) => [volume.name, volume]));
  return (containersOf(pod).find(({ name }) => name === container)?.volumeMounts ?? []).map(({ name, mountPath }) => {
    const volume = volumes.get(name);
    return `${JSON.stringify(volume?.['secret'] ?? volume?.['configMap'] ?? name).replaceAll(/[{}"]/g, '')} ${mountPath}`;
  });
}

describe('the pod of a build', () => {
  it('runs its stages one after the other, and signing only where it is asked for', () => {
    expect(containersOf(podOf()).map(({ name, args }) => [name, args])).toEqual([
      ['build', ['build-image', '--stage', 'build']],
      ['sign', ['build-image', '--stage', 'sign']],
      ['push', ['build-image', '--stage', 'push']],
    ]);
    expect(containersOf(podOf(BUILDING)).map(({ name }) => name)).toEqual(['build', 'push']);
  });

  it('goes to another node than the builds beside it, where one is to be had', () => {
    const { metadata, spec } = podOf();
    expect(spec?.topologySpreadConstraints).toEqual([
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { 'kmm.node.kubernetes.io/role': 'image-build' } },
      },
    ]);
    expect(metadata.labels).toMatchObject({ 'kmm.node.kubernetes.io/role': 'image-build' });
  });

  it('shows the key that signs to the stage that signs, and to no other: the code of a Dockerfile runs in the first', () => {
    const pod = podOf();
    const withKey = containersOf(pod).filter(({ name }) =>
      mountsOf(pod, name).some((mount) => mount?.includes('signing-key')),
    );
    expect(withKey.map(({ name }) => name)).toEqual(['sign']);
    expect(mountsOf(pod, 'sign')).not.toContainEqual(expect.stringContaining('licence'));
    expect(mountsOf(pod, 'push')).not.toContainEqual(expect.stringContaining('secretName:git,'));
  });

  it('shows no stage but that one the key, also where key and certificate lie in one Secret', () => {
    const both = { name: 'signing' };
    const pod = podOf({ ...SIGNED, sign: { keySecret: both, certSecret: both } });
    const mountsOfBoth = containersOf(pod).map(({ name }) => [
      name,
      mountsOf(pod, name).filter((mount) => mount?.includes('secretName:signing,')),
    ]);
    const certificate = 'secretName:signing,items:[key:cert,path:cert],defaultMode:256 /run/kmm/sign-cert';
    expect(mountsOfBoth).toEqual([
      ['build', [certificate]],
      ['sign', ['secretName:signing,defaultMode:256 /run/kmm/sign-key', certificate]],
      ['push', [certificate]],
    ]);
    expect(buildFiles().signCert).toBe('/run/kmm/sign-cert/cert');
  });

  it('finds every input where the pipeline looks for it', () => {
    const files = buildFiles();
    expect(mountsOf(podOf(), 'build')).toEqual(
      expect.arrayContaining([
        `secretName:git,defaultMode:256 ${files.gitSecret}`,
        `name:git-authority ${files.gitCA}`,
        `secretName:registry,defaultMode:256 ${files.pullSecret}`,
        `secretName:registry,defaultMode:256 ${files.pushSecret}`,
        `secretName:licence,defaultMode:256 ${files.buildSecrets}/licence`,
        'request /run/kmm/request',
      ]),
    );
    expect(mountsOf(podOf(), 'sign')).toContain('secretName:signing-key,defaultMode:256 /run/kmm/sign-key');
    expect(files.signKey).toBe('/run/kmm/sign-key/key');
  });

  it('tells what is to be done in an annotation and nothing of it on a command line', () => {
    const pod = podOf();
    const build = aBuild({ mapping: SIGNED });
    expect(JSON.parse(pod.metadata.annotations?.['kmm.node.kubernetes.io/build-request'] ?? '')).toEqual(build.request);
    expect(JSON.stringify(containersOf(pod))).not.toContain('git.test');
    expect(containersOf(pod).flatMap(({ env }) => env ?? [])).toEqual([]);
  });

  it.each<[string, BuildIsolation]>([
    ['in a user namespace', { kind: 'user-namespace' }],
    ['with capabilities', { kind: 'capabilities' }],
    ['with a seccomp profile', { kind: 'capabilities', localhostSeccompProfile: 'kmm/build.json' }],
  ])(
    '%s is never privileged, has no token, a read-only root and no capability that is not named',
    (_how, isolation) => {
      const pod = podOf(SIGNED, isolation);
      expect(pod.spec?.automountServiceAccountToken).toBe(false);
      for (const { securityContext } of containersOf(pod)) {
        expect(securityContext).toMatchObject({
          privileged: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
      }
    },
  );

  it('without a user namespace has three capabilities and cannot gain more', () => {
    const [container] = containersOf(podOf(SIGNED, { kind: 'capabilities' }));
    expect(podOf(SIGNED, { kind: 'capabilities' }).spec).not.toHaveProperty('hostUsers');
    expect(container?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      capabilities: { add: ['SETFCAP', 'SETGID', 'SETUID'] },
      seccompProfile: { type: 'Unconfined' },
    });
    const [confined] = containersOf(podOf(SIGNED, { kind: 'capabilities', localhostSeccompProfile: 'kmm/build.json' }));
    expect(confined?.securityContext).toMatchObject({
      seccompProfile: { type: 'Localhost', localhostProfile: 'kmm/build.json' },
    });
  });

  it('in a user namespace keeps the default seccomp filter, and its SYS_ADMIN is none of the host', () => {
    const pod = podOf();
    expect(pod.spec?.hostUsers).toBe(false);
    expect(containersOf(pod)[0]?.securityContext).toMatchObject({ seccompProfile: { type: 'RuntimeDefault' } });
  });

  it('can be read back', () => {
    const options = { builderImage: 'b', isolation: (): BuildIsolation => ({ kind: 'user-namespace' }) };
    const engine = podEngine(options);
    const build = { ...aBuild(), attempt: 3 };
    const found = [buildPods(undefined).read(buildPod(build, options))];
    expect(engine.desired(build, [])).toEqual([{ resource: PODS, object: buildPod(build, options) }]);
    expect(engine.desired(build, found)).toEqual([]);
    const [record] = engine.observe(found);
    expect(record).toMatchObject({
      key: build.key,
      attempt: 3,
      pod: build.name,
      moduleLabel: 'kmod',
      observation: { phase: 'Starting' },
    });
  });
});
