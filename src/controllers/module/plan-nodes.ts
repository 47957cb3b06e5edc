import type { Node } from '../../kube/core.ts';
import type { DaemonSetRecord, PodRecord } from '../records.ts';
import { type LoadedRecord, parseLoadedRecord } from './loaded-record.ts';
import type { KernelPlan } from './plan-kernels.ts';
import { isAlive, type Placement, planPlacement } from './plan-placement.ts';
import { planReady, type Readiness } from './plan-ready.ts';
import type { ModuleSnapshot } from './snapshot.ts';

/** One node as this Module should have it, and what stands in the way. */
export interface NodePlan {
  readonly node: Node;
  readonly alive: boolean;
  readonly kernel: KernelPlan | undefined;
  readonly placement: Placement;
  /** Value of the load label that is due; undefined means no label. */
  readonly load: string | undefined;
  readonly ready: boolean;
  readonly record: LoadedRecord | undefined;
  /** The loader pod that counts: of the node's kernel, not terminating. */
  readonly loader: PodRecord | undefined;
  /** Pods of the Module on this node, terminating ones too. */
  readonly loaderPods: readonly PodRecord[];
  readonly pluginPods: readonly PodRecord[];
  /** The loader pod was made from inputs that are no longer the DaemonSet's. */
  readonly outdated: boolean;
  /** The Node still says that its loader is being replaced: the patch that gives back the ready label is not written yet. */
  readonly markedReplacing?: boolean;
  /** The Node still carries the ready label: the patch that takes it, where it is due, is not written yet. */
  readonly markedReady?: boolean;
  readonly lookAgainAtMs?: number;
}

/** Plans every node that has, or should have, anything of this Module; rollout is laid over it afterwards. */
export function planNodes(
  snapshot: ModuleSnapshot,
  nodes: readonly Node[],
  kernels: ReadonlyMap<string, KernelPlan>,
  kernelOf: (node: Node) => KernelPlan | undefined,
): NodePlan[] {
  const loaderPodsByNode = byNode(snapshot.loaderPods);
  const pluginPodsByNode = byNode(snapshot.pluginPods);
  const daemonSets = new Map(snapshot.loaderDaemonSets.map((daemonSet) => [daemonSet.kernelKey, daemonSet]));
  return nodes.map((node) => {
    const name = node.metadata.name ?? '';
    return planNode(
      snapshot,
      node,
      kernelOf(node),
      loaderPodsByNode.get(name) ?? [],
      pluginPodsByNode.get(name) ?? [],
      daemonSets,
      kernels,
    );
  });
}

function planNode(
  snapshot: ModuleSnapshot,
  node: Node,
  kernel: KernelPlan | undefined,
  loaderPods: readonly PodRecord[],
  pluginPods: readonly PodRecord[],
  daemonSets: ReadonlyMap<string, DaemonSetRecord>,
  kernels: ReadonlyMap<string, KernelPlan>,
): NodePlan {
  const placement = planPlacement(snapshot, node, kernel, loaderPods);
  const existing = parseLoadedRecord(node.metadata.annotations?.[snapshot.keys.loaded]);
  const markedReady = node.metadata.labels?.[snapshot.keys.ready] !== undefined;
  const plan = {
    node,
    alive: isAlive(node),
    kernel,
    placement,
    loaderPods,
    pluginPods,
  };
  const absent = { ...plan, load: undefined, ready: false, record: undefined, loader: undefined, outdated: false };
  switch (placement.verdict) {
    case 'outside':
      return absent;
    case 'withheld':
      return absent;
    case 'leaving': {
      // A boot with another kernel has nothing of ours loaded, so the label goes at once. Otherwise the plugin's users go first:
      // the ready label is taken, and the load label stays until no plugin pod is left on a node that can still stop one. The record stays
      // with it: whoever comes back after a reboot in between must not be taken for one that was never loaded. As long as the ready label is
      // there, a plugin pod may come that nobody has seen yet.
      const mayHaveUsers = pluginPods.length > 0 || (snapshot.pluginDaemonSets.length > 0 && markedReady);
      const wait = placement.why !== 'KernelChanged' && plan.alive && mayHaveUsers;
      return wait ? { ...absent, load: placement.key, record: withoutMark(existing) } : absent;
    }
    case 'placed':
    case 'grace': {
      const loader = loaderPods.find(
        (pod) => pod.metadata.deletionTimestamp === undefined && pod.kernelKey === placement.key,
      );
      const bootID = node.status?.nodeInfo?.bootID ?? '';
      const wanted = daemonSets.get(placement.key)?.inputs ?? kernels.get(placement.key)?.inputs;
      const outdated = loader !== undefined && wanted !== undefined && loader.inputs !== wanted;
      // An outdated loader that is being replaced is as good as gone, however ready it still is.
      const readiness: Readiness =
        outdated && existing?.replacingSince !== undefined
          ? { ready: false, record: existing }
          : planReady(existing, bootID, loader, snapshot.nowMs, plan.alive);
      return {
        ...plan,
        load: placement.key,
        ready: readiness.ready,
        record: readiness.record,
        loader,
        outdated,
        markedReplacing: existing?.replacingSince !== undefined,
        markedReady,
        ...(readiness.lookAgainAtMs === undefined ? {} : { lookAgainAtMs: readiness.lookAgainAtMs }),
      };
    }
  }
}

/** A node that leaves is not being replaced any more. */
function withoutMark(record: LoadedRecord | undefined): LoadedRecord | undefined {
  if (record === undefined) return undefined;
  const { replacingSince: _done, ...rest } = record;
  return rest;
}

function byNode(pods: readonly PodRecord[]): Map<string, PodRecord[]> {
  const groups = new Map<string, PodRecord[]>();
  for (const pod of pods) {
    const group = groups.get(pod.node);
    if (group === undefined) groups.set(pod.node, [pod]);
    else group.push(pod);
  }
  return groups;
}
