import { describe, expect, it } from 'vitest';
import { aBuild, aReport, BUILDING } from '../../../test/harness/builds.ts';
import type { Mapping } from '../../../test/harness/modules.ts';
import { buildOf, created } from '../../../test/harness/openshift-builds.ts';
import { PODS, type Pod } from '../../kube/core.ts';
import type { KubeObject } from '../../kube/objects.ts';
import type { Resource } from '../../kube/resources.ts';
import { encodeReport } from '../pipeline/report.ts';
import type { BuildPart, BuildRecord, ImageBuild } from './engine.ts';
import { openshiftEngine } from './openshift.ts';
import { buildConfig, INTEGRATED_REGISTRY } from './openshift-build-config.ts';
import { BUILD_CONFIGS, BUILDS, type Build } from './openshift-objects.ts';
import { buildPod, type PodEngineOptions } from './pod.ts';

const OPTIONS: PodEngineOptions = { builderImage: 'builder.test/kmm:1', isolation: () => ({ kind: 'capabilities' }) };
const ENGINE = openshiftEngine(OPTIONS);
const DIGEST = `sha256:${'b'.repeat(64)}`;
const AT = '2026-03-01T12:05:00Z';
const SIGN = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };

const building = (mapping: Partial<Mapping> = {}): ImageBuild => aBuild({ mapping: { ...BUILDING, ...mapping } });
const signed = building({ sign: SIGN });

/** What the engine keeps of an object. */
function part<T extends KubeObject>(resource: Resource<T>, object: T): BuildPart {
  const kind = ENGINE.kinds.find((each) => each.resource === resource);
  if (kind === undefined) throw new Error(`the engine does not watch ${resource.kind}`);
  return kind.read(object);
}

/** What there is of a build once its BuildConfig is there, and its Build has this status. */
function found(build: ImageBuild, status?: Build['status'], pod?: Pod): BuildPart[] {
  const config = created(buildConfig(build), 'config');
  const parts = [part(BUILD_CONFIGS, config)];
  if (status !== undefined) {
    const made = created(buildOf(config), 'build');
    parts.push(part(BUILDS, { ...made, status: { ...made.status, ...status } }));
  }
  if (pod !== undefined) parts.push(part(PODS, pod));
  return parts;
}

function observed(parts: readonly BuildPart[]): BuildRecord {
  const [record, ...more] = ENGINE.observe(parts);
  if (record === undefined || more.length > 0) throw new Error(`these are ${more.length + 1} builds`);
  return record;
}

const COMPLETE = {
  phase: 'Complete',
  completionTimestamp: AT,
  output: { to: { imageDigest: DIGEST } },
  stages: [
    { name: 'FetchInputs', durationMilliseconds: 500 },
    { name: 'PullImages', durationMilliseconds: 3_000 },
    { name: 'Build', durationMilliseconds: 20_000 },
    { name: 'PushImage', durationMilliseconds: 2_000 },
  ],
};

describe('the BuildConfig of an image', () => {
  it('says all that a build pod is told: Dockerfile, arguments, Secrets, node, time, and where to push', () => {
    const build = building({
      build: {
        dockerfile: 'FROM scratch\n',
        buildArgs: [{ name: 'FLAVOUR', value: 'x' }],
        secrets: [{ name: 'licence' }],
        selector: { pool: 'build' },
        resources: { limits: { memory: '2Gi' } },
        timeout: '10m',
      },
    });
    const { metadata, spec } = buildConfig(build);
    expect(metadata).toMatchObject({ name: build.name, ownerReferences: [{ kind: 'Module', name: 'kmod' }] });
    expect(spec).toMatchObject({
      triggers: [{ type: 'ConfigChange' }],
      source: { type: 'Dockerfile', dockerfile: 'FROM scratch\n' },
      output: { to: { kind: 'DockerImage', name: 'registry.test/kmod:1' }, pushSecret: { name: 'registry' } },
      resources: { limits: { memory: '2Gi' } },
      completionDeadlineSeconds: 600,
      nodeSelector: { pool: 'build', 'kubernetes.io/arch': 'amd64' },
    });
    expect(spec.strategy.dockerStrategy).toMatchObject({
      pullSecret: { name: 'registry' },
      volumes: [
        { source: { secret: { secretName: 'licence' } }, mounts: [{ destinationPath: '/run/secrets/licence' }] },
      ],
      buildArgs: expect.arrayContaining([
        { name: 'FLAVOUR', value: 'x' },
        { name: 'KERNEL_FULL_VERSION', value: build.request.kernel },
      ]),
    });
  });

  it('takes a Git source with ref, folder, Dockerfile and credentials', () => {
    const git = { url: 'https://git.test/kmod.git', ref: 'v1', contextDir: 'src', dockerfile: 'Containerfile' };
    const { spec } = buildConfig(building({ build: { git: { ...git, secret: { name: 'git' } } } }));
    expect(spec.source).toEqual({
      type: 'Git',
      git: { uri: git.url, ref: 'v1' },
      contextDir: 'src',
      sourceSecret: { name: 'git' },
    });
    expect(spec.strategy.dockerStrategy.dockerfilePath).toBe('Containerfile');
  });

  it('sends no credentials of another registry to that of the cluster', () => {
    const image = `${INTEGRATED_REGISTRY}/ns/kmod:1`;
    expect(buildConfig(building({ containerImage: image })).spec.output).toMatchObject({ to: { name: image } });
    expect(buildConfig(building({ containerImage: image })).spec.output).not.toHaveProperty('pushSecret');
  });

  it('pushes to a tag of the kernel alone where kernels share the reference', () => {
    const build = building();
    const { output } = buildConfig({ ...build, request: { ...build.request, shared: true } }).spec;
    expect(output.to.name).toMatch(/^registry\.test\/kmod:1-6\.1\.0-50-cloud-amd64-amd64-[0-9a-f]{8}$/);
    const label = output.imageLabels?.find(({ name }) => name === 'kmm.sigs.x-k8s.io/build-key');
    expect(label?.value.slice(0, 8)).toBe(output.to.name.slice(-8));
  });

  it('that is to be signed never has the name, nor the label, of a finished image (I8)', () => {
    const { output } = buildConfig(signed).spec;
    expect(output.to.name).toMatch(/^registry\.test\/kmod:1-6\.1\.0-50-cloud-amd64-amd64-[0-9a-f]{8}-unsigned$/);
    expect(output).not.toHaveProperty('imageLabels');
  });

  it('has another name for another try, so that it never wants the name of a Build that is still there', () => {
    expect(buildConfig({ ...signed, attempt: 3 }).metadata.name).toBe(`${signed.name}-3`);
  });

  it.each<[string, Partial<Mapping>]>([
    ['a Dockerfile of a ConfigMap', { build: { dockerfileConfigMap: { name: 'recipe' } } }],
    [
      'an image that is only signed',
      { build: undefined, sign: { ...SIGN, unsignedImage: 'registry.test/unsigned:1' } },
    ],
    [
      'an authority of the Git server',
      { build: { git: { url: 'https://git.test/k.git', caConfigMap: { name: 'ca' } } } },
    ],
    ['a registry on plain HTTP', { build: { dockerfile: 'FROM a\n', push: { insecure: true } } }],
    [
      'a RUN with a secret by its id',
      { build: { dockerfile: 'FROM a\nRUN --mount=type=secret,id=x cat /run/secrets/x\n' } },
    ],
  ])('cannot say it all of %s: a pod builds that', (_what, mapping) => {
    const build = building(mapping);
    expect(ENGINE.desired(build, [])).toEqual([{ resource: PODS, object: buildPod(build, OPTIONS) }]);
    const pod = part(PODS, buildPod(build, OPTIONS));
    expect(ENGINE.desired(build, [pod])).toEqual([]);
    expect(observed([pod])).toMatchObject({ key: build.key, pod: build.name });
  });
});

describe('the registries of a cluster', () => {
  const registryOf = (host: string, audience?: string): PodEngineOptions => ({
    ...OPTIONS,
    registry: {
      hosts: { pullHost: host, pushHost: host },
      authority: () => undefined,
      ...(audience === undefined ? {} : { audience }),
    },
  });

  it('are pushed to by a BuildConfig where OpenShift has the credentials, and by a pod where a token of ours is wanted', () => {
    const kindsOf = (options: PodEngineOptions, host: string) =>
      openshiftEngine(options)
        .desired(building({ containerImage: `${host}/ns/kmod:1` }), [])
        .map(({ resource }) => resource.kind);
    expect(kindsOf(registryOf(INTEGRATED_REGISTRY), INTEGRATED_REGISTRY)).toEqual(['BuildConfig']);
    expect(kindsOf(registryOf('127.0.0.1:5780', 'kmm-registry'), '127.0.0.1:5780')).toEqual(['Pod']);
    expect(kindsOf(registryOf('127.0.0.1:5780', 'kmm-registry'), 'quay.test')).toEqual(['BuildConfig']);
  });

  it('let the pod that signs fetch what was built with its own token, and give it to nobody else', () => {
    const build = building({ containerImage: `${INTEGRATED_REGISTRY}/ns/kmod:1`, sign: SIGN });
    const [made] = openshiftEngine(registryOf(INTEGRATED_REGISTRY)).desired(build, found(build, COMPLETE));
    const pod: Pod | undefined = made?.object;
    const withToken = [...(pod?.spec?.initContainers ?? []), ...(pod?.spec?.containers ?? [])].filter(
      ({ volumeMounts }) => volumeMounts?.some(({ name }) => name === 'cluster-registry-token'),
    );
    expect(withToken.map(({ name }) => name)).toEqual(['build', 'push']);
  });
});

describe('a build by OpenShift', () => {
  const build = building();

  it('begins with its BuildConfig, and needs nothing more of ours where nothing is signed', () => {
    expect(ENGINE.desired(build, [])).toEqual([{ resource: BUILD_CONFIGS, object: buildConfig(build) }]);
    for (const status of [undefined, { phase: 'New' }, { phase: 'Running' }, COMPLETE]) {
      expect(ENGINE.desired(build, found(build, status))).toEqual([]);
    }
  });

  it('is seen in the phases of its Build, and called after the pod that OpenShift builds in', () => {
    expect(observed(found(build))).toMatchObject({
      key: build.key,
      attempt: 1,
      pod: `${build.name}-1-build`,
      observation: { phase: 'Starting', message: expect.stringContaining('waits for OpenShift') },
    });
    const pending = {
      phase: 'Pending',
      reason: 'MissingPushSecret',
      message: 'The referenced push secret is missing.',
    };
    expect(observed(found(build, pending)).observation).toMatchObject({
      phase: 'Starting',
      message: `Build ${build.name}-1 is Pending: MissingPushSecret: The referenced push secret is missing.`,
    });
    expect(observed(found(build, { phase: 'Running', startTimestamp: AT })).observation).toEqual({
      phase: 'Building',
      since: AT,
    });
  });

  it('gives the image by its digest', () => {
    expect(observed(found(build, COMPLETE)).observation).toEqual({
      phase: 'Succeeded',
      at: AT,
      report: {
        result: 'built',
        image: `registry.test/kmod@${DIGEST}`,
        reference: 'registry.test/kmod:1',
        durations: { source: 500, build: 23_000, push: 2_000 },
      },
    });
  });

  it('has failed where nobody tells the digest: a tag is not what loaders run', () => {
    expect(observed(found(build, { ...COMPLETE, output: {} })).observation).toMatchObject({
      phase: 'Failed',
      blame: 'infrastructure',
      message: expect.stringContaining('digest'),
    });
  });

  it('is another build than the one whose Build is still being cleaned away', () => {
    const [config] = found(build);
    const stranger = created(buildOf(created(buildConfig(build), 'another')), 'old');
    if (config === undefined) throw new Error('there is no BuildConfig');
    expect(observed([config, part(BUILDS, { ...stranger, status: COMPLETE })]).observation.phase).toBe('Starting');
  });

  it('is not seen in a Build that is nobody’s, nor in the pod of one', () => {
    const orphan = created(buildOf(created(buildConfig(build), 'gone')), 'orphan');
    const itsPod: Pod = { metadata: { name: `${build.name}-1-build`, labels: build.labels } };
    expect(ENGINE.observe([part(BUILDS, orphan), part(PODS, itsPod)])).toEqual([]);
  });
});

describe('an image that is to be signed', () => {
  /** As the engine makes it of the build's image. */
  function signingPod(build: ImageBuild = signed): Pod {
    const [made] = ENGINE.desired(build, found(build, COMPLETE));
    if (made?.resource !== PODS) throw new Error('no pod is due');
    return made.object;
  }

  it('gets a pod that signs it, as soon as the Build is complete and whoever looks then', () => {
    expect(ENGINE.desired(signed, found(signed, { phase: 'Running' }))).toEqual([]);
    expect(observed(found(signed, COMPLETE)).observation).toMatchObject({ phase: 'Starting', since: AT });
    const pod = signingPod();
    const request: unknown = JSON.parse(pod.metadata.annotations?.['kmm.node.kubernetes.io/build-request'] ?? '');
    expect(request).toMatchObject({
      image: 'registry.test/kmod:1',
      source: { kind: 'image', reference: `registry.test/kmod@${DIGEST}` },
      sign: {},
    });
    expect(JSON.stringify(pod.spec?.volumes)).toContain('"secretName":"key"');
    expect(ENGINE.desired(signed, found(signed, COMPLETE, pod))).toEqual([]);
  });

  it('gets none while nobody has told the digest of what is to be signed', () => {
    const parts = found(signed, { ...COMPLETE, output: {} });
    expect(ENGINE.desired(signed, parts)).toEqual([]);
    expect(observed(parts).observation.phase).toBe('Failed');
  });

  it('is Signing while the pod fetches it and signs, and done with the image that the pod pushed', () => {
    const pod = signingPod();
    const running = (name: string) => ({ name, ready: true, restartCount: 0, state: { running: { startedAt: AT } } });
    const at = (status: Pod['status']) => observed(found(signed, COMPLETE, { ...pod, status }));
    const fetching = at({ phase: 'Pending', initContainerStatuses: [running('build')] });
    expect(fetching).toMatchObject({ pod: signed.name, observation: { phase: 'Signing' } });
    expect(at({ phase: 'Pending', initContainerStatuses: [running('sign')] }).observation.phase).toBe('Signing');
    const message = encodeReport(aReport({ durations: { sign: 100, push: 5 } }));
    const ended = { name: 'push', ready: false, restartCount: 0, state: { terminated: { exitCode: 0, message } } };
    expect(at({ phase: 'Succeeded', containerStatuses: [ended] }).observation).toMatchObject({
      phase: 'Succeeded',
      report: { image: aReport().image, durations: { source: 500, build: 23_000, sign: 100, push: 5 } },
    });
  });

  it('is not lost when somebody deletes the BuildConfig under a pod that signs', () => {
    const pod = part(PODS, signingPod());
    expect(observed([pod])).toMatchObject({ key: signed.key, attempt: 1 });
    expect(ENGINE.desired(signed, [pod])).toEqual([]);
  });

  it('waits for the pod of the try before to go, and does not take it for its own', () => {
    const second = { ...signed, attempt: 2 };
    const parts = [
      ...found(second, COMPLETE),
      part(PODS, { ...signingPod(), metadata: { ...signingPod().metadata, uid: 'old' } }),
    ];
    const [record, old] = ENGINE.observe(parts);
    expect(record).toMatchObject({ attempt: 2, observation: { phase: 'Starting' } });
    expect(old).toMatchObject({ attempt: 1 });
    expect(ENGINE.desired(second, record?.parts ?? [])).toHaveLength(1);
  });
});
