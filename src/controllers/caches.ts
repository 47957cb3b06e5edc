import {
  DEVICE_PLUGIN_ROLE,
  IMAGE_BUILD_ROLE,
  MODULE_LOADER_ROLE,
  MODULE_NAME_LABEL,
  ROLE_LABEL,
} from '../api/labels.ts';
import { MODULES, type Module } from '../api/module.ts';
import type { BuildEngine, BuildRecord } from '../build/engines/engine.ts';
import { labelSafe } from '../kernel/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { DAEMONSETS, type DaemonSet, EVENTS, type Event, NODES, type Node, PODS, type Pod } from '../kube/core.ts';
import { Informer, type InformerObserver } from '../kube/informer.ts';
import {
  type DaemonSetRecord,
  type PodRecord,
  type RefusalRecord,
  trimDaemonSet,
  trimModule,
  trimNode,
  trimPod,
  trimRefusal,
} from './records.ts';

/** Everything the controllers know of the world. */
export interface Caches {
  readonly modules: Informer<Module>;
  readonly nodes: Informer<Node>;
  readonly daemonSets: Informer<DaemonSet, DaemonSetRecord>;
  readonly pods: Informer<Pod, PodRecord>;
  readonly buildPods: Informer<Pod, BuildRecord>;
  readonly refusals: Informer<Event, RefusalRecord>;
}

/** Index of DaemonSets and pods by the Module they are of: `namespace/<label-safe name>`. */
export const BY_MODULE = 'module';
/** Index of refusals by uid of the DaemonSet. */
export const BY_DAEMONSET = 'daemonset';

export function createCaches(client: KubeClient, engine: BuildEngine, observer?: InformerObserver): Caches {
  // Only objects that carry our labels: in a cluster with 150,000 pods that is what keeps the operator small.
  const labelSelector = `${MODULE_NAME_LABEL},${ROLE_LABEL} in (${MODULE_LOADER_ROLE},${DEVICE_PLUGIN_ROLE})`;
  const shared = { client, ...(observer === undefined ? {} : { observer }) };
  const caches: Caches = {
    modules: new Informer({ ...shared, resource: MODULES, transform: trimModule }),
    nodes: new Informer({ ...shared, resource: NODES, transform: trimNode }),
    daemonSets: new Informer({ ...shared, resource: DAEMONSETS, labelSelector, transform: trimDaemonSet }),
    pods: new Informer({ ...shared, resource: PODS, labelSelector, transform: trimPod }),
    buildPods: new Informer({
      ...shared,
      resource: PODS,
      labelSelector: `${MODULE_NAME_LABEL},${ROLE_LABEL}=${IMAGE_BUILD_ROLE}`,
      transform: (pod: Pod) => engine.observe(pod),
    }),
    refusals: new Informer({
      ...shared,
      resource: EVENTS,
      // The DaemonSet controller tells nobody but an Event why its pods are refused.
      fieldSelector: 'involvedObject.kind=DaemonSet,reason=FailedCreate',
      transform: trimRefusal,
    }),
  };
  caches.modules.store.addIndex(BY_MODULE, ({ metadata }) => [
    moduleIndexKey(metadata.namespace ?? '', labelSafe(metadata.name ?? '')),
  ]);
  for (const informer of [caches.daemonSets, caches.pods, caches.buildPods]) {
    informer.store.addIndex(BY_MODULE, ({ metadata, moduleLabel }) => [
      moduleIndexKey(metadata.namespace ?? '', moduleLabel),
    ]);
  }
  caches.refusals.store.addIndex(BY_DAEMONSET, ({ daemonSetUID }) => [daemonSetUID]);
  return caches;
}

export function moduleIndexKey(namespace: string, moduleLabel: string): string {
  return `${namespace}/${moduleLabel}`;
}

export function allCaches(caches: Caches): readonly Pick<Informer<Module>, 'run' | 'waitForSync' | 'synced'>[] {
  return [caches.modules, caches.nodes, caches.daemonSets, caches.pods, caches.buildPods, caches.refusals];
}
