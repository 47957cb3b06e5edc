import { describe, expect, it } from 'vitest';

import type { FailureReport } from '../../../src/build/pipeline/report.ts';
import { CONFIG_MAPS } from '../../../src/kube/core.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { applyBuilding, buildStatus, untilBuild } from '../../harness/building-modules.ts';
import { aReport } from '../../harness/builds.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, type Mapping, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';

interface Webhooks extends KubeObject {
  readonly webhooks: readonly unknown[];
}

const WEBHOOKS = defineResource<Webhooks>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  namespaced: false,
});

const KERNEL = '6.1.0-50-cloud-amd64';
const DIGEST = `sha256:${'d'.repeat(64)}`;
const IMAGE = `registry.test/kmod@${DIGEST}`;
const FLAGS = ['--build-retry-backoff=1s', '--build-attempts=2', '--max-concurrent-builds=4'];

const kmm = useOperatedCluster('builds', { flags: FLAGS });

const pods = (): BuildPods => new BuildPods(kmm.cluster.admin);
const report = aReport({ image: IMAGE, reference: 'registry.test/kmod:1' });
const failure = (cause: FailureReport['cause'], message: string): FailureReport => ({
  result: 'failed',
  step: 'build',
  cause,
  message,
  log: 'hello.c:3: error: expected ;',
  durations: { build: 5 },
});

const building = (name: string, mapping: Partial<Mapping> = {}): Promise<ModuleRef> =>
  applyBuilding(kmm, { name, kernel: KERNEL, mapping });

describe('a kernel whose image has to be built', () => {
  it('gets it built, signed and pushed by a pod, and then loaded by digest; status tells each step', async () => {
    const sign = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };
    const ref = await building('signed', { sign });
    const pod = await pods().next(ref);
    await untilBuild(kmm, ref, { phase: 'Starting', pod: pod.metadata.name });
    expect(await kmm.daemonSets(ref, 'module-loader')).toEqual([]);

    for (const [stage, phase] of [
      ['build', 'Building'],
      ['sign', 'Signing'],
      ['push', 'Pushing'],
    ] as const) {
      await pods().enter(pod, stage);
      await untilBuild(kmm, ref, { phase, pod: pod.metadata.name });
      await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: phase });
    }
    await pods().succeed(pod, report);

    await kmm.untilLoaded(ref, 1);
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    expect(daemonSet?.spec.template.spec.containers[0]?.image).toBe(IMAGE);
    await untilBuild(kmm, ref, { phase: 'Pushed', image: IMAGE, reference: 'registry.test/kmod:1', attempts: 1 });
    await eventually(async () => expect(await pods().list(ref)).toEqual([]), { what: 'the finished pod to go' });
    for (const reason of ['Building', 'Signing', 'Pushing', 'Loaded']) {
      await kmm.untilEvent(ref, { type: 'Normal', reason });
    }
  });

  it('is not built again by an operator that starts anew, and nothing is written (I2)', async () => {
    const ref = await building('restarted');
    const pod = await pods().next(ref);
    await pods().enter(pod, 'build');
    await untilBuild(kmm, ref, { phase: 'Building' });
    await kmm.operator.kill();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect((await pods().list(ref)).map(({ metadata }) => metadata.uid)).toEqual([pod.metadata.uid]);

    await pods().succeed(pod, report);
    await kmm.untilLoaded(ref, 1);
    await eventually(async () => expect(await pods().list(ref)).toEqual([]), { what: 'the finished pod to go' });
    await kmm.operator.stop();
    const mark = await kmm.controlPlane.auditMark();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect((await kmm.operatorWrites(mark)).map(({ verb, resource }) => `${verb} ${resource}`)).toEqual([]);
  });

  it("whose build the user has to mend is told in the tool's words, not tried again, and built when the Module is edited", async () => {
    const ref = await building('broken');
    const pod = await pods().next(ref);
    await pods().fail(pod, failure('user', 'make ended with exit code 2'));
    const module = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'BuildFailed' });
    expect(module.status?.conditions?.find(({ type }) => type === 'Degraded')?.message).toContain(
      'build: make ended with exit code 2 (…hello.c:3: error: expected ;)',
    );
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'BuildFailed' });
    expect(await buildStatus(kmm, ref)).not.toHaveProperty('retryAt');

    const [mapping] = (await kmm.module(ref)).spec.kernelMappings ?? [];
    await kmm.edit(ref, { kernelMappings: [{ ...mapping, build: { dockerfile: 'FROM mended\n' } }] });
    const next = await pods().next(ref, pod);
    expect(next.metadata.name).not.toBe(pod.metadata.name);
    await eventually(async () => expect(await pods().list(ref)).toHaveLength(1), { what: 'the outdated pod to go' });
  });

  it('whose build fails for want of a registry is tried again, and given up after the last try', async () => {
    const ref = await building('unlucky');
    const first = await pods().next(ref);
    await pods().fail(first, failure('infrastructure', 'registry.test does not answer'));
    const second = await pods().next(ref, first);
    expect(second.metadata.name).toBe(first.metadata.name);
    await untilBuild(kmm, ref, { attempts: 2 });
    await pods().fail(second, failure('infrastructure', 'registry.test does not answer'));
    await untilBuild(kmm, ref, {
      phase: 'Failed',
      attempts: 2,
      message: expect.stringContaining('given up after 2 tries'),
    });

    await kmm.edit(ref, { imageRebuildTriggerGeneration: 1 });
    await pods().succeed(await pods().next(ref, first, second), report);
    await kmm.untilLoaded(ref, 1);
  });

  it('from a ConfigMap waits for it by name, and an edit of it builds anew while the module stays loaded', async () => {
    const ref = await building('configured', { build: { dockerfileConfigMap: { name: 'recipe' } } });
    await untilBuild(kmm, ref, { phase: 'Queued', message: expect.stringContaining('ConfigMap recipe') });
    expect(await pods().list(ref)).toEqual([]);
    const { admin } = kmm.cluster;
    const recipe = { name: 'recipe', namespace: ref.namespace };
    await admin.create(CONFIG_MAPS, { metadata: recipe, data: { dockerfile: 'FROM scratch\n' } });
    const first = await pods().next(ref);
    await pods().succeed(first, report);
    await kmm.untilLoaded(ref, 1);
    const loader = await kmm.untilLoaderOn(ref, 'configured-0');

    await admin.patch(CONFIG_MAPS, recipe, { data: { dockerfile: 'FROM other\n' } });
    const second = await pods().next(ref, first);
    await kmm.untilCondition(ref, { type: 'Ready', status: 'True' });
    await kmm.untilCondition(ref, { type: 'Progressing', status: 'True', reason: 'RollingOut' });
    await pods().enter(second, 'build');
    await untilBuild(kmm, ref, { phase: 'Building' });
    // An operator that has just started has not seen the ConfigMap yet: that is no reason to build anything else.
    await kmm.operator.kill();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect((await pods().list(ref)).map(({ metadata }) => metadata.uid)).toEqual([second.metadata.uid]);
    expect((await kmm.untilLoaderOn(ref, 'configured-0')).metadata.uid).toBe(loader.metadata.uid);
    const newer = `registry.test/kmod@sha256:${'e'.repeat(64)}`;
    await pods().succeed(second, { ...report, image: newer });
    await kmm.untilLoaderOn(ref, 'configured-0', (pod) => pod.spec?.containers[0]?.image === newer);
    await kmm.untilLoaded(ref, 1);

    await admin.delete(CONFIG_MAPS, recipe);
    await kmm.untilIdle();
    expect(await buildStatus(kmm, ref)).toMatchObject({ phase: 'Pushed', image: newer });
    await kmm.untilLoaded(ref, 1);
  });

  it('is told in the words of the API server when its pod is refused, and other Modules go on', async () => {
    const ref = await building('refused');
    const fine = await building('accepted');
    const first = await pods().next(ref);
    await kmm.cluster.admin.patch(
      NAMESPACES,
      { name: ref.namespace },
      { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } },
    );
    await kmm.edit(ref, { imageRebuildTriggerGeneration: 1 });
    await untilBuild(kmm, ref, {
      phase: 'Queued',
      message: expect.stringContaining('violates PodSecurity "restricted'),
    });
    await eventually(async () => expect(await pods().list(ref)).toEqual([]), { what: `${first.metadata.name} to go` });
    await pods().succeed(await pods().next(fine), report);
    await kmm.untilLoaded(fine, 1);
  });

  it('is told when a webhook of its namespace does not answer, and other Modules go on', async () => {
    const { admin } = kmm.cluster;
    // In the order of names it stands before the other.
    const ref = await building('a-silent');
    await pods().next(ref);
    const metadata = { name: 'silent.kmm.test' };
    const webhook = {
      ...metadata,
      // Nobody listens there.
      clientConfig: { url: 'https://127.0.0.1:1/' },
      rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ref.namespace } },
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    };
    await admin.create(WEBHOOKS, { metadata, webhooks: [webhook] });
    await kmm.edit(ref, { imageRebuildTriggerGeneration: 1 });
    await untilBuild(kmm, ref, { phase: 'Queued', message: expect.stringContaining('failed calling webhook') });
    const fine = await building('b-heard');
    await pods().succeed(await pods().next(fine), report);
    await kmm.untilLoaded(fine, 1);
    await admin.delete(WEBHOOKS, metadata);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
  });

  it('that failed is tried anew when it gets more time, and one that is on no node when it gets others', async () => {
    const dockerfile = 'FROM scratch\n';
    const edited = (build: Mapping['build']) => ({
      kernelMappings: [{ literal: KERNEL, containerImage: 'registry.test/kmod:1', build }],
    });
    const ref = await building('late');
    const first = await pods().next(ref);
    await pods().fail(first, failure('user', 'it took longer than build.timeout allows'));
    await untilBuild(kmm, ref, { phase: 'Failed' });
    await kmm.edit(ref, edited({ dockerfile, timeout: '2h', selector: { on: 'no-node' } }));
    await untilBuild(kmm, ref, { phase: 'Starting', attempts: 2, message: expect.stringContaining('node affinity') });
    await kmm.edit(ref, edited({ dockerfile, timeout: '2h' }));
    const last = await pods().next(ref);
    expect(last.spec).toMatchObject({ activeDeadlineSeconds: 7_200 });
    await pods().succeed(last, report);
    await kmm.untilLoaded(ref, 1);
  });

  it('that no node runs any more is not built to its end, and neither is one of a Module that goes', async () => {
    const left = await building('left');
    await pods().enter(await pods().next(left), 'build');
    await kmm.cluster.nodes.reboot('left-0', { kernel: '6.12.0-1-amd64' });
    await eventually(async () => expect(await pods().list(left)).toEqual([]), { what: 'the build to be cancelled' });

    const gone = await building('gone');
    await pods().enter(await pods().next(gone), 'build');
    await kmm.deleteModule(gone);
    await kmm.untilGone(gone);
    await eventually(async () => expect(await pods().list(gone)).toEqual([]), { what: 'the build to be cancelled' });
  });
});

it('ten Modules and forty kernels at once: at most four builds run, each once, and all are built', async () => {
  const namespace = await kmm.cluster.freshNamespace();
  const kernels = Array.from({ length: 40 }, (_, index) => `6.2.${index}-amd64`);
  const refs: ModuleRef[] = [];
  // Of the tests before, whose builds nobody ends.
  const [running = 0, queued = 0] = await metrics('kmm_image_builds_running', 'kmm_image_builds_queued');
  for (let index = 0; index < 10; index++) {
    const name = `many-${index}`;
    await kmm.addNodes(name, nodesOf(name), ...kernels.slice(index * 4, index * 4 + 4));
    refs.push(
      await kmm.apply(
        aModule(name)
          .inNamespace(namespace)
          .withMapping({
            regexp: '^6\\.2\\.',
            containerImage: 'registry.test/many:${KERNEL_FULL_VERSION}',
            build: { dockerfile: 'FROM scratch\n' },
          }),
      ),
    );
  }
  await eventually(
    async () => {
      expect(await metrics('kmm_image_builds_running', 'kmm_image_builds_queued')).toEqual([
        4,
        running + queued + 40 - 4,
      ]);
    },
    { what: 'four builds to run and the others to wait' },
  );
  const seen = new Map<string, string>();
  await eventually(
    async () => {
      const all = await pods().list({ namespace });
      const active = all.filter(({ status }) => status?.phase !== 'Succeeded');
      expect(active.length).toBeLessThanOrEqual(4);
      for (const { metadata } of all) {
        const { name = '', uid = '' } = metadata;
        if (seen.has(name) && seen.get(name) !== uid) throw new Error(`${name} was built twice`);
        seen.set(name, uid);
      }
      for (const pod of active) await pods().succeed(pod, report);
      if (seen.size < 40) throw new Error(`${seen.size} of 40 have begun`);
    },
    { what: 'forty builds', timeoutMs: 60_000 },
  );
  for (const ref of refs) await kmm.untilLoaded(ref, 4);
  await eventually(
    async () => {
      expect(await metrics('kmm_image_builds_running', 'kmm_image_builds_queued')).toEqual([running, queued]);
    },
    { what: 'none of them to run or wait' },
  );
});

it('metrics count builds by how they ended, those that took kept layers, and what their steps took', async () => {
  const series = [
    'kmm_image_builds_total{result="built"}',
    'kmm_image_builds_total{result="failed"}',
    'kmm_image_builds_total{result="interrupted"}',
    'kmm_image_builds_cached_total',
    'kmm_image_build_step_seconds_count{step="build"}',
    'kmm_image_build_step_seconds_sum{step="push"}',
  ];
  const before = await metrics(...series);
  const begun = async (name: string) => pods().next(await building(name));
  const kept = { ...report, cached: true, durations: { build: 2_000, push: 500 } };
  await pods().succeed(await begun('counted'), kept);
  await pods().fail(await begun('counted-bad'), failure('user', 'make ended with exit code 2'));
  await pods().fail(await begun('counted-unlucky'), failure('infrastructure', 'registry.test does not answer'));
  await eventually(
    async () => {
      const now = await metrics(...series);
      expect(now.map((value, index) => value - (before[index] ?? 0))).toEqual([1, 1, 1, 1, 3, 0.5]);
    },
    { what: 'three builds more to be counted' },
  );
});

/** Values of series of the operator, 0 where it has none. */
function metrics(...series: readonly string[]): Promise<readonly number[]> {
  return Promise.all(series.map(async (name) => (await kmm.operator.metric(name)) ?? 0));
}
