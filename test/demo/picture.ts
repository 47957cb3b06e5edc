/** From the API's objects to what a person wants to know of each node. Pure. */
import {
  DEVICE_PLUGIN_ROLE,
  KERNEL_LABEL,
  loadLabel,
  MODULE_LOADER_ROLE,
  ROLE_LABEL,
  readyLabel,
} from '../../src/api/labels.ts';
import type { Module } from '../../src/api/module.ts';
import { isAlive } from '../../src/controllers/module/plan-placement.ts';
import type { Node, Pod } from '../../src/kube/core.ts';
import { MODULE, NAMESPACE } from './cast.ts';
import type { World } from './world.ts';

export type PodState = 'starting' | 'running' | 'failing' | 'stopping';

export interface PodPicture {
  readonly uid: string;
  readonly name: string;
  readonly image: string;
  readonly state: PodState;
  readonly restarts: number;
}

export interface NodePicture {
  readonly name: string;
  readonly kernel: string;
  /** Value of the kernel label; undefined when there is none. */
  readonly kernelLabel: string | undefined;
  readonly up: boolean;
  readonly cordoned: boolean;
  /** It carries the load label: the operator wants a loader on it. */
  readonly placed: boolean;
  /** It carries the ready label: the module is in its kernel. */
  readonly loaded: boolean;
  readonly loader: PodPicture | undefined;
  readonly plugin: PodPicture | undefined;
  /** State of its kernel in the Module's status, where it is no more than that; undefined when the Module does not name it. */
  readonly kernelState: string | undefined;
  readonly selected: boolean;
}

export interface Picture {
  /** By name, as people count: node-2 before node-10. */
  readonly nodes: readonly NodePicture[];
  readonly module: Module | undefined;
}

const KEYS = {
  load: loadLabel({ namespace: NAMESPACE, name: MODULE }),
  ready: readyLabel({ namespace: NAMESPACE, name: MODULE }),
};

export function pictureOf(world: World): Picture {
  const module = world.modules.get(`${NAMESPACE}/${MODULE}`);
  // A pod that builds an image may be anywhere, and says nothing of the node that it is on.
  const ours = [...world.pods.values()].filter((pod) => isLoader(pod) || isPlugin(pod));
  const nodes = [...world.nodes.values()].map((node) => {
    const here = ours.filter((pod) => nodeOf(pod) === node.metadata.name);
    return nodePicture(node, here, module);
  });
  return { nodes: nodes.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true })), module };
}

function nodePicture(node: Node, pods: readonly Pod[], module: Module | undefined): NodePicture {
  const labels = node.metadata.labels ?? {};
  const kernel = node.status?.nodeInfo?.kernelVersion ?? '';
  const selector = Object.entries(module?.spec.selector ?? {});
  return {
    name: node.metadata.name ?? '',
    kernel,
    kernelLabel: labels[KERNEL_LABEL],
    up: isAlive(node),
    cordoned: node.spec?.unschedulable === true,
    placed: labels[KEYS.load] !== undefined,
    loaded: labels[KEYS.ready] !== undefined,
    loader: podPicture(pods.filter(isLoader)),
    plugin: podPicture(pods.filter((pod) => !isLoader(pod))),
    kernelState: module?.status?.kernels?.find(({ kernelVersion }) => kernelVersion === kernel)?.state,
    selected: selector.every(([key, value]) => labels[key] === value),
  };
}

export function isLoader({ metadata }: Pod): boolean {
  return metadata.labels?.[ROLE_LABEL] === MODULE_LOADER_ROLE;
}

function isPlugin({ metadata }: Pod): boolean {
  return metadata.labels?.[ROLE_LABEL] === DEVICE_PLUGIN_ROLE;
}

/** The node that a pod is bound to, or that its DaemonSet has meant it for. */
export function nodeOf({ spec }: Pod): string | undefined {
  const [term] = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return spec?.nodeName ?? term?.matchFields?.[0]?.values?.[0];
}

/** Of several pods the one that stays: an old one may still be stopping beside it. */
function podPicture(pods: readonly Pod[]): PodPicture | undefined {
  const pod = pods.find(({ metadata }) => metadata.deletionTimestamp === undefined) ?? pods[0];
  if (pod === undefined) return undefined;
  return {
    uid: pod.metadata.uid ?? '',
    name: pod.metadata.name ?? '',
    image: pod.spec?.containers[0]?.image ?? '',
    state: stateOf(pod),
    restarts: pod.status?.containerStatuses?.[0]?.restartCount ?? 0,
  };
}

function stateOf({ metadata, status }: Pod): PodState {
  if (metadata.deletionTimestamp !== undefined) return 'stopping';
  const [container] = status?.containerStatuses ?? [];
  if (container?.state?.terminated !== undefined || container?.state?.waiting?.reason?.endsWith('BackOff') === true) {
    return 'failing';
  }
  return container?.ready === true ? 'running' : 'starting';
}
