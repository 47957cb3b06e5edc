/** What an administrator does on the second day: scrape metrics with a token, and collect a support bundle. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MODULES } from '../../../src/api/module.ts';
import { type Container, PODS } from '../../../src/kube/core.ts';
import { eventually } from '../../harness/eventually.ts';
import { type LogKubelet, startLogKubelet } from '../../harness/log-kubelet.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_NAMESPACE } from '../../harness/operator.ts';
import { PodNetwork } from '../../harness/pod-network.ts';
import type { RunResult } from '../../harness/run.ts';
import { supportBundle, unpack } from '../../harness/support-bundle.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const KERNEL = '6.1.0-50-cloud-amd64';

const network = await PodNetwork.start();
const kmm = useOperatedCluster('day-two', { controlPlane: { apiServerArgs: network.args } });
afterAll(() => network.stop());

/** Stands wherever a user may have put a secret. */
const PLANTED = 'plantedValueHunter2';
const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZFZhbHVlSHVudGVyMg';
/** What must be in no bundle: the secret, its base64, and the token. */
const FORBIDDEN = [PLANTED, Buffer.from(PLANTED).toString('base64'), TOKEN];

describe('kmm support-bundle', () => {
  let namespace: string;
  let kubelet: LogKubelet;
  const node = 'support-0';

  beforeAll(async () => {
    const { cluster, controlPlane } = kmm;
    const { admin } = cluster;
    namespace = await cluster.freshNamespace();
    await controlPlane.kubectl([
      'create',
      'secret',
      'generic',
      'plain',
      '-n',
      namespace,
      `--from-literal=a=${PLANTED}`,
    ]);
    await controlPlane.kubectl(['create', 'configmap', 'plain', '-n', namespace, `--from-literal=a=${PLANTED}`]);
    await cluster.nodes.create({ name: node, kernel: KERNEL, labels: nodesOf('support') });
    const module = aModule('support')
      .inNamespace(namespace)
      .withKernel(KERNEL, 'registry.test/sim-crash:1')
      .withLoader({
        args: ['--verbose', `--password=${PLANTED}`],
        env: [{ name: 'PASSWORD', value: PLANTED }],
      })
      .build();
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ PLANTED }) };
    await admin.create(MODULES, { ...module, metadata: { ...module.metadata, annotations } });
    const ref = { name: 'support', namespace };
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'LoaderFailing' });
    await kmm.untilEvent(ref, { reason: 'LoaderFailing' });
    const loader = await kmm.untilLoaderOn(ref, node);
    await runPod('kmm-0', 'kmm', {
      name: 'manager',
      image: 'kmm:1',
      env: [{ name: 'HTTPS_PROXY', value: `http://u:${PLANTED}@p` }],
    });
    await runPod('kmm-registry-0', 'kmm-registry', { name: 'front', image: 'kmm:1' });
    // Simulated pods have no address.
    const status = { podIP: '10.0.0.7', podIPs: [{ ip: '10.0.0.7' }] };
    await admin.patch(PODS, { name: 'kmm-0', namespace: OPERATOR_NAMESPACE }, { status }, { subresource: 'status' });
    network.route('10.0.0.7:8080', kmm.operator.metricsPort);
    const loaderLog = `login with token=${PLANTED}\nAuthorization: Bearer ${TOKEN}\nmodprobe: no such device\n`;
    kubelet = await startLogKubelet(admin, node, {
      [`${OPERATOR_NAMESPACE}/kmm-0/manager`]: `{"level":"info","msg":"leading","url":"https://u:${PLANTED}@git.test"}\n`,
      [`${OPERATOR_NAMESPACE}/kmm-registry-0/front`]: `{"level":"error","msg":"Bearer ${TOKEN} refused"}\n`,
      [`${namespace}/${loader.metadata.name}/module-loader`]: loaderLog,
      [`${namespace}/${loader.metadata.name}/module-loader?previous`]: loaderLog,
    });
  });
  afterAll(() => kubelet?.stop());

  /** Where the operator runs, with its label. */
  async function runPod(name: string, label: string, container: Container): Promise<void> {
    const { admin, pods } = kmm.cluster;
    const labels = { 'app.kubernetes.io/name': label };
    // The namespace wants what the level `restricted` asks for.
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    await admin.create(PODS, {
      metadata: { name, namespace: OPERATOR_NAMESPACE, labels },
      spec: {
        nodeName: node,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [{ ...container, securityContext }],
      },
    });
    await eventually(
      async () => {
        const [pod] = await pods.list(OPERATOR_NAMESPACE, labels);
        expect(pod?.status?.containerStatuses?.[0]?.state?.running).toBeDefined();
      },
      { what: `the pod ${name} to run` },
    );
  }

  const bundle = (...flags: readonly string[]): Promise<RunResult> => supportBundle(kmm.controlPlane, flags);

  test('holds what explains the state of Modules, and nothing that was planted as a secret', async () => {
    const path = join(kmm.controlPlane.directory, 'bundle.tar.gz');
    const { code, stdout, stderr } = await bundle(`--output=${path}`);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('look through it before you send it');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const files = await unpack(path);
    expect(files.get('problems.txt')).toBe('');
    const names = [...files.keys()];
    expect(names).toEqual(
      expect.arrayContaining([
        'versions.yaml',
        'nodes.yaml',
        'events.txt',
        'problems.txt',
        `modules/${namespace}/support.yaml`,
        'operator/pod-kmm-0.yaml',
        'operator/lease-kmm.sigs.x-k8s.io.yaml',
        'metrics/kmm-0.txt',
        `logs/${OPERATOR_NAMESPACE}/kmm-0/manager.log`,
        'operator/pod-kmm-registry-0.yaml',
        `logs/${OPERATOR_NAMESPACE}/kmm-registry-0/front.log`,
        expect.stringMatching(new RegExp(`^daemonsets/${namespace}/support-.*yaml$`)),
        expect.stringMatching(new RegExp(`^pods/${namespace}/support-.*yaml$`)),
        expect.stringMatching(new RegExp(`^logs/${namespace}/support-.*/module-loader.*log$`)),
      ]),
    );
    for (const [name, content] of files) {
      for (const secret of FORBIDDEN) expect([name, content.includes(secret)]).toEqual([name, false]);
    }
    expect(files.get('versions.yaml')).toContain('gitVersion: v1.36.3');
    expect(files.get(`modules/${namespace}/support.yaml`)).toContain('LoaderFailing');
    expect(files.get('nodes.yaml')).toContain(KERNEL);
    expect(files.get('events.txt')).toMatch(/Module .*support LoaderFailing/);
    const [, loaderLog = ''] = [...files].find(([name]) => name.startsWith(`logs/${namespace}`)) ?? [];
    expect(loaderLog).toContain('modprobe: no such device');
    expect(files.get('metrics/kmm-0.txt')).toMatch(/^kmm_modules 1$/m);
  });

  test('says what it could not have, and has everything else', async () => {
    const path = join(kmm.controlPlane.directory, 'partial.tar.gz');
    expect(await bundle(`--output=${path}`, '--metrics-port=1')).toMatchObject({ code: 0 });
    const files = await unpack(path);
    expect(files.get('problems.txt')).toMatch(/^metrics of kmm-0: .+\n$/);
    expect(files.get(`modules/${namespace}/support.yaml`)).toContain('LoaderFailing');
  });

  test('is never written over another file, and half a bundle is not left', async () => {
    const path = join(kmm.controlPlane.directory, 'bundle.tar.gz');
    const before = (await stat(path)).size;
    const again = await bundle(`--output=${path}`);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('EEXIST')]);
    expect((await stat(path)).size).toBe(before);
    const late = join(kmm.controlPlane.directory, 'late.tar.gz');
    expect(await bundle(`--output=${late}`, '--timeout=1ms')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('time is up'),
    });
    await expect(stat(late)).rejects.toThrow('ENOENT');
  });

  test('leaves out what users print when told to', async () => {
    const path = join(kmm.controlPlane.directory, 'quiet.tar.gz');
    expect(await bundle(`--output=${path}`, '--pod-logs=false')).toMatchObject({ code: 0 });
    const logs = [...(await unpack(path)).keys()].filter((name) => name.startsWith('logs/'));
    const own = ['kmm-0/manager.log', 'kmm-registry-0/front.log'];
    expect(logs).toEqual(own.map((path) => `logs/${OPERATOR_NAMESPACE}/${path}`));
  });
});

describe('/metrics with authentication', () => {
  beforeAll(async () => {
    const { controlPlane } = kmm;
    await controlPlane.kubectl(['apply', '--server-side', '-k', join(ROOT, 'config/components/metrics-auth')]);
    await kmm.operator.stop();
    await kmm.startOperator(['--metrics-authentication']);
    for (const name of ['prometheus', 'nosy']) {
      await controlPlane.kubectl(['create', 'serviceaccount', name, '-n', 'default']);
    }
    const binding = ['create', 'clusterrolebinding', 'scraping', '--clusterrole=kmm-metrics-reader'];
    await controlPlane.kubectl([...binding, '--serviceaccount=default:prometheus']);
  });

  const tokenOf = (name: string): Promise<string> => kmm.cluster.admin.token({ namespace: 'default', name });

  test('answers whoever may read it', async () => {
    expect(await kmm.operator.metricsAs(await tokenOf('prometheus'))).toEqual({
      status: 200,
      text: expect.stringContaining('kmm_modules'),
    });
  });

  test('refuses whoever may not, whoever is unknown, and whoever says nothing', async () => {
    expect(await kmm.operator.metricsAs(await tokenOf('nosy'))).toMatchObject({ status: 403 });
    expect(await kmm.operator.metricsAs('made-up')).toMatchObject({ status: 401 });
    expect(await kmm.operator.metricsAs(undefined)).toMatchObject({ status: 401 });
  });
});
