import { kernelKey } from '../../kernel/grouping.ts';
import type { Node } from '../../kube/core.ts';
import { matchesLabels } from '../../kube/selectors.ts';
import { type NodeRequest, requestFor } from '../node/label-desk.ts';
import { type NodePatch, remainingPatch } from '../node/label-patch.ts';
import type { PodRecord } from '../records.ts';
import { formatLoadedRecord, parseLoadedRecord } from './loaded-record.ts';
import { type DaemonSetAction, planDaemonSets } from './plan-daemonsets.ts';
import { type KernelPlan, planKernels } from './plan-kernels.ts';
import { type NodePlan, planNodes } from './plan-nodes.ts';
import { planRollout, type Rollout } from './plan-rollout.ts';
import type { ModuleSnapshot, NodeKeys } from './snapshot.ts';

/** All that one reconcile of a living Module is about to do, and what its status is written from. */
export interface ModulePlan {
  readonly kernels: ReadonlyMap<string, KernelPlan>;
  readonly nodes: readonly NodePlan[];
  readonly rollout: Rollout;
  readonly daemonSets: readonly DaemonSetAction[];
  readonly podDeletions: readonly PodRecord[];
  readonly nodeRequests: ReadonlyMap<string, NodeRequest>;
  /** Milliseconds since the epoch: when to look again although nothing changes. */
  readonly lookAgainAtMs?: number;
}

/** Decides everything about a Module that is not being deleted. Pure: the same snapshot gives the same plan. */
export function planModule(snapshot: ModuleSnapshot): ModulePlan {
  const concerned = concernedNodes(snapshot);
  const kernels = planKernels(snapshot, concerned);
  const planned = planNodes(snapshot, concerned, kernels, (node) => ownKernel(kernels, node));
  const { loaderDaemonSets, nowMs, marksAsked } = snapshot;
  const rollout = planRollout(planned, loaderDaemonSets, snapshot.spec.maxUnavailable, nowMs, marksAsked);
  const lookAgainAtMs = soonest(snapshot.nowMs, rollout.nodes);
  return {
    kernels,
    nodes: rollout.nodes,
    rollout,
    daemonSets: planDaemonSets(snapshot, kernels, rollout.nodes),
    podDeletions: rollout.deletions,
    nodeRequests: planNodeRequests(snapshot.keys, rollout.nodes),
    ...(lookAgainAtMs === undefined ? {} : { lookAgainAtMs }),
  };
}

/**
 * The nodes that the selector names and those that carry, or run, anything of this Module, by name: a cache gives them in an order that
 * changes with every update, and neither whose turn a rollout thinks it is nor which cause status names first may change with it.
 */
function concernedNodes({ nodes, spec, keys, loaderPods }: ModuleSnapshot): Node[] {
  const withPods = new Set(loaderPods.map(({ node }) => node));
  return nodes
    .filter(
      (node) =>
        matchesLabels(spec.selector, node.metadata.labels ?? {}) ||
        carriesAnything(node, keys) ||
        withPods.has(node.metadata.name ?? ''),
    )
    .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

/** Whether the node still has a label or an annotation of this Module. */
export function carriesAnything({ metadata }: Node, keys: NodeKeys): boolean {
  return (
    metadata.labels?.[keys.load] !== undefined ||
    metadata.labels?.[keys.ready] !== undefined ||
    metadata.annotations?.[keys.loaded] !== undefined
  );
}

function ownKernel(kernels: ReadonlyMap<string, KernelPlan>, node: Node): KernelPlan | undefined {
  const info = node.status?.nodeInfo;
  return info === undefined ? undefined : kernels.get(kernelKey(info.kernelVersion, info.architecture));
}

function planNodeRequests(keys: NodeKeys, nodes: readonly NodePlan[]): Map<string, NodeRequest> {
  const requests = new Map<string, NodeRequest>();
  for (const { node, load, ready, record } of nodes) {
    const wanted: NodePatch = {
      labels: { [keys.load]: load ?? null, [keys.ready]: ready ? '' : null },
      annotations: { [keys.loaded]: record === undefined ? null : formatLoadedRecord(record) },
    };
    const patch = remainingPatch(node, wanted);
    if (patch !== undefined) requests.set(node.metadata.name ?? '', requestFor(node, patch));
  }
  return requests;
}

/** Nodes whose loader these requests ask to replace. */
export function marksIn(requests: ReadonlyMap<string, NodeRequest>, { loaded }: NodeKeys): ReadonlySet<string> {
  const marked = [...requests].filter(
    ([, { patch }]) => parseLoadedRecord(patch.annotations[loaded] ?? undefined)?.replacingSince !== undefined,
  );
  return new Set(marked.map(([name]) => name));
}

/** The patch that takes everything of a Module off a node; undefined when nothing is there. */
export function clearingPatch(node: Node, keys: NodeKeys): NodePatch | undefined {
  return remainingPatch(node, {
    labels: { [keys.load]: null, [keys.ready]: null },
    annotations: { [keys.loaded]: null },
  });
}

function soonest(nowMs: number, nodes: readonly NodePlan[]): number | undefined {
  let at: number | undefined;
  for (const { lookAgainAtMs, placement } of nodes) {
    for (const candidate of [lookAgainAtMs, placement.verdict === 'grace' ? placement.untilMs : undefined]) {
      if (candidate !== undefined && candidate > nowMs && (at === undefined || candidate < at)) at = candidate;
    }
  }
  return at;
}
