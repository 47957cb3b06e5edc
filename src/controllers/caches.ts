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
import { followNamespaces, type ObjectCache } from '../kube/namespaced-informers.ts';
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
  readonly modules: ObjectCache<Module>;
  readonly nodes: ObjectCache<Node>;
  readonly daemonSets: ObjectCache<DaemonSet, DaemonSetRecord>;
  readonly pods: ObjectCache<Pod, PodRecord>;
  readonly buildPods: ObjectCache<Pod, BuildRecord>;
  readonly refusals: ObjectCache<Event, RefusalRecord>;
}

/** Index of DaemonSets and pods by the Module they are of: `namespace/<label-safe name>`. */
export const BY_MODULE = 'module';
/** Index of refusals by uid of the DaemonSet. */
export const BY_DAEMONSET = 'daemonset';

/** @param namespaces those whose Modules are ours; empty for all. Nodes belong to none. */
export function createCaches(
  client: KubeClient,
  engine: BuildEngine,
  observer?: InformerObserver,
  namespaces: readonly string[] = [],
): Caches {
  // Only objects that carry our labels: in a cluster with 150,000 pods that is what keeps the operator small.
  const labelSelector = `${MODULE_NAME_LABEL},${ROLE_LABEL} in (${MODULE_LOADER_ROLE},${DEVICE_PLUGIN_ROLE})`;
  const shared = { client, ...(observer === undefined ? {} : { observer }) };
  const caches: Caches = {
    modules: followNamespaces({ ...shared, resource: MODULES, transform: trimModule }, namespaces),
    nodes: new Informer({ ...shared, resource: NODES, transform: trimNode }),
    daemonSets: followNamespaces(
      { ...shared, resource: DAEMONSETS, labelSelector, transform: trimDaemonSet },
      namespaces,
    ),
    pods: followNamespaces({ ...shared, resource: PODS, labelSelector, transform: trimPod }, namespaces),
    buildPods: followNamespaces(
      {
        ...shared,
        resource: PODS,
        labelSelector: `${MODULE_NAME_LABEL},${ROLE_LABEL}=${IMAGE_BUILD_ROLE}`,
        transform: (pod: Pod) => engine.observe(pod),
      },
      namespaces,
    ),
    refusals: followNamespaces(
      {
        ...shared,
        resource: EVENTS,
        // The DaemonSet controller tells nobody but an Event why its pods are refused.
        fieldSelector: 'involvedObject.kind=DaemonSet,reason=FailedCreate',
        transform: trimRefusal,
      },
      namespaces,
    ),
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

export function allCaches(caches: Caches): readonly Pick<ObjectCache<Module>, 'run' | 'waitForSync' | 'synced'>[] {
  return [caches.modules, caches.nodes, caches.daemonSets, caches.pods, caches.buildPods, caches.refusals];
}
