import { describe, expect, it } from 'vitest';

import { KERNEL_LABEL } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, EVERY_KERNEL, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';

const FEDORA = '5.16.11-200.fc35.x86_64';
const GKE = '5.4.0-1054-gke';
const OTHER_GKE = '5.10.90-1100-gke';

const kmm = useOperatedCluster('loading');

describe('a Module', () => {
  it('becomes one loader DaemonSet for each mapped kernel, and its nodes get the ready label', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const [fedora, gke, unmapped] = await kmm.addNodes('each', nodesOf('each'), FEDORA, GKE, '6.6.6-unmapped');
    expect.assert(fedora !== undefined && gke !== undefined && unmapped !== undefined);
    const ref = await kmm.apply(
      aModule('each')
        .inNamespace(namespace)
        .withKernel(FEDORA, 'registry.test/kmod:fedora')
        .withKernel(GKE, 'registry.test/kmod:gke'),
    );

    const module = await kmm.untilLoaded(ref, 2);
    expect(module.status).toMatchObject({
      moduleLoader: { nodesMatchingSelectorNumber: 3, desiredNumber: 2, availableNumber: 2 },
      kernelsNumber: 3,
      kernels: [
        {
          kernelVersion: FEDORA,
          architecture: 'amd64',
          image: 'registry.test/kmod:fedora',
          nodes: 1,
          loaded: 1,
          state: 'Loaded',
        },
        {
          kernelVersion: GKE,
          image: 'registry.test/kmod:gke',
          imageDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        },
        { kernelVersion: '6.6.6-unmapped', nodes: 1, loaded: 0, state: 'NoKernelMapping' },
      ]
        .toSorted((a, b) => (a.kernelVersion < b.kernelVersion ? -1 : 1))
        .map((kernel) => expect.objectContaining(kernel)),
    });
    expect(module.status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain('6.6.6-unmapped');

    const daemonSets = await kmm.daemonSets(ref, 'module-loader');
    expect(new Set(daemonSets.map(({ spec }) => spec.template.spec.containers[0]?.image))).toEqual(
      new Set(['registry.test/kmod:fedora', 'registry.test/kmod:gke']),
    );
    expect(daemonSets).toHaveLength(2);
    expect(await kmm.marks(ref, fedora)).toMatchObject({ load: expect.any(String), ready: '' });
    expect(await kmm.marks(ref, gke)).toMatchObject({ load: expect.any(String), ready: '' });
    expect(await kmm.marks(ref, unmapped)).toEqual({});
  });

  it('gives its loaders what the design says and nothing more', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('container', nodesOf('container'), FEDORA);
    const ref = await kmm.apply(
      aModule('container')
        .inNamespace(namespace)
        .withKernel(FEDORA, 'registry.test/kmod:1')
        .withVolume({ name: 'firmware', configMap: { name: 'firmware' } })
        .withPullSecret('registry-login')
        .withLoader({
          image: 'overwritten-anyway',
          name: 'overwritten-anyway',
          args: ['--verbose'],
          volumeMounts: [{ name: 'firmware', mountPath: '/firmware' }],
        }),
    );
    await kmm.untilLoaded(ref, 1);
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    const { metadata, spec } = await kmm.module(ref);
    expect(spec.selector).toEqual(nodesOf('container'));
    expect(daemonSet?.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'kmm.sigs.x-k8s.io/v1beta1',
        kind: 'Module',
        name: 'container',
        uid: metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    expect(daemonSet?.metadata.labels).toMatchObject({
      'kmm.node.kubernetes.io/module.name': 'container',
      'kmm.node.kubernetes.io/role': 'module-loader',
      'kmm.node.kubernetes.io/kernel-version.full': FEDORA,
      'app.kubernetes.io/managed-by': 'kmm',
    });
    expect(daemonSet?.spec.updateStrategy).toEqual({ type: 'OnDelete' });
    const pod = daemonSet?.spec.template.spec;
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      priorityClassName: 'system-node-critical',
      tolerations: [{ operator: 'Exists' }],
      imagePullSecrets: [{ name: 'registry-login' }],
      terminationGracePeriodSeconds: 120,
    });
    expect(Object.keys(pod?.nodeSelector ?? {})).toEqual([`kmm.node.kubernetes.io/${namespace}.container.load`]);
    expect(pod?.containers).toHaveLength(1);
    expect(pod?.containers[0]).toMatchObject({
      name: 'module-loader',
      image: 'registry.test/kmod:1',
      args: ['--verbose'],
      terminationMessagePolicy: 'FallbackToLogsOnError',
      lifecycle: { preStop: { sleep: { seconds: 2 } } },
      securityContext: {
        runAsUser: 0,
        privileged: false,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'], add: ['SYS_MODULE'] },
        seccompProfile: { type: 'RuntimeDefault' },
      },
      volumeMounts: [
        { name: 'firmware', mountPath: '/firmware' },
        { name: 'kmm-lib-modules', mountPath: '/lib/modules', readOnly: true },
        { name: 'kmm-lib-modules', mountPath: '/usr/lib/modules', readOnly: true },
      ],
    });
    expect(pod?.volumes).toContainEqual({
      name: 'kmm-lib-modules',
      hostPath: { path: '/lib/modules', type: 'Directory' },
    });
  });

  it('runs its device plugin, privileged, on exactly the nodes where it is loaded', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const [loaded] = await kmm.addNodes('plugin', nodesOf('plugin'), FEDORA);
    expect.assert(loaded !== undefined);
    await kmm.cluster.nodes.create({ name: 'plugin-sim-never-ready', kernel: FEDORA, labels: nodesOf('plugin') });
    const ref = await kmm.apply(aModule('plugin').inNamespace(namespace).withDevicePlugin());
    await eventually(
      async () => {
        const { status } = await kmm.module(ref);
        expect(status).toMatchObject({
          moduleLoader: { desiredNumber: 2, availableNumber: 1 },
          devicePlugin: { desiredNumber: 1, availableNumber: 1 },
        });
      },
      { what: 'the plugin on the one node where the module is loaded' },
    );
    const plugins = await kmm.pods(ref, 'device-plugin');
    expect(plugins.map(({ spec }) => spec?.nodeName)).toEqual([loaded]);
    const [daemonSet] = await kmm.daemonSets(ref, 'device-plugin');
    const pod = daemonSet?.spec.template.spec;
    expect(pod?.nodeSelector).toEqual({ [`kmm.node.kubernetes.io/${namespace}.plugin.ready`]: '' });
    expect(pod?.containers[0]).toMatchObject({
      name: 'device-plugin',
      securityContext: { privileged: true },
      volumeMounts: [{ name: 'kmm-device-plugins', mountPath: '/var/lib/kubelet/device-plugins' }],
    });
  });

  it('whose kernel has to be built is shown as waiting for its image, and its other kernels go on', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('build', nodesOf('build'), GKE, OTHER_GKE);
    const ref = await kmm.apply(
      aModule('build')
        .inNamespace(namespace)
        .withKernel(GKE, 'registry.test/kmod:gke')
        .withMapping({
          regexp: '^.*\\-gke$',
          containerImage: 'registry.test/kmod:built',
          build: { dockerfile: 'FROM scratch\n' },
        }),
    );
    const module = await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'WaitingForImage' });
    expect(module.status?.kernels).toContainEqual(
      expect.objectContaining({
        kernelVersion: OTHER_GKE,
        state: 'WaitingForImage',
        image: 'registry.test/kmod:built',
      }),
    );
    await eventually(async () => expect((await kmm.module(ref)).status?.loaded).toBe('1/2'), {
      what: 'the other kernel',
    });
    expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(1);
    await kmm.untilEvent(ref, { type: 'Normal', reason: 'WaitingForImage' });
  });

  it('of 63 characters in a namespace of 63 is loaded like any other', async () => {
    const prefix = await kmm.cluster.freshNamespace(`n${'n'.repeat(55)}`);
    expect(prefix).toHaveLength(63);
    const name = 'm'.repeat(63);
    const [node] = await kmm.addNodes('long', { long: '' }, `${FEDORA}.${'k'.repeat(60)}`);
    expect.assert(node !== undefined);
    const ref = await kmm.apply(aModule(name).inNamespace(prefix).withSelector({ long: '' }).withDevicePlugin());
    await eventually(
      async () => {
        expect((await kmm.module(ref)).status).toMatchObject({ loaded: '1/1', devicePlugin: { availableNumber: 1 } });
      },
      { what: 'the longest names' },
    );
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect(await kmm.marks(ref, node)).toEqual({});
  });
});

describe('the kernel label of a node', () => {
  it('follows the kernel at once, and is not written when it already holds', async () => {
    const [node] = await kmm.addNodes('kernel-label', {}, FEDORA);
    expect.assert(node !== undefined);
    const label = async () => (await kmm.cluster.nodes.get(node)).metadata.labels?.[KERNEL_LABEL];
    await eventually(async () => expect(await label()).toBe(FEDORA), { what: 'the label' });
    const mark = await kmm.controlPlane.auditMark();
    await kmm.cluster.nodes.reboot(node, { kernel: GKE });
    await eventually(async () => expect(await label()).toBe(GKE), { what: 'the new kernel in the label' });
    await kmm.cluster.nodes.annotate(node, { 'example.com/touched': 'yes' });
    await kmm.untilIdle();
    const ours = (await kmm.operatorWrites(mark)).filter(({ name }) => name === node);
    expect(ours.map(({ verb }) => verb)).toEqual(['patch']);
  });

  it('of odd releases is valid and tells them apart, and each gets its loader', async () => {
    const kernels = [
      '6.1.0',
      '6.1.0+',
      '6.1.0~',
      '6.1.0~rc1',
      '6.1.0 local',
      '6.1.0-größer',
      `6.1.0-${'x'.repeat(194)}`,
    ];
    const nodes = await kmm.addNodes('odd', nodesOf('odd'), ...kernels);
    await eventually(
      async () => {
        const labels = await Promise.all(
          nodes.map(async (name) => (await kmm.cluster.nodes.get(name)).metadata.labels?.[KERNEL_LABEL]),
        );
        expect(labels.every((label) => label !== undefined)).toBe(true);
        expect(new Set(labels).size).toBe(kernels.length);
        expect(labels[0]).toBe('6.1.0');
      },
      { what: 'a label for every kernel' },
    );
    const ref = await kmm.apply(aModule('odd').inNamespace(await kmm.cluster.freshNamespace()));
    // A tag holds 128 characters: the kernel that does not fit into one says so, and the others go on.
    const degraded = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'InvalidMapping' });
    expect(degraded.status?.conditions?.find(({ type }) => type === 'Degraded')?.message).toMatch(
      /spec\.kernelMappings\[0\]\.containerImage.*128/,
    );
    await eventually(
      async () => expect((await kmm.module(ref)).status?.loaded).toBe(`${kernels.length - 1}/${kernels.length}`),
      { what: 'the others' },
    );
    await kmm.edit(ref, {
      kernelMappings: [{ regexp: 'x{100}', containerImage: 'registry.test/kmod:long' }, EVERY_KERNEL],
    });
    const { status } = await kmm.untilLoaded(ref, kernels.length);
    expect(new Set(status?.kernels?.map(({ kernelVersion }) => kernelVersion))).toEqual(new Set(kernels));
    expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(kernels.length);
  });
});

describe('a node that reboots into another kernel', () => {
  it('gets the other image, and the two loaders are never there together', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const [node] = await kmm.addNodes('reboot', nodesOf('reboot'), FEDORA);
    expect.assert(node !== undefined);
    const ref = await kmm.apply(
      aModule('reboot')
        .inNamespace(namespace)
        .withKernel(FEDORA, 'registry.test/kmod:fedora')
        .withKernel(GKE, 'registry.test/kmod:gke')
        .withDevicePlugin(),
    );
    await kmm.untilLoaded(ref, 1);
    const old = await kmm.untilLoaderOn(ref, node);
    // The old loader takes its time to stop: the new one has to wait for it.
    await kmm.cluster.pods.holdDeletion(old);
    await kmm.cluster.nodes.reboot(node, { kernel: GKE });
    await eventually(
      async () => {
        const pods = await kmm.pods(ref, 'module-loader');
        expect(pods.map(({ metadata }) => [metadata.uid, metadata.deletionTimestamp !== undefined])).toEqual([
          [old.metadata.uid, true],
        ]);
        expect(await kmm.marks(ref, node)).not.toHaveProperty('ready', '');
      },
      { what: 'the old loader to be on its way out' },
    );
    await kmm.untilIdle();
    expect((await kmm.marks(ref, node)).load).toBeUndefined();
    await kmm.cluster.pods.releaseDeletion(old);
    await kmm.untilLoaderOn(ref, node, (pod) => pod.spec?.containers[0]?.image === 'registry.test/kmod:gke');
    await kmm.untilLoaded(ref, 1);
    await eventually(async () => expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(1), {
      what: 'the DaemonSet of the kernel that no node runs any more to be removed',
    });
  });
});

describe('kubectl', () => {
  it('shows READY, LOADED, KERNELS and AGE', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('columns', nodesOf('columns'), FEDORA, GKE);
    const ref = await kmm.apply(aModule('columns').inNamespace(namespace));
    await kmm.untilLoaded(ref, 2);
    const output = await kmm.controlPlane.kubectl(['get', MODULES.plural, '-n', namespace]);
    expect(output).toMatch(/^NAME +READY +LOADED +KERNELS +AGE\ncolumns +True +2\/2 +2 +\d+s\n$/);
  });
});
