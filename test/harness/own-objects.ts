/** The operator's objects as it makes them, for tests that send them to the API server themselves. */
import { buildPod } from '../../src/build/engines/pod.ts';
import type { BuildIsolation } from '../../src/build/engines/pod-security.ts';
import { devicePluginDaemonSet } from '../../src/controllers/module/device-plugin-daemonset.ts';
import { loaderDaemonSet } from '../../src/controllers/module/loader-daemonset.ts';
import { planKernels } from '../../src/controllers/module/plan-kernels.ts';
import type { DaemonSet, Pod } from '../../src/kube/core.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { aBuild } from './builds.ts';
import { aModule, type ModuleBuilder } from './modules.ts';
import { aNode, aSnapshot, keysOf, specOf, stored } from './plan-world.ts';

const KERNEL = '6.1.0-50-cloud-amd64';
const PRIORITY_CLASS = 'system-node-critical';

/** In another namespace than that of the builders. */
function within<T extends KubeObject>(namespace: string, object: T): T {
  return { ...object, metadata: { ...object.metadata, namespace } };
}

export function anOwnLoader(namespace: string, builder: ModuleBuilder = aModule('m')): DaemonSet {
  const module = stored(builder);
  const { spec, keys } = aSnapshot(module).build();
  const [kernel] = planKernels(aSnapshot(module).build(), [aNode('n').running(KERNEL).build()]).values();
  if (kernel === undefined) throw new Error('no kernel was planned');
  const context = { module, spec, keys, priorityClassName: PRIORITY_CLASS };
  return within(namespace, loaderDaemonSet(context, kernel, 'registry.test/kmod:1', 'inputs'));
}

export function anOwnPlugin(namespace: string, builder: ModuleBuilder = aModule('m').withDevicePlugin()): DaemonSet {
  const module = stored(builder);
  const context = { module, spec: specOf(module), keys: keysOf(module), priorityClassName: PRIORITY_CLASS };
  const daemonSet = devicePluginDaemonSet(context);
  if (daemonSet === undefined) throw new Error('the Module has no device plugin');
  return within(namespace, daemonSet);
}

export function anOwnBuildPod(namespace: string, isolation: BuildIsolation = { kind: 'user-namespace' }): Pod {
  return within(namespace, buildPod(aBuild(), { builderImage: 'builder.test/kmm:1', isolation: () => isolation }));
}

/** A pod as a DaemonSet makes it, without the node it would be bound to. */
export function podOf({ metadata, spec }: DaemonSet): Pod {
  const { template } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${metadata.name}-`,
      namespace: metadata.namespace,
      labels: template.metadata?.labels,
      annotations: template.metadata?.annotations,
    },
    spec: template.spec,
  };
}
