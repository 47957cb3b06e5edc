import { describe, expect, it } from 'vitest';
import { aBuild, aReport, BUILDING } from '../../../test/harness/builds.ts';
import type { Mapping } from '../../../test/harness/modules.ts';
import type { Pod } from '../../kube/core.ts';
import { encodeReport } from '../pipeline/report.ts';
import { parseBuildRequest } from '../pipeline/request.ts';
import type { BuildRegistry } from './cluster-registry.ts';
import { buildPod, buildPods, REGISTRY_CA_ANNOTATION, REQUEST_ANNOTATION } from './pod.ts';

const HOSTS = { pullHost: '127.0.0.1:5780', pushHost: 'kmm-registry.kmm-system.svc' };
const AUTHORITY = '-----BEGIN CERTIFICATE-----\n';
const OURS: Mapping = { ...BUILDING, containerImage: '127.0.0.1:5780/default/kmod:1' };
const SIGN = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };

const registry: BuildRegistry = { hosts: HOSTS, audience: 'kmm-registry', authority: () => AUTHORITY };
const pods = buildPods(registry);

function podOf(mapping: Mapping, of: BuildRegistry = registry): Pod {
  return buildPod(aBuild({ mapping }), {
    builderImage: 'b',
    isolation: () => ({ kind: 'user-namespace' }),
    registry: of,
  });
}

/** Names of the containers that the token is mounted in. */
function withToken({ spec }: Pod): string[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  return containers
    .filter(({ volumeMounts }) => volumeMounts?.some(({ name }) => name === 'cluster-registry-token'))
    .map(({ name }) => name);
}

describe("a build whose image lives in the cluster's registry", () => {
  it('is told the name that pods can resolve, and its authority', () => {
    const { metadata } = podOf(OURS);
    expect(parseBuildRequest(metadata.annotations?.[REQUEST_ANNOTATION] ?? '')).toMatchObject({
      image: 'kmm-registry.kmm-system.svc/default/kmod:1',
      clusterRegistry: { pull: HOSTS.pullHost, push: HOSTS.pushHost },
    });
    expect(metadata.annotations?.[REGISTRY_CA_ANNOTATION]).toBe(AUTHORITY);
  });

  it('has a token for it and for nothing else', () => {
    const volume = podOf(OURS).spec?.volumes?.find(({ name }) => name === 'cluster-registry-token');
    expect(volume?.projected).toEqual({
      defaultMode: 0o400,
      sources: [{ serviceAccountToken: { path: 'token', audience: 'kmm-registry', expirationSeconds: 3600 } }],
    });
  });

  it.each<[string, Mapping, string[]]>([
    ['where it keeps layers and pushes', OURS, ['build', 'push']],
    ['only where it pushes, without a cache', { ...OURS, build: { dockerfile: 'FROM x', cache: false } }, ['push']],
    ['never where a Dockerfile could push what is to be signed', { ...OURS, sign: SIGN }, ['push']],
    [
      'where it fetches an image that is only signed: no Dockerfile runs there',
      {
        literal: BUILDING.literal,
        containerImage: OURS.containerImage,
        sign: { ...SIGN, unsignedImage: 'x.test/y:1' },
      },
      ['build', 'push'],
    ],
    ['nowhere, for an image of another registry', BUILDING, []],
  ])('has it %s', (_where, mapping, stages) => {
    expect(withToken(podOf(mapping))).toEqual(stages);
  });

  it.each<[string, Mapping, string[], string[]]>([
    ['beside the Dockerfile, where layers are kept', OURS, ['build', 'push'], ['build', 'push']],
    [
      'never where a Dockerfile could push what is to be signed, so a container of its own looks the image up',
      { ...OURS, sign: SIGN },
      ['check', 'build', 'sign', 'push'],
      ['check', 'push'],
    ],
    [
      'likewise without a cache',
      { ...OURS, build: { dockerfile: 'FROM x', cache: false } },
      ['check', 'build', 'push'],
      ['check', 'push'],
    ],
  ])('that lets nobody read without a token has it %s', (_where, mapping, stages, stagesWith) => {
    const pod = podOf(mapping, { hosts: HOSTS, authority: () => undefined });
    const { initContainers = [], containers = [] } = pod.spec ?? {};
    expect([...initContainers, ...containers].map(({ name, args }) => [name, args])).toEqual(
      stages.map((stage) => [stage, ['build-image', '--stage', stage]]),
    );
    expect(withToken(pod)).toEqual(stagesWith);
  });

  it('gives the container that looks the image up all that decides its key, and nothing of the build’s', () => {
    const git = { url: 'https://git.test/kmod.git', secret: { name: 'git' }, caConfigMap: { name: 'git-authority' } };
    const mapping = { ...OURS, build: { git, secrets: [{ name: 'licence' }] }, sign: SIGN };
    const pod = podOf(mapping, { hosts: HOSTS, authority: () => undefined });
    const mounts = (stage: string) =>
      pod.spec?.initContainers?.find(({ name }) => name === stage)?.volumeMounts?.map(({ name }) => name) ?? [];
    expect(mounts('check')).toEqual(expect.arrayContaining(['git-secret', 'git-ca', 'sign-cert', 'push-secret']));
    expect(mounts('check')).not.toEqual(expect.arrayContaining([expect.stringMatching(/^build-secret|^sign-key/)]));
  });

  it('signs an image that is there by the same name', () => {
    const unsignedImage = '127.0.0.1:5780/other/vendor:1';
    const { metadata } = podOf({
      literal: BUILDING.literal,
      containerImage: OURS.containerImage,
      sign: { ...SIGN, unsignedImage },
    });
    const { source } = parseBuildRequest(metadata.annotations?.[REQUEST_ANNOTATION] ?? '');
    expect(source).toEqual({ kind: 'image', reference: 'kmm-registry.kmm-system.svc/other/vendor:1' });
  });

  it('tells the name that nodes can pull', () => {
    const pod = podOf(OURS);
    const report = aReport({
      image: `${HOSTS.pushHost}/default/kmod@sha256:00`,
      reference: `${HOSTS.pushHost}/default/kmod:1`,
    });
    const state = { terminated: { exitCode: 0, message: encodeReport(report), finishedAt: '2026-03-01T12:00:00Z' } };
    const containerStatuses = [{ name: 'push', ready: false, restartCount: 0, state }];
    const { observation } = pods.read({ ...pod, status: { phase: 'Succeeded', containerStatuses } });
    expect(observation).toMatchObject({
      phase: 'Succeeded',
      report: { image: '127.0.0.1:5780/default/kmod@sha256:00', reference: '127.0.0.1:5780/default/kmod:1' },
    });
  });

  it('has the same key whatever the registry is called for builds, and whichever authority it has', () => {
    const { key, name } = aBuild({ mapping: OURS });
    expect(podOf(OURS).metadata.name).toBe(name);
    expect(pods.read(podOf(OURS)).key).toBe(key);
  });
});
