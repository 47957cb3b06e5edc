import { isReady } from '../../kube/conditions.ts';
import type { Node, Taint, Toleration } from '../../kube/core.ts';
import { matchesLabels } from '../../kube/selectors.ts';
import { toleratesTaint } from '../../kube/taints.ts';
import type { PodRecord } from '../records.ts';
import { parseLoadedRecord } from './loaded-record.ts';
import type { KernelPlan } from './plan-kernels.ts';
import { runnableImage } from './plan-kernels.ts';
import type { ModuleSnapshot } from './snapshot.ts';

/**
 * Whether a node carries the load label, and why. The label is given by selector, taints and mapping; it is taken only because a
 * person edited the Module, because a selector label stayed away, or because the node runs another kernel (invariant I1).
 */
export type Placement =
  /** Neither selected nor carrying the label. */
  | { readonly verdict: 'outside' }
  /** The node should have the module, or would but for `why`; it gets no label now. */
  | {
      readonly verdict: 'withheld';
      readonly why: WithheldReason;
      readonly message: string;
      /** Without `why`, a taint would withhold it still: the node is down, or kept for others. */
      readonly taintedToo?: true;
    }
  /** The node has, or gets, the label of its own kernel. */
  | { readonly verdict: 'placed'; readonly key: string }
  /** The label stays for now although the node no longer matches the selector. */
  | { readonly verdict: 'grace'; readonly key: string; readonly untilMs: number }
  /** The label goes: after the device plugin where the module may be loaded, at once where it cannot be. */
  | { readonly verdict: 'leaving'; readonly key: string; readonly why: LeavingReason };

type Withheld = Extract<Placement, { verdict: 'withheld' }>;

export type WithheldReason =
  | 'Tainted'
  | 'NodeNotReady'
  | 'KernelUnknown'
  | 'NoKernelMapping'
  | 'InvalidMapping'
  | 'WaitingForImage'
  | 'OldLoaderStillThere';

/** Reasons that lie in the node itself: it is left out, whatever the Module would have for it. */
export const SKIPPING_REASONS: ReadonlySet<WithheldReason> = new Set(['Tainted', 'NodeNotReady', 'KernelUnknown']);

export type LeavingReason = 'SelectorEdited' | 'LabelVanished' | 'NoKernelMapping' | 'KernelChanged';

/**
 * Taints that every DaemonSet pod tolerates and that say nothing about whether a node should have a driver: a cordoned node that is
 * being upgraded wants its module back before it is uncordoned. Source: k8s.io/kubernetes/pkg/controller/daemon/util,
 * AddOrUpdateDaemonPodTolerations. Not-ready and unreachable are left out: nothing starts on such a node, so it is not given the label.
 */
const TAINTS_ALWAYS_TOLERATED: ReadonlySet<string> = new Set([
  'node.kubernetes.io/unschedulable',
  'node.kubernetes.io/disk-pressure',
  'node.kubernetes.io/memory-pressure',
  'node.kubernetes.io/pid-pressure',
]);

const TAINTS_OF_A_NODE_THAT_IS_DOWN: ReadonlySet<string> = new Set([
  'node.kubernetes.io/not-ready',
  'node.kubernetes.io/unreachable',
]);

export function planPlacement(
  snapshot: ModuleSnapshot,
  node: Node,
  ownKernel: KernelPlan | undefined,
  loaderPodsOnNode: readonly PodRecord[],
): Placement {
  const labels = node.metadata.labels ?? {};
  const current = labels[snapshot.keys.load];
  const selected = matchesLabels(snapshot.spec.selector, labels);
  if (current !== undefined) return planHolder(snapshot, node, current, selected, ownKernel, loaderPodsOnNode);
  if (!selected) return { verdict: 'outside' };
  return planCandidate(snapshot, node, ownKernel, loaderPodsOnNode);
}

/** A node that carries the label: what would take it. */
function planHolder(
  snapshot: ModuleSnapshot,
  node: Node,
  current: string,
  selected: boolean,
  ownKernel: KernelPlan | undefined,
  loaderPodsOnNode: readonly PodRecord[],
): Placement {
  // A Node whose kubelet has not reported a kernel is not a node with another kernel.
  if (ownKernel !== undefined && ownKernel.key !== current) {
    // Somebody wrote another value over ours: put it back in one patch, before the DaemonSet controller has stopped the loader.
    if (selected && loaderPodsOnNode.some((pod) => isLoaderOfThisBoot(snapshot, node, ownKernel.key, pod))) {
      return { verdict: 'placed', key: ownKernel.key };
    }
    return { verdict: 'leaving', key: current, why: 'KernelChanged' };
  }
  // Before the selector: who edits the mapping asks for it, also while a label is away.
  if (ownKernel?.resolution.kind === 'no-match') {
    return { verdict: 'leaving', key: current, why: 'NoKernelMapping' };
  }
  if (!selected) {
    const unmatched = snapshot.selectorMemory.unmatched.get(node.metadata.name ?? '');
    const sinceMs = unmatched?.sinceMs ?? snapshot.nowMs;
    const untilMs = sinceMs + snapshot.options.selectorGracePeriodMs;
    if (unmatched?.cause === 'SelectorEdited') return { verdict: 'leaving', key: current, why: 'SelectorEdited' };
    if (snapshot.nowMs >= untilMs) return { verdict: 'leaving', key: current, why: 'LabelVanished' };
    return { verdict: 'grace', key: current, untilMs };
  }
  // An error while resolving, or an image that has to be built first, never takes what is loaded.
  return { verdict: 'placed', key: current };
}

/** A selected node without the label: what would withhold it. */
function planCandidate(
  snapshot: ModuleSnapshot,
  node: Node,
  ownKernel: KernelPlan | undefined,
  loaderPodsOnNode: readonly PodRecord[],
): Placement {
  if (ownKernel === undefined) return withheld('KernelUnknown', 'its kubelet has not reported a kernel yet');
  const byKernel = withheldByKernel(ownKernel);
  const byTaint = withheldByTaint(snapshot, node);
  // The kernel's cause goes first: status has one for a whole kernel, and a build that fails must not hide behind a node that is down.
  if (byKernel !== undefined) return byTaint === undefined ? byKernel : { ...byKernel, taintedToo: true };
  if (byTaint !== undefined) return byTaint;
  const old = loaderPodsOnNode.find((pod) => isLeftOver(snapshot, node, ownKernel.key, pod));
  if (old !== undefined) {
    return withheld('OldLoaderStillThere', `loader pod ${old.metadata.name} from before is still on the node`);
  }
  return { verdict: 'placed', key: ownKernel.key };
}

function withheldByKernel(kernel: KernelPlan): Withheld | undefined {
  const { resolution } = kernel;
  switch (resolution.kind) {
    case 'no-match':
      return withheld('NoKernelMapping', `no kernel mapping matches ${kernel.kernel}`);
    case 'error':
      return withheld('InvalidMapping', resolution.message);
    case 'image':
      return runnableImage(kernel) === undefined
        ? withheld('WaitingForImage', `${resolution.image} has to be built`)
        : undefined;
  }
}

function withheldByTaint({ spec }: ModuleSnapshot, node: Node): Withheld | undefined {
  const taint = firstUntolerated(node.spec?.taints ?? [], spec.tolerations);
  if (taint === undefined) return undefined;
  return TAINTS_OF_A_NODE_THAT_IS_DOWN.has(taint.key)
    ? withheld('NodeNotReady', 'the node is not Ready')
    : withheld('Tainted', `taint ${describeTaint(taint)} is not tolerated by spec.tolerations`);
}

/**
 * Whether a pod that is there before the label must be gone first. One of another kernel would unload the new kernel's module in its
 * preStop. One of this kernel, on a node of which nothing is known in this boot (a Node that was deleted and registered again, a kernel
 * that was left and came back), may show its status of an earlier boot; its DaemonSet is about to delete it, for want of the label.
 */
function isLeftOver(snapshot: ModuleSnapshot, node: Node, ownKey: string, pod: PodRecord): boolean {
  if (pod.kernelKey !== ownKey) return true;
  return pod.metadata.deletionTimestamp === undefined && !isLoaderOfThisBoot(snapshot, node, ownKey, pod);
}

/** A loader of the node's own kernel that stays, on a node that was seen loaded in this boot. */
function isLoaderOfThisBoot({ keys }: ModuleSnapshot, node: Node, ownKey: string, pod: PodRecord): boolean {
  const record = parseLoadedRecord(node.metadata.annotations?.[keys.loaded]);
  return (
    pod.kernelKey === ownKey &&
    pod.metadata.deletionTimestamp === undefined &&
    record !== undefined &&
    record.bootID === node.status?.nodeInfo?.bootID
  );
}

function withheld(why: WithheldReason, message: string): Withheld {
  return { verdict: 'withheld', why, message };
}

function firstUntolerated(taints: readonly Taint[], tolerations: readonly Toleration[]): Taint | undefined {
  return taints.find(
    (taint) =>
      taint.effect !== 'PreferNoSchedule' &&
      !TAINTS_ALWAYS_TOLERATED.has(taint.key) &&
      !tolerations.some((toleration) => toleratesTaint(toleration, taint)),
  );
}

function describeTaint(taint: Taint): string {
  return `${taint.key}${taint.value === undefined || taint.value === '' ? '' : `=${taint.value}`}:${taint.effect}`;
}

/** A node is alive when its kubelet reports Ready. What is not alive is never waited for. */
export function isAlive(node: Node): boolean {
  return isReady(node);
}
