import type { Module } from '../../api/module.ts';
import type { NormalizedModule } from '../../api/normalize.ts';
import type { BuildRecord } from '../../build/engines/engine.ts';
import type { ClusterRegistry } from '../../kernel/cluster-registry.ts';
import type { Node } from '../../kube/core.ts';
import type { ConfigMapLookup } from '../image/config-map-watches.ts';
import type { DriverToolkitImage } from '../image/driver-toolkit.ts';
import type { RetryPolicy } from '../image/progress.ts';
import type { DaemonSetRecord, PodRecord, RefusalRecord } from '../records.ts';

/** The keys under which a Module's state stands on a Node. */
export interface NodeKeys {
  /** Label: the kernel key whose loader may run on the node. */
  readonly load: string;
  /** Label: the module is in the kernel of this boot. */
  readonly ready: string;
  /** Annotation: the boot and the container in which it was seen loaded ({@link LoadedRecord}). */
  readonly loaded: string;
}

/** How long each node that carries the load label has not matched the selector, and whether an edit of the selector is why. */
export interface SelectorMemory {
  readonly selector: Readonly<Record<string, string>>;
  readonly unmatched: ReadonlyMap<string, Unmatched>;
}

export interface Unmatched {
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  readonly cause: 'SelectorEdited' | 'LabelVanished';
}

/** What is known of the images that are built for a Module. */
export interface BuildsWorld {
  /** Builds for this Module, those on their way out too. */
  readonly records: readonly BuildRecord[];
  /** A ConfigMap of the Module's namespace. */
  readonly configMap: (name: string) => ConfigMapLookup;
  /** Why the API server refused an object of the build of this key. */
  readonly refusal: (key: string) => string | undefined;
  readonly retry: RetryPolicy;
  /** OpenShift's image to build drivers in, for nodes that run these; absent elsewhere. */
  readonly driverToolkit?: (osImages: readonly string[]) => DriverToolkitImage;
  /** What builds that push to the cluster's registry wait for; undefined where they need not. */
  readonly registryProblem: string | undefined;
}

/** Everything one decision about a Module is made from. Nothing else is read: same snapshot, same plan. */
export interface ModuleSnapshot {
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  readonly module: Module;
  readonly spec: NormalizedModule;
  readonly keys: NodeKeys;
  readonly nodes: readonly Node[];
  readonly loaderDaemonSets: readonly DaemonSetRecord[];
  readonly pluginDaemonSets: readonly DaemonSetRecord[];
  readonly loaderPods: readonly PodRecord[];
  readonly pluginPods: readonly PodRecord[];
  /** By uid of the DaemonSet whose pods the API server refused. */
  readonly refusals: ReadonlyMap<string, RefusalRecord>;
  readonly selectorMemory: SelectorMemory;
  /** Nodes whose `replacing` mark the plan before asked for, whether it is written or not. */
  readonly marksAsked: ReadonlySet<string>;
  /** By node: why the API server does not take what is due there. */
  readonly nodeRefusals: ReadonlyMap<string, string>;
  readonly builds: BuildsWorld;
  readonly options: ModuleOptions;
}

export interface ModuleOptions {
  /** How long a selector label must be missing from a node before its module is unloaded. */
  readonly selectorGracePeriodMs: number;
  /** Priority class of loader and plugin pods; the empty string sets none. */
  readonly priorityClassName: string;
  /** Absent: a mapping has to name its image. */
  readonly registry?: ClusterRegistry;
}
