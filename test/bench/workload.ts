/** What the bench has the operator work on: four kernels, and three Modules that select every node. */
import { loadedAnnotation, readyLabel } from '../../src/api/labels.ts';
import type { Node } from '../../src/kube/core.ts';
import { aModule } from '../harness/modules.ts';

export const NAMESPACE = 'bench';

export const KERNELS = ['5.16.11-200.fc35.x86_64', '5.4.0-1054-gke', '5.15.0-1051-aws', '6.1.0-18-amd64'] as const;

/** On every simulated node, and in the selector of every Module. */
export const WORKER_LABEL = { 'node-role.kubernetes.io/worker': '' } as const;

const MODULES = ['alpha', 'beta', 'gamma'] as const;
export const MODULE_COUNT = MODULES.length;

/** One loader DaemonSet for each Module and kernel, and a device plugin for each Module. */
export const DAEMONSET_COUNT = MODULE_COUNT * (KERNELS.length + 1);

/** What `kubectl apply -f -` is given: three Modules with device plugins, every kernel mapped to an image, nothing to build. */
export function modulesManifest(): string {
  const items = MODULES.map((name) => {
    const literals = KERNELS.slice(0, 2).reduce(
      (module, kernel) => module.withKernel(kernel, `registry.test/${name}:${kernel}`),
      aModule(name).inNamespace(NAMESPACE).withSelector(WORKER_LABEL),
    );
    return literals
      .withMapping({ regexp: '-(aws|amd64)$', containerImage: `registry.test/${name}:\${KERNEL_FULL_VERSION}` })
      .withDevicePlugin({ image: `registry.test/${name}-device-plugin:1` })
      .build();
  });
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

/** Whether the node says that all three modules are loaded in this boot of it. */
export function hasEveryModule({ metadata, status }: Node): boolean {
  const bootID = status?.nodeInfo?.bootID ?? '';
  return MODULES.every((name) => {
    const module = { namespace: NAMESPACE, name };
    const isReady = metadata.labels?.[readyLabel(module)] !== undefined;
    return isReady && metadata.annotations?.[loadedAnnotation(module)]?.includes(bootID) === true;
  });
}
