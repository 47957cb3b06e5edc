import { describe, expect, it } from 'vitest';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import { keysOf, NAMESPACE, specOf, stored } from '../../../test/harness/plan-world.ts';
import type { Container, DaemonSet, PodSpec } from '../../kube/core.ts';
import { devicePluginDaemonSet } from './device-plugin-daemonset.ts';

const base = aModule('m').withDevicePlugin({ image: 'registry.test/plugin:1' });

function renderMaybe(builder: ModuleBuilder, priorityClassName = 'system-node-critical'): DaemonSet | undefined {
  const module = stored(builder);
  return devicePluginDaemonSet({ module, spec: specOf(module), keys: keysOf(module), priorityClassName });
}

function render(builder: ModuleBuilder = base, priorityClassName?: string): DaemonSet {
  const daemonSet = renderMaybe(builder, priorityClassName);
  if (daemonSet === undefined) throw new Error('the Module has no device plugin');
  return daemonSet;
}

const podOf = (builder?: ModuleBuilder): PodSpec => render(builder).spec.template.spec;

function containerOf(builder?: ModuleBuilder): Container {
  const [container] = podOf(builder).containers;
  if (container === undefined) throw new Error('no container');
  return container;
}

const inputsOf = ({ metadata, spec }: DaemonSet) => ({
  own: metadata.annotations?.['kmm.node.kubernetes.io/inputs'],
  pods: spec.template.metadata?.annotations?.['kmm.node.kubernetes.io/inputs'],
});

it('a Module without a device plugin has no DaemonSet for one', () => {
  expect(renderMaybe(aModule('m'))).toBeUndefined();
});

describe('a device-plugin DaemonSet', () => {
  it('is one of its Module, in its namespace, owned by it', () => {
    expect(render().metadata).toMatchObject({
      name: expect.stringMatching(/^m-device-plugin-[0-9a-f]{8}$/),
      namespace: NAMESPACE,
      ownerReferences: [{ kind: 'Module', uid: 'uid-of-m', controller: true }],
      annotations: { 'kmm.node.kubernetes.io/generation': '1' },
    });
  });

  it('selects its pods by Module and role, and labels them so', () => {
    const { spec, metadata } = render();
    expect(spec.selector.matchLabels).toEqual({
      'kmm.node.kubernetes.io/module.name': 'm',
      'kmm.node.kubernetes.io/role': 'device-plugin',
    });
    expect(spec.template.metadata?.labels).toEqual(metadata.labels);
    expect(metadata.labels).toMatchObject({
      ...spec.selector.matchLabels,
      'app.kubernetes.io/component': 'device-plugin',
      'app.kubernetes.io/managed-by': 'kmm',
    });
  });

  it('replaces its pods by itself, as many at once as the upgrade policy says', () => {
    expect(render().spec.updateStrategy).toEqual({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } });
    expect(render(base.withMaxUnavailable('25%')).spec.updateStrategy?.rollingUpdate).toEqual({
      maxUnavailable: '25%',
    });
  });

  it('is another when the upgrade policy changes, and its pods are not', () => {
    const before = inputsOf(render());
    const after = inputsOf(render(base.withMaxUnavailable(5)));
    expect(after.own).not.toBe(before.own);
    expect(after.pods).toBe(before.pods);
  });

  it.each<[string, ModuleBuilder]>([
    ['its container', base.withDevicePlugin({ image: 'registry.test/plugin:2' })],
    ['its ServiceAccount', base.withDevicePlugin({ serviceAccountName: 'sa' })],
    ['the volumes', base.withVolume({ name: 'v', emptyDir: {} })],
    ['the pull secret', base.withPullSecret('s')],
  ])('has other pods when %s changes', (_what, builder) => {
    expect(inputsOf(render(builder)).pods).not.toBe(inputsOf(render()).pods);
    expect(inputsOf(render(builder)).own).not.toBe(inputsOf(render()).own);
  });

  it.each<[string, ModuleBuilder]>([
    ['the loader', base.withLoader({ command: ['x'] })],
    ['the mappings', base.withKernel('5.4.0', 'registry.test/m:2')],
    ['the selector', base.withSelector({ a: 'b' })],
    ['the tolerations', base.withToleration({ key: 'gpu' })],
  ])('stays as it is when %s changes', (_what, builder) => {
    expect(inputsOf(render(builder))).toEqual(inputsOf(render()));
  });
});

describe('a device-plugin pod', () => {
  it('runs only where the module is loaded, and no taint keeps it away', () => {
    expect(podOf().nodeSelector).toEqual({ [keysOf(stored(base)).ready]: '' });
    expect(podOf().tolerations).toEqual([{ operator: 'Exists' }]);
  });

  it('has a token only when it names a ServiceAccount', () => {
    expect(podOf().automountServiceAccountToken).toBe(false);
    expect(podOf(base.withDevicePlugin({ serviceAccountName: 'sa' }))).toMatchObject({
      serviceAccountName: 'sa',
      automountServiceAccountToken: true,
    });
  });

  it('has the priority class of the options, or none, and the pull secret of the Module', () => {
    expect(podOf().priorityClassName).toBe('system-node-critical');
    expect(render(base, '').spec.template.spec).not.toHaveProperty('priorityClassName');
    expect(podOf(base.withPullSecret('s')).imagePullSecrets).toEqual([{ name: 's' }]);
  });

  it("sees the kubelet's device-plugins folder and the user's volumes", () => {
    const builder = base
      .withVolume({ name: 'v', emptyDir: {} })
      .withDevicePlugin({ volumeMounts: [{ name: 'v', mountPath: '/v' }] });
    expect(podOf(builder).volumes).toEqual([
      { name: 'v', emptyDir: {} },
      { name: 'kmm-device-plugins', hostPath: { path: '/var/lib/kubelet/device-plugins', type: 'Directory' } },
    ]);
    expect(containerOf(builder).volumeMounts).toEqual([
      { name: 'v', mountPath: '/v' },
      { name: 'kmm-device-plugins', mountPath: '/var/lib/kubelet/device-plugins' },
    ]);
  });

  it("is the user's container, privileged, under our name", () => {
    const builder = base.withDevicePlugin({ name: 'mine', args: ['-v'], securityContext: { privileged: false } });
    expect(containerOf(builder)).toMatchObject({
      name: 'device-plugin',
      image: 'registry.test/plugin:1',
      args: ['-v'],
      securityContext: { privileged: true },
      terminationMessagePolicy: 'FallbackToLogsOnError',
    });
    expect(containerOf(builder)).not.toHaveProperty('serviceAccountName');
  });
});
