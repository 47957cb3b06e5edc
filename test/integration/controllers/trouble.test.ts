/** What happens when something is wrong that admission cannot see: a condition or an event says so, and other Modules go on. */
import { describe, expect, it } from 'vitest';

import { FINALIZER } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { DAEMONSETS } from '../../../src/kube/core.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { QUOTAS } from '../../harness/quotas.ts';
import { CRASH_MESSAGE } from '../../harness/stages.ts';

interface Specified extends KubeObject {
  readonly spec: unknown;
}

const POLICIES = defineResource<Specified>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  plural: 'validatingadmissionpolicies',
  namespaced: false,
});
const BINDINGS = defineResource<Specified>({
  ...POLICIES,
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
});

const KERNEL = '6.1.0-50-cloud-amd64';
const OTHER = '6.1.0-56-cloud-amd64';

const kmm = useOperatedCluster('trouble');

const messageOf = async (ref: ModuleRef, type: string): Promise<string | undefined> =>
  (await kmm.module(ref)).status?.conditions?.find((condition) => condition.type === type)?.message;

describe('a Module says why it is not done', () => {
  it('when no node matches its selector', async () => {
    const ref = await kmm.apply(aModule('nobody').inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoNodes' });
    await kmm.untilCondition(ref, { type: 'Progressing', status: 'False' });
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'False' });
  });

  it('when no mapping matches, with the number of nodes and their kernels', async () => {
    await kmm.addNodes('unmapped', nodesOf('unmapped'), KERNEL, KERNEL, OTHER);
    const ref = await kmm.apply(
      aModule('unmapped')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withKernel('5.0.0', 'registry.test/kmod:1'),
    );
    const { status } = await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'NoKernelMapping' });
    const message = status?.conditions?.find(({ type }) => type === 'Ready')?.message;
    expect(message).toContain('3 nodes');
    expect(message).toContain(KERNEL);
    expect(message).toContain(OTHER);
  });

  it('when its image cannot be pulled, in the words of the kubelet', async () => {
    await kmm.addNodes('pull', nodesOf('pull'), KERNEL);
    const ref = await kmm.apply(
      aModule('pull')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withKernel(KERNEL, 'registry.test/sim-pull-fails:1'),
    );
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'ImagePullFailed' });
    expect(await messageOf(ref, 'Degraded')).toContain('manifest unknown');
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'ImagePullFailed' });
  });

  it("when its loader fails, in the container's last words", async () => {
    await kmm.addNodes('crash', nodesOf('crash'), KERNEL);
    const ref = await kmm.apply(
      aModule('crash')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withKernel(KERNEL, 'registry.test/sim-crash:1'),
    );
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'LoaderFailing' });
    expect(await messageOf(ref, 'Degraded')).toContain(CRASH_MESSAGE);
  });

  it('when Pod Security refuses its pods, in the words of the API server, and loads when it is allowed', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    const enforce = 'pod-security.kubernetes.io/enforce';
    await kmm.cluster.admin.patch(
      NAMESPACES,
      { name: namespace },
      { metadata: { labels: { [enforce]: 'restricted' } } },
    );
    await kmm.addNodes('secured', nodesOf('secured'), KERNEL);
    const ref = await kmm.apply(aModule('secured').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'PodsRefused' });
    expect(await messageOf(ref, 'Degraded')).toContain('violates PodSecurity "restricted:latest"');
    await kmm.cluster.admin.patch(
      NAMESPACES,
      { name: namespace },
      { metadata: { labels: { [enforce]: 'privileged' } } },
    );
    // The DaemonSet controller backs off for up to minutes; touching the DaemonSet makes it look again.
    const [daemonSet] = await kmm.daemonSets(ref, 'module-loader');
    await kmm.cluster.admin.patch(
      DAEMONSETS,
      { name: daemonSet?.metadata.name ?? '', namespace },
      { metadata: { annotations: { touched: 'yes' } } },
    );
    await kmm.untilLoaded(ref, 1);
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'False' });
  });

  it('when a quota refuses its pods', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.cluster.admin.create(QUOTAS, {
      metadata: { name: 'none', namespace },
      spec: { hard: { pods: '0' } },
    });
    await kmm.addNodes('quota', nodesOf('quota'), KERNEL);
    const ref = await kmm.apply(aModule('quota').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'PodsRefused' });
    expect(await messageOf(ref, 'Degraded')).toContain('exceeded quota');
  });

  it('when its ServiceAccount does not exist', async () => {
    await kmm.addNodes('account', nodesOf('account'), KERNEL);
    const ref = await kmm.apply(
      aModule('account')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withLoader({ serviceAccountName: 'missing' }),
    );
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'PodsRefused' });
    expect(await messageOf(ref, 'Degraded')).toContain('serviceaccount "missing" not found');
  });

  it('when the API server refuses one of its DaemonSets, in its words, and the others are made all the same', async () => {
    await kmm.addNodes('refused', nodesOf('refused'), KERNEL);
    const ref = await kmm.apply(
      aModule('refused')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withDevicePlugin({ image: 'registry.test/plugin:1', ports: [{ containerPort: 70_000 }] }),
    );
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'DevicePluginUnavailable' });
    expect(await messageOf(ref, 'Degraded')).toContain('containerPort');
    await eventually(async () => expect((await kmm.module(ref)).status?.loaded).toBe('1/1'), { what: 'the loader' });

    await kmm.edit(ref, { devicePlugin: null, moduleLoader: { ports: [{ containerPort: 70_000 }] } });
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'WriteRefused' });
    expect(await messageOf(ref, 'Degraded')).toContain('must be between 1 and 65535');
    await kmm.edit(ref, { moduleLoader: { ports: [{ containerPort: 7_000 }] } });
    await kmm.untilLoaded(ref, 1);
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'False' });
  });

  it('when the API server refuses its labels on a node, in its words, and goes on when it takes them', async () => {
    const { admin } = kmm.cluster;
    const metadata = { name: 'no-labels.kmm.test' };
    const [node = ''] = await kmm.addNodes('guarded', nodesOf('guarded'), KERNEL);
    await admin.create(POLICIES, {
      metadata,
      spec: {
        matchConstraints: {
          resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['nodes'] }],
        },
        validations: [
          {
            expression: `object.metadata.name != '${node}' || !object.metadata.labels.exists(key, key.endsWith('.load'))`,
            message: 'nobody loads anything here',
          },
        ],
      },
    });
    await admin.create(BINDINGS, { metadata, spec: { policyName: metadata.name, validationActions: ['Deny'] } });
    const probe = ['label', 'node', node, 'probe.load=', '--dry-run=server'];
    // A policy counts a moment after it was made.
    await eventually(
      async () => {
        expect((await kmm.controlPlane.tryKubectl(probe)).stderr).toContain('nobody loads anything here');
      },
      { what: 'the policy to count' },
    );
    const ref = await kmm.apply(aModule('guarded').inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'WriteRefused' });
    expect(await messageOf(ref, 'Ready')).toMatch(/node guarded-0 cannot be labelled: .*nobody loads anything here/);
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'WriteRefused' });
    await admin.delete(BINDINGS, metadata);
    await admin.delete(POLICIES, metadata);
    await kmm.untilLoaded(ref, 1);
  });

  it('when its device plugin does not run', async () => {
    await kmm.addNodes('plugin', nodesOf('plugin'), KERNEL);
    const ref = await kmm.apply(
      aModule('plugin')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withDevicePlugin({ image: 'registry.test/sim-crash:1' }),
    );
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'DevicePluginUnavailable' });
    await kmm.untilCondition(ref, { type: 'Ready', status: 'False', reason: 'DevicePluginUnavailable' });
    expect((await kmm.module(ref)).status?.loaded).toBe('1/1');
  });

  it('when it is written in the modprobe form: it is stored whole and said not to be supported yet', async () => {
    await kmm.addNodes('modprobe', nodesOf('modprobe'), KERNEL);
    const namespace = await kmm.cluster.freshNamespace();
    const spec = {
      selector: nodesOf('modprobe'),
      moduleLoader: {
        container: {
          modprobe: { moduleName: 'kmod' },
          kernelMappings: [{ regexp: '.', containerImage: 'registry.test/kmod:1' }],
        },
      },
    };
    await kmm.cluster.admin.create(MODULES, { metadata: { name: 'modprobe', namespace }, spec });
    const ref = { name: 'modprobe', namespace };
    const module = await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'NotSupportedYet' });
    expect(module.spec).toEqual(spec);
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'NotSupportedYet' });
    expect(await kmm.daemonSets(ref)).toEqual([]);
    expect(module.metadata.finalizers ?? []).not.toContain(FINALIZER);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
  });
});

describe('a remark on what was written', () => {
  it('is an event when two mappings are equal', async () => {
    const mapping = { literal: KERNEL, containerImage: 'registry.test/kmod:1' };
    const ref = await kmm.apply(
      aModule('twice')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withMapping(mapping)
        .withMapping(mapping),
    );
    await kmm.untilEvent(ref, {
      type: 'Warning',
      reason: 'DuplicateMapping',
      message: expect.stringContaining('spec.kernelMappings[1] never wins'),
    });
  });

  it('is an event when the selector is empty', async () => {
    const ref = await kmm.apply(
      aModule('everywhere')
        .inNamespace(await kmm.cluster.freshNamespace())
        .withSelector({})
        .withKernel('no-such-kernel', 'registry.test/kmod:1'),
    );
    await kmm.untilEvent(ref, { type: 'Warning', reason: 'EmptySelector' });
    await kmm.deleteModule(ref);
  });
});

describe('a DaemonSet of ours', () => {
  it('that was edited by hand is put back, with an event', async () => {
    await kmm.addNodes('edited', nodesOf('edited'), KERNEL);
    const ref = await kmm.apply(aModule('edited').inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilLoaded(ref, 1);
    const [before] = await kmm.daemonSets(ref, 'module-loader');
    const name = { name: before?.metadata.name ?? '', namespace: ref.namespace };
    await kmm.cluster.admin.patch(DAEMONSETS, name, {
      spec: { template: { spec: { nodeSelector: { 'example.com/mine': 'yes' } } } },
    });
    await eventually(
      async () => {
        const { spec } = await kmm.cluster.admin.get(DAEMONSETS, name);
        expect(spec.template.spec.nodeSelector).toEqual(before?.spec.template.spec.nodeSelector);
      },
      { what: 'the DaemonSet to be put back' },
    );
    await kmm.untilEvent(ref, { type: 'Normal', reason: 'DaemonSetRestored' });
  });

  it('that lost its labels by hand gets them back', async () => {
    await kmm.addNodes('bare', nodesOf('bare'), KERNEL);
    const ref = await kmm.apply(aModule('bare').inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilLoaded(ref, 1);
    const [before] = await kmm.daemonSets(ref, 'module-loader');
    const name = { name: before?.metadata.name ?? '', namespace: ref.namespace };
    await kmm.cluster.admin.patch(DAEMONSETS, name, { metadata: { labels: null } });
    await eventually(
      async () => {
        const { metadata } = await kmm.cluster.admin.get(DAEMONSETS, name);
        expect(metadata.labels).toEqual(before?.metadata.labels);
        expect(metadata.uid).toBe(before?.metadata.uid);
      },
      { what: 'the labels to be back' },
    );
  });

  it('that was deleted by hand is created again', async () => {
    await kmm.addNodes('deleted', nodesOf('deleted'), KERNEL);
    const ref = await kmm.apply(aModule('deleted').inNamespace(await kmm.cluster.freshNamespace()));
    await kmm.untilLoaded(ref, 1);
    const [before] = await kmm.daemonSets(ref, 'module-loader');
    await kmm.cluster.admin.delete(DAEMONSETS, { name: before?.metadata.name ?? '', namespace: ref.namespace });
    await eventually(
      async () => {
        const [after] = await kmm.daemonSets(ref, 'module-loader');
        expect(after?.metadata.uid).toEqual(expect.any(String));
        expect(after?.metadata.uid).not.toBe(before?.metadata.uid);
      },
      { what: 'another DaemonSet' },
    );
    await kmm.untilLoaded(ref, 1);
  });

  it('whose name a foreign one has is never made over it; Degraded says so, until the name is free', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('taken', nodesOf('taken'), KERNEL);
    // The name is deterministic: learn it from a Module of the same name.
    const first = await kmm.apply(aModule('taken').inNamespace(namespace));
    await kmm.untilLoaded(first, 1);
    const [ours] = await kmm.daemonSets(first, 'module-loader');
    const name = { name: ours?.metadata.name ?? '', namespace };
    await kmm.deleteModule(first);
    await kmm.untilGone(first);
    const labels = { app: 'somebody-elses' };
    const foreign = await kmm.cluster.admin.create(DAEMONSETS, {
      metadata: name,
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: { nodeSelector: { none: '' }, containers: [{ name: 'c', image: 'registry.test/x:1' }] },
        },
      },
    });
    const ref = await kmm.apply(aModule('taken').inNamespace(namespace));
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'NameTaken' });
    expect(await messageOf(ref, 'Degraded')).toContain(name.name);
    await kmm.untilIdle();
    const now = await kmm.cluster.admin.get(DAEMONSETS, name);
    expect(now.metadata.uid).toBe(foreign.metadata.uid);
    expect(now.metadata.generation).toBe(foreign.metadata.generation);
    expect(now.metadata.labels).toEqual(foreign.metadata.labels);
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
    expect((await kmm.cluster.admin.get(DAEMONSETS, name)).metadata.uid).toBe(foreign.metadata.uid);
    await kmm.cluster.admin.delete(DAEMONSETS, name);
    const last = await kmm.apply(aModule('taken').inNamespace(namespace));
    await kmm.untilLoaded(last, 1);
  });
});

describe('one that is broken blocks no other', () => {
  it('neither node, nor kernel, nor image, nor Module', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.cluster.nodes.create(
      { name: 'apart-a', kernel: KERNEL, labels: nodesOf('apart') },
      { name: 'apart-sim-crash', kernel: KERNEL, labels: nodesOf('apart') },
      { name: 'apart-b', kernel: OTHER, labels: nodesOf('apart') },
      { name: 'apart-c', kernel: '5.0.0', labels: nodesOf('apart') },
    );
    const broken = await kmm.apply(
      aModule('apart')
        .inNamespace(namespace)
        .withKernel(KERNEL, 'registry.test/kmod:1')
        .withKernel(OTHER, 'registry.test/sim-pull-fails:1')
        .withKernel('5.0.0', 'registry.test/kmod:5'),
    );
    const healthy = await kmm.apply(
      aModule('apart-healthy')
        .inNamespace(namespace)
        .withSelector(nodesOf('apart'))
        .withKernel(KERNEL, 'registry.test/kmod:2')
        .withKernel(OTHER, 'registry.test/kmod:2')
        .withKernel('5.0.0', 'registry.test/kmod:2'),
    );
    await eventually(async () => expect((await kmm.module(broken)).status?.loaded).toBe('2/4'), {
      what: 'the two nodes that can have it',
    });
    await eventually(async () => expect((await kmm.module(healthy)).status?.loaded).toBe('3/4'), {
      what: 'the other Module',
    });
    await eventually(
      async () => {
        const { status } = await kmm.module(broken);
        expect(status?.kernels?.map(({ kernelVersion, state }) => [kernelVersion, state])).toEqual([
          ['5.0.0', 'Loaded'],
          [KERNEL, 'LoaderFailing'],
          [OTHER, 'ImagePullFailed'],
        ]);
      },
      { what: 'each kernel to be told of by itself' },
    );
  });

  it('and 256 mappings are as good as one', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('many', nodesOf('many'), KERNEL);
    const kernelMappings = Array.from({ length: 256 }, (_, index) =>
      index === 255
        ? { regexp: '.', containerImage: 'registry.test/kmod:last' }
        : { literal: `0.0.${index}`, containerImage: `registry.test/kmod:${index}` },
    );
    const ref = await kmm.apply(aModule('many').inNamespace(namespace).withSpec({ kernelMappings }));
    const { status } = await kmm.untilLoaded(ref, 1);
    expect(status?.kernels?.[0]?.image).toBe('registry.test/kmod:last');
  });
});
