import { DEVICE_PLUGIN_ROLE, MODULE_LOADER_ROLE, MODULE_NAME_LABEL, ROLE_LABEL } from '../api/labels.ts';
import { MODULES, type Module } from '../api/module.ts';
import type { BuildEngine } from '../build/engines/engine.ts';
import { IMAGE_STREAMS, type ImageStream } from '../build/engines/openshift-objects.ts';
import { labelSafe } from '../kernel/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { DAEMONSETS, type DaemonSet, EVENTS, type Event, NODES, type Node, PODS, type Pod } from '../kube/core.ts';
import { Informer, type InformerObserver } from '../kube/informer.ts';
import { followNamespaces, type ObjectCache } from '../kube/namespaced-informers.ts';
import type { KubeObject } from '../kube/objects.ts';
import { BuildCache } from './image/build-cache.ts';
import { type DriverToolkit, trimDriverToolkit } from './image/driver-toolkit.ts';
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
  readonly builds: BuildCache;
  readonly refusals: ObjectCache<Event, RefusalRecord>;
  /** OpenShift's ImageStream of that name; absent elsewhere. */
  readonly driverToolkit?: Informer<ImageStream, DriverToolkit>;
}

/** Index of DaemonSets and pods by the Module they are of: `namespace/<label-safe name>`. */
export const BY_MODULE = 'module';
/** Index of refusals by uid of the DaemonSet. */
export const BY_DAEMONSET = 'daemonset';

export interface CacheOptions {
  readonly engine: BuildEngine;
  /** Whether OpenShift's images for building drivers are to be known. */
  readonly driverToolkit?: boolean;
  readonly observer?: InformerObserver;
  /** Those whose Modules are ours; empty for all. Nodes belong to none. */
  readonly namespaces?: readonly string[];
}

export function createCaches(client: KubeClient, options: CacheOptions): Caches {
  const { engine, driverToolkit, observer, namespaces = [] } = options;
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
    builds: new BuildCache(client, { engine, namespaces, ...(observer === undefined ? {} : { observer }) }),
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
    ...(driverToolkit === true
      ? {
          driverToolkit: new Informer({
            ...shared,
            resource: IMAGE_STREAMS,
            namespace: 'openshift',
            fieldSelector: 'metadata.name=driver-toolkit',
            transform: trimDriverToolkit,
          }),
        }
      : {}),
  };
  caches.modules.store.addIndex(BY_MODULE, ({ metadata }) => [
    moduleIndexKey(metadata.namespace ?? '', labelSafe(metadata.name ?? '')),
  ]);
  for (const informer of [caches.daemonSets, caches.pods]) {
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

/** What all caches have, whatever they hold. */
type AnyCache = Pick<ObjectCache<Module>, 'run' | 'waitForSync' | 'synced' | 'lastEventAt'> & {
  readonly store: { readonly size: number; list(): readonly Pick<KubeObject, 'metadata'>[] };
};

/** By what they hold. */
export function allCaches({ builds, ...informers }: Caches): ReadonlyMap<string, AnyCache> {
  return new Map<string, AnyCache>([...Object.entries(informers), ...builds.informers]);
}
