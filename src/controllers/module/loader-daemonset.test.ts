import { describe, expect, it } from 'vitest';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import { aNode, aSnapshot, keyOf, keysOf, NAMESPACE, stored } from '../../../test/harness/plan-world.ts';
import type { Container, DaemonSet, PodSpec } from '../../kube/core.ts';
import { loaderDaemonSet } from './loader-daemonset.ts';
import { planKernels } from './plan-kernels.ts';

const KERNEL = '5.4.0-1054-gke';
const IMAGE = `registry.test/kmod:${KERNEL}`;

function render(
  builder: ModuleBuilder = aModule('m'),
  kernel = KERNEL,
  priorityClassName = 'system-node-critical',
): DaemonSet {
  const module = stored(builder);
  const snapshot = aSnapshot(module).build();
  const [plan] = planKernels(snapshot, [aNode('n1').running(kernel).build()]).values();
  if (plan === undefined) throw new Error('the kernel was not planned');
  const context = { module, spec: snapshot.spec, keys: snapshot.keys, priorityClassName };
  return loaderDaemonSet(context, plan, IMAGE, 'the-inputs');
}

const podOf = (builder?: ModuleBuilder): PodSpec => render(builder).spec.template.spec;

function containerOf(builder?: ModuleBuilder): Container {
  const { containers } = podOf(builder);
  const [container] = containers;
  if (container === undefined || containers.length !== 1) throw new Error(`${containers.length} containers`);
  return container;
}

describe('a loader DaemonSet', () => {
  it('stands in the namespace of its Module, is owned by it and named after it and the kernel', () => {
    expect(render().metadata).toMatchObject({
      name: expect.stringMatching(/^m-5-4-0-1054-gke-/),
      namespace: NAMESPACE,
      ownerReferences: [{ kind: 'Module', name: 'm', uid: 'uid-of-m', controller: true }],
    });
  });

  it('carries the labels by which people and we find it, and so do its pods', () => {
    const { metadata, spec } = render();
    expect(metadata.labels).toEqual({
      'kmm.node.kubernetes.io/module.name': 'm',
      'kmm.node.kubernetes.io/role': 'module-loader',
      'kmm.node.kubernetes.io/kernel-version.full': KERNEL,
      'kubernetes.io/arch': 'amd64',
      'app.kubernetes.io/name': 'kmm',
      'app.kubernetes.io/component': 'module-loader',
      'app.kubernetes.io/instance': 'm',
      'app.kubernetes.io/part-of': 'kmm',
      'app.kubernetes.io/managed-by': 'kmm',
    });
    expect(spec.template.metadata?.labels).toEqual(metadata.labels);
  });

  it('selects its pods by Module, role, kernel and architecture, so that no other of ours has them', () => {
    const labels = render().spec.template.metadata?.labels;
    const { matchLabels } = render().spec.selector;
    expect(Object.keys(matchLabels).sort()).toEqual([
      'kmm.node.kubernetes.io/kernel-version.full',
      'kmm.node.kubernetes.io/module.name',
      'kmm.node.kubernetes.io/role',
      'kubernetes.io/arch',
    ]);
    expect(labels).toMatchObject(matchLabels);
  });

  it('makes a release that is no label value into one, and keeps the release itself as an annotation', () => {
    const odd = render(aModule('m'), '6.1.0 ~ü+');
    expect(odd.metadata.labels?.['kmm.node.kubernetes.io/kernel-version.full']).toMatch(/^6\.1\.0_[0-9a-f]{8}$/);
    expect(odd.metadata.annotations?.['kmm.node.kubernetes.io/kernel-version']).toBe('6.1.0 ~ü+');
  });

  it('says what it was made from, on itself and on its pods, and which generation our write leads to', () => {
    const { metadata, spec } = render();
    expect(metadata.annotations).toMatchObject({
      'kmm.node.kubernetes.io/inputs': 'the-inputs',
      'kmm.node.kubernetes.io/generation': '1',
    });
    expect(spec.template.metadata?.annotations).toEqual({ 'kmm.node.kubernetes.io/inputs': 'the-inputs' });
  });

  it('never replaces a pod by itself', () => {
    expect(render().spec.updateStrategy).toEqual({ type: 'OnDelete' });
  });
});

describe('a loader pod', () => {
  it('runs where our load label names its kernel, and nothing else decides that', () => {
    expect(podOf().nodeSelector).toEqual({ [keysOf(stored(aModule('m'))).load]: keyOf(KERNEL) });
    expect(podOf()).not.toHaveProperty('affinity');
  });

  it('tolerates every taint, whatever spec.tolerations says', () => {
    expect(podOf().tolerations).toEqual([{ operator: 'Exists' }]);
    expect(podOf(aModule('m').withToleration({ key: 'gpu' })).tolerations).toEqual([{ operator: 'Exists' }]);
  });

  it('has the priority class of the options, or none', () => {
    expect(podOf().priorityClassName).toBe('system-node-critical');
    expect(render(aModule('m'), KERNEL, '').spec.template.spec).not.toHaveProperty('priorityClassName');
  });

  it('has no service-account token and no environment of services, also with a ServiceAccount of its own', () => {
    expect(podOf()).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(podOf()).not.toHaveProperty('serviceAccountName');
    expect(podOf(aModule('m').withLoader({ serviceAccountName: 'sa' }))).toMatchObject({
      serviceAccountName: 'sa',
      automountServiceAccountToken: false,
    });
  });

  it('pulls with the secret of the Module, or with none', () => {
    expect(podOf()).not.toHaveProperty('imagePullSecrets');
    expect(podOf(aModule('m').withPullSecret('s')).imagePullSecrets).toEqual([{ name: 's' }]);
  });

  it('has 120 s to unload, or what the user says', () => {
    expect(podOf().terminationGracePeriodSeconds).toBe(120);
    expect(podOf(aModule('m').withLoader({ terminationGracePeriodSeconds: 7 })).terminationGracePeriodSeconds).toBe(7);
  });

  it("has the user's volumes and the host's /lib/modules, which must be there", () => {
    expect(podOf(aModule('m').withVolume({ name: 'fw', emptyDir: {} })).volumes).toEqual([
      { name: 'fw', emptyDir: {} },
      { name: 'kmm-lib-modules', hostPath: { path: '/lib/modules', type: 'Directory' } },
    ]);
  });

  it('sees no host namespace', () => {
    for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) expect(podOf()).not.toHaveProperty(field);
  });
});

describe('the loader container', () => {
  it("is the user's, with our name and the image of the mapping", () => {
    const container = containerOf(
      aModule('m').withLoader({
        name: 'mine',
        image: 'registry.test/mine',
        command: ['load'],
        env: [{ name: 'A', value: 'b' }],
        lifecycle: { preStop: { exec: { command: ['unload'] } } },
      }),
    );
    expect(container).toMatchObject({
      name: 'module-loader',
      image: IMAGE,
      command: ['load'],
      env: [{ name: 'A', value: 'b' }],
      lifecycle: { preStop: { exec: { command: ['unload'] } } },
    });
  });

  it('has two seconds between its end and SIGTERM, which a pid 1 that has only begun would never see', () => {
    const lifecycle = (loader: Parameters<ModuleBuilder['withLoader']>[0] = {}) =>
      containerOf(aModule('m').withLoader(loader)).lifecycle;
    expect(lifecycle()).toEqual({ preStop: { sleep: { seconds: 2 } } });
    // The API server refuses a sleep that is longer than the grace period.
    expect(lifecycle({ terminationGracePeriodSeconds: 1 })).toEqual({ preStop: { sleep: { seconds: 1 } } });
    const postStart = { exec: { command: ['load'] } };
    expect(lifecycle({ lifecycle: { postStart } })).toEqual({ postStart, preStop: { sleep: { seconds: 2 } } });
    const preStop = { exec: { command: ['unload'] } };
    expect(lifecycle({ lifecycle: { preStop } })).toEqual({ preStop });
  });

  it("holds nothing of the Module's that is no field of a Container", () => {
    const container = containerOf(
      aModule('m').withLoader({ serviceAccountName: 'sa', terminationGracePeriodSeconds: 7 }),
    );
    expect(container).not.toHaveProperty('serviceAccountName');
    expect(container).not.toHaveProperty('terminationGracePeriodSeconds');
  });

  it("sees the host's /lib/modules read-only at both paths, after the user's own mounts", () => {
    const mounts = containerOf(
      aModule('m').withLoader({ volumeMounts: [{ name: 'fw', mountPath: '/fw' }] }),
    ).volumeMounts;
    expect(mounts).toEqual([
      { name: 'fw', mountPath: '/fw' },
      { name: 'kmm-lib-modules', mountPath: '/lib/modules', readOnly: true },
      { name: 'kmm-lib-modules', mountPath: '/usr/lib/modules', readOnly: true },
    ]);
  });

  it('tells the end of its log when it fails, unless the user wants otherwise', () => {
    expect(containerOf().terminationMessagePolicy).toBe('FallbackToLogsOnError');
    expect(containerOf(aModule('m').withLoader({ terminationMessagePolicy: 'File' })).terminationMessagePolicy).toBe(
      'File',
    );
  });

  it('is allowed to load modules and nothing more', () => {
    expect(containerOf().securityContext).toEqual({
      runAsUser: 0,
      privileged: false,
      allowPrivilegeEscalation: false,
      seccompProfile: { type: 'RuntimeDefault' },
      capabilities: { add: ['SYS_MODULE'], drop: ['ALL'] },
    });
  });

  it("honours the user's security context", () => {
    const { securityContext } = containerOf(aModule('m').withLoader({ securityContext: { privileged: true } }));
    expect(securityContext).toMatchObject({ privileged: true });
    expect(securityContext).not.toHaveProperty('allowPrivilegeEscalation');
  });
});
