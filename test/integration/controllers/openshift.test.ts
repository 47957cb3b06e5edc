import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IMAGE_STREAMS } from '../../../src/build/engines/openshift-objects.ts';
import { CONFIG_MAPS, NODES } from '../../../src/kube/core.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { applyBuilding, buildStatus, untilBuild } from '../../harness/building-modules.ts';
import { aReport } from '../../harness/builds.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import type { Mapping } from '../../harness/modules.ts';
import { installOnOpenShift, OpenShiftBuilds } from '../../harness/openshift.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_USER } from '../../harness/operator.ts';
import { unusedRights } from '../../harness/rights.ts';
import { supportBundle, unpack } from '../../harness/support-bundle.ts';

const KERNEL = '5.14.0-427.50.1.el9_4.x86_64';
const DIGEST = `sha256:${'d'.repeat(64)}`;
const DTK_DOCKERFILE = 'ARG DTK_AUTO\nFROM ${DTK_AUTO}\nRUN make\n';

const kmm = useOperatedCluster('openshift', {
  // Without a Lease: nothing here is about who leads, and each restart would wait for it to run out.
  flags: ['--build-retry-backoff=1s', '--build-attempts=2', '--leader-elect=false', '--max-concurrent-builds=20'],
  install: installOnOpenShift,
});

let openshift: OpenShiftBuilds;
beforeAll(() => {
  openshift = new OpenShiftBuilds(kmm.cluster);
  openshift.start();
});
afterAll(() => openshift.stop());

const pods = (): BuildPods => new BuildPods(kmm.cluster.admin);

const building = (name: string, mapping: Partial<Mapping> = {}): Promise<ModuleRef> =>
  applyBuilding(kmm, { name, kernel: KERNEL, mapping, pullSecret: 'registry' });

async function bundleOf(name: string, ...flags: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const path = join(kmm.controlPlane.directory, `${name}.tar.gz`);
  expect(await supportBundle(kmm.controlPlane, [`--output=${path}`, ...flags])).toMatchObject({ code: 0 });
  return unpack(path);
}

async function untilNoBuildConfig(ref: ModuleRef): Promise<void> {
  await eventually(async () => expect(await openshift.configs(ref.namespace)).toEqual([]), {
    what: 'the BuildConfig to go',
  });
}

it('on OpenShift the operator has OpenShift build, and says why', async () => {
  const line = (await kmm.operator.log()).find(({ msg }) => msg === 'build engine chosen');
  expect(line).toMatchObject({ engine: 'openshift', because: 'the API server serves build.openshift.io/v1' });
});

describe('a kernel whose image OpenShift builds', () => {
  it('gets a BuildConfig whose every field OpenShift knows, and is loaded by the digest that the Build tells', async () => {
    const ref = await building('plain', {
      build: {
        dockerfile: 'FROM scratch\n',
        buildArgs: [{ name: 'FLAVOUR', value: 'x' }],
        secrets: [{ name: 'licence' }],
        resources: { limits: { memory: '2Gi' } },
        cache: false,
      },
    });
    const build = await openshift.next(ref.namespace);
    const [config] = await openshift.configs(ref.namespace);
    expect.assert(config !== undefined);
    // The whole of it: a field that OpenShift does not have would be missing.
    expect(config.spec).toEqual({
      triggers: [{ type: 'ConfigChange' }],
      runPolicy: 'Serial',
      successfulBuildsHistoryLimit: 1,
      failedBuildsHistoryLimit: 1,
      source: { type: 'Dockerfile', dockerfile: 'FROM scratch\n' },
      strategy: {
        type: 'Docker',
        dockerStrategy: {
          buildArgs: [
            { name: 'KERNEL_FULL_VERSION', value: KERNEL },
            { name: 'KERNEL_VERSION', value: KERNEL },
            { name: 'MOD_NAME', value: ref.name },
            { name: 'MOD_NAMESPACE', value: ref.namespace },
            { name: 'ARCH', value: 'amd64' },
            { name: 'FLAVOUR', value: 'x' },
          ],
          pullSecret: { name: 'registry' },
          noCache: true,
          volumes: [
            {
              name: 'secret-0',
              source: { type: 'Secret', secret: { secretName: 'licence', optional: false } },
              mounts: [{ destinationPath: '/run/secrets/licence' }],
            },
          ],
        },
      },
      output: {
        to: { kind: 'DockerImage', name: 'registry.test/kmod:1' },
        pushSecret: { name: 'registry' },
        imageLabels: [
          { name: 'kmm.sigs.x-k8s.io/build-key', value: expect.stringMatching(/^[0-9a-f]{64}$/) },
          { name: 'kmm.sigs.x-k8s.io/kernel', value: KERNEL },
          { name: 'kmm.sigs.x-k8s.io/arch', value: 'amd64' },
        ],
      },
      resources: { limits: { memory: '2Gi' } },
      completionDeadlineSeconds: 3600,
      nodeSelector: { 'kubernetes.io/arch': 'amd64', 'kubernetes.io/os': 'linux' },
      mountTrustedCA: true,
    });
    await untilBuild(kmm, ref, { phase: 'Starting', pod: `${build.metadata.name}-build` });
    await openshift.run(build);
    await untilBuild(kmm, ref, { phase: 'Building' });
    await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'Building' });
    await openshift.complete(build, DIGEST);

    await kmm.untilLoaded(ref, 1);
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    expect(daemonSet?.spec.template.spec.containers[0]?.image).toBe(`registry.test/kmod@${DIGEST}`);
    await untilBuild(kmm, ref, { phase: 'Pushed', reference: 'registry.test/kmod:1', attempts: 1 });
    await untilNoBuildConfig(ref);
    expect(await pods().list(ref)).toEqual([]);
  });

  it('and has no name lives in OpenShift’s own registry, which wants no push secret', async () => {
    const ref = await building('unnamed', { containerImage: undefined });
    const build = await openshift.next(ref.namespace);
    const repository = `image-registry.openshift-image-registry.svc:5000/${ref.namespace}/unnamed`;
    expect(build.spec?.output?.to.name).toBe(`${repository}:${KERNEL}`);
    expect(build.spec?.output).not.toHaveProperty('pushSecret');
    await openshift.complete(build, DIGEST);
    await kmm.untilLoaded(ref, 1);
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    expect(daemonSet?.spec.template.spec.containers[0]?.image).toBe(`${repository}@${DIGEST}`);
  });

  it('whose compiler fails is told by its step and where the log is, and not tried again before it is edited', async () => {
    const ref = await building('broken');
    const build = await openshift.next(ref.namespace);
    await openshift.fail(build, {
      reason: 'DockerBuildFailed',
      message: 'Dockerfile build strategy has failed.',
      logSnippet: 'hello.c:3: error: expected ;\nerror: build error: building at STEP "RUN make": exit status 2',
    });
    const module = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'BuildFailed' });
    const message = module.status?.conditions?.find(({ type }) => type === 'Degraded')?.message;
    expect(message).toContain('build: The step "RUN make" of the Dockerfile fails with exit status 2');
    expect(message).toContain(`oc logs --namespace=${ref.namespace} build/${build.metadata.name}`);
    expect(message).not.toContain('hello.c:3: error: expected ;');
    expect(await buildStatus(kmm, ref)).not.toHaveProperty('retryAt');
    await kmm.untilIdle();
    expect(await openshift.configs(ref.namespace)).toHaveLength(1);

    const path = `openshift/${ref.namespace}`;
    const file = `${path}/build-${build.metadata.name}.yaml`;
    const whole = await bundleOf('whole');
    expect(whole.get(`${path}/buildconfig-${build.metadata.name?.replace(/-1$/, '')}.yaml`)).toContain('FROM scratch');
    expect(whole.get(file)).toContain('hello.c:3: error: expected ;');
    const quiet = (await bundleOf('quiet', '--pod-logs=false')).get(file);
    expect(quiet).toContain('DockerBuildFailed');
    expect(quiet).not.toContain('hello.c:3: error: expected ;');

    const [mapping] = (await kmm.module(ref)).spec.kernelMappings ?? [];
    await kmm.edit(ref, { kernelMappings: [{ ...mapping, build: { dockerfile: 'FROM mended\n' } }] });
    const next = await openshift.next(ref.namespace, build);
    expect(next.spec?.source?.dockerfile).toBe('FROM mended\n');
  });

  it('whose build is lost with its node is tried again under another name, and given up after the last try', async () => {
    const ref = await building('unlucky');
    const first = await openshift.next(ref.namespace);
    const evicted = { reason: 'BuildPodEvicted', message: 'The node was low on resource: ephemeral-storage.' };
    await openshift.fail(first, evicted);
    const second = await openshift.next(ref.namespace, first);
    expect(second.metadata.name).not.toBe(first.metadata.name);
    await untilBuild(kmm, ref, { attempts: 2 });
    await openshift.fail(second, evicted);
    await untilBuild(kmm, ref, {
      phase: 'Failed',
      attempts: 2,
      message: expect.stringContaining('given up after 2 tries'),
    });
    expect(await openshift.configs(ref.namespace)).toHaveLength(1);
  });

  it('is built from what the Module says now: an edit cancels what runs', async () => {
    const ref = await building('edited');
    const outdated = await openshift.next(ref.namespace);
    await openshift.run(outdated);
    await untilBuild(kmm, ref, { phase: 'Building' });
    const [mapping] = (await kmm.module(ref)).spec.kernelMappings ?? [];
    await kmm.edit(ref, { kernelMappings: [{ ...mapping, build: { dockerfile: 'FROM newer\n' } }] });
    await eventually(
      async () => {
        const configs = await openshift.configs(ref.namespace);
        expect(configs.map(({ spec }) => spec.source.dockerfile)).toEqual(['FROM newer\n']);
        expect((await openshift.list(ref.namespace)).map(({ spec }) => spec?.source?.dockerfile)).toEqual([
          'FROM newer\n',
        ]);
      },
      // The garbage collector looks for new kinds every half minute.
      { what: 'the outdated Build to go with its BuildConfig', timeoutMs: 60_000 },
    );
  });

  it('is cancelled with its Module', async () => {
    const ref = await building('gone');
    await openshift.next(ref.namespace);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    await untilNoBuildConfig(ref);
  });
});

describe('an image that is to be signed', () => {
  const sign = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };

  it('is built under another tag, and signed by a pod from its digest: also when the operator dies between the two', async () => {
    const ref = await building('signed', { sign });
    const build = await openshift.next(ref.namespace);
    expect(build.spec?.output?.to.name).toMatch(/^registry\.test\/kmod:.*-unsigned$/);
    await openshift.run(build);
    await untilBuild(kmm, ref, { phase: 'Building' });
    await kmm.operator.kill();
    await openshift.complete(build, DIGEST);
    await kmm.startOperator();

    const pod = await pods().next(ref);
    expect(JSON.parse(pod.metadata.annotations?.['kmm.node.kubernetes.io/build-request'] ?? '')).toMatchObject({
      image: 'registry.test/kmod:1',
      source: { kind: 'image', reference: `registry.test/kmod@${DIGEST}` },
    });
    expect(await kmm.daemonSets(ref, 'module-loader')).toEqual([]);
    await pods().enter(pod, 'sign');
    await untilBuild(kmm, ref, { phase: 'Signing', pod: pod.metadata.name });
    await kmm.operator.kill();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect((await pods().list(ref)).map(({ metadata }) => metadata.uid)).toEqual([pod.metadata.uid]);
    expect(await openshift.list(ref.namespace)).toHaveLength(1);

    const image = `registry.test/kmod@sha256:${'e'.repeat(64)}`;
    await pods().succeed(pod, aReport({ image, reference: 'registry.test/kmod:1' }));
    await kmm.untilLoaded(ref, 1);
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    expect(daemonSet?.spec.template.spec.containers[0]?.image).toBe(image);
    await untilNoBuildConfig(ref);
    await eventually(async () => expect(await pods().list(ref)).toEqual([]), { what: 'the finished pod to go' });

    await kmm.operator.stop();
    const mark = await kmm.controlPlane.auditMark();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect((await kmm.operatorWrites(mark)).map(({ verb, resource }) => `${verb} ${resource}`)).toEqual([]);
    // Four starts of an operator, on a machine that may be busy.
  }, 180_000);

  it('whose pod the API server refuses is told in its words, and signed when it may be', async () => {
    const ref = await building('refused', { sign });
    const build = await openshift.next(ref.namespace);
    const enforce = (level: string) => ({ metadata: { labels: { 'pod-security.kubernetes.io/enforce': level } } });
    await kmm.cluster.admin.patch(NAMESPACES, { name: ref.namespace }, enforce('restricted'));
    await openshift.complete(build, DIGEST);
    await untilBuild(kmm, ref, {
      phase: 'Starting',
      message: expect.stringContaining('violates PodSecurity "restricted'),
    });
    await kmm.cluster.admin.patch(NAMESPACES, { name: ref.namespace }, enforce('privileged'));
    // Its next try comes after half a minute; an edit does not wait for it.
    await kmm.edit(ref, { imageRebuildTriggerGeneration: 1 });
    await openshift.complete(await openshift.next(ref.namespace, build), DIGEST);
    await pods().next(ref);
  });
});

describe('a Dockerfile that asks for DTK_AUTO', () => {
  const version = '418.94.202501221327-0';
  const stream = { name: 'driver-toolkit', namespace: 'openshift' };
  const tags = (name: string) => ({
    spec: { tags: [{ name, from: { kind: 'DockerImage', name: `quay.test/dtk:${name}` } }] },
  });

  it('waits with one sentence for a tag of its nodes’ system, and gets that image as an argument', async () => {
    const ref = await building('toolkit', { build: { dockerfile: DTK_DOCKERFILE } });
    const { admin } = kmm.cluster;
    await untilBuild(kmm, ref, { phase: 'Queued', message: expect.stringContaining('runs Simulated Linux') });
    const osImage = `Red Hat Enterprise Linux CoreOS ${version} (Plow)`;
    await admin.patch(
      NODES,
      { name: 'toolkit-0' },
      { status: { nodeInfo: { osImage } } },
      { subresource: 'status', type: 'strategic' },
    );
    await untilBuild(kmm, ref, {
      phase: 'Queued',
      message: expect.stringContaining('there is no ImageStream driver-toolkit'),
    });
    await admin.create(IMAGE_STREAMS, { metadata: stream, ...tags('417.94.202412040832-0') });
    await untilBuild(kmm, ref, { phase: 'Queued', message: expect.stringContaining(`has no tag ${version}`) });
    expect(await openshift.configs(ref.namespace)).toEqual([]);

    await admin.patch(IMAGE_STREAMS, stream, tags(version));
    const build = await openshift.next(ref.namespace);
    expect(build.spec?.strategy?.dockerStrategy.buildArgs).toContainEqual({
      name: 'DTK_AUTO',
      value: `quay.test/dtk:${version}`,
    });
    await openshift.complete(build, DIGEST);
    await kmm.untilLoaded(ref, 1);

    // The next release's ImageStream has other tags. What is loaded stays, and nothing is built anew.
    await admin.patch(IMAGE_STREAMS, stream, tags('419.96.202507010000-0'));
    await kmm.untilIdle();
    expect(await openshift.configs(ref.namespace)).toEqual([]);
    await kmm.untilLoaded(ref, 1);
  });
});

it('a Dockerfile of a ConfigMap is built by a pod: a BuildConfig cannot take it, and nobody of ours reads it', async () => {
  const ref = await building('configured', { build: { dockerfileConfigMap: { name: 'recipe' } } });
  await kmm.cluster.admin.create(CONFIG_MAPS, {
    metadata: { name: 'recipe', namespace: ref.namespace },
    data: { dockerfile: 'FROM scratch\n' },
  });
  await pods().succeed(await pods().next(ref), aReport());
  await kmm.untilLoaded(ref, 1);
  expect(await openshift.list(ref.namespace)).toEqual([]);
});

it('the rights on OpenShift were never exceeded, and each of them was used', async () => {
  const ours = (await kmm.controlPlane.auditEvents()).filter(({ user }) => user === OPERATOR_USER);
  // The pod that Pod Security refused above: a 403 for what it was, not for who asked.
  const exceeded = ours.filter(
    ({ code, name }) => (code === 401 || code === 403) && !name.startsWith('refused-build-'),
  );
  expect(exceeded).toEqual([]);
  // Lists are for servers that do not stream them, and for a watch that was left behind.
  for (const role of [['clusterrole/kmm-openshift'], ['role/kmm-openshift', '-n', 'openshift']]) {
    const granted = await kmm.controlPlane.kubectl(['get', ...role, '-o', 'json']);
    const unused = unusedRights(JSON.parse(granted).rules, ours);
    expect(unused.filter((right) => !right.startsWith('list '))).toEqual([]);
  }
});
