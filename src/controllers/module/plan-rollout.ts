import type { DaemonSetRecord, PodRecord } from '../records.ts';
import type { NodePlan } from './plan-nodes.ts';
import { isOfAnotherClock } from './plan-ready.ts';

/** Waiting reasons after which a container does not start by itself. Source: k8s.io/kubernetes/pkg/kubelet/{images,container}. */
const WAITING_REASONS_OF_FAILURE: ReadonlySet<string> = new Set([
  'CrashLoopBackOff',
  'CreateContainerConfigError',
  'CreateContainerError',
  'ErrImageNeverPull',
  'ErrImagePull',
  'ImageInspectError',
  'ImagePullBackOff',
  'InvalidImageName',
  'PostStartHookError',
  'RunContainerError',
]);

/** How long an outdated loader that never became Ready is left to finish. */
const START_MS = 60_000;

export interface Rollout {
  /** Every node plan, with ready label and record as the rollout wants them. */
  readonly nodes: readonly NodePlan[];
  /** Loader pods to delete now; their DaemonSet makes the new ones. */
  readonly deletions: readonly PodRecord[];
  /** Nodes whose loader is outdated, nodes being replaced, and of the outdated those that are skipped as NotReady. */
  readonly outdated: number;
  readonly replacing: number;
  readonly skipped: number;
}

/**
 * Replaces outdated loader pods node by node: take the ready label, wait until the plugin pod has gone, delete the loader pod, wait for
 * the new one. At most `maxUnavailable` nodes are between those two ends at once; a node that is NotReady is skipped and uses up nothing.
 *
 * What uses the budget is kept on the node (the record's `replacing` mark), so a restart in the middle forgets nothing, and a node that
 * was broken before the rollout does not hold it up.
 *
 * @param marksAsked nodes whose mark was asked for by the plan before: it may be on its way, and is written although another node's turn has come
 */
export function planRollout(
  plans: readonly NodePlan[],
  daemonSets: readonly DaemonSetRecord[],
  maxUnavailable: number | `${number}%`,
  nowMs: number,
  marksAsked: ReadonlySet<string>,
): Rollout {
  const settled = new Set(
    daemonSets
      .filter(({ metadata, observedGeneration }) => observedGeneration >= (metadata.generation ?? 0))
      .map(({ kernelKey }) => kernelKey),
  );
  const placed = plans.filter(({ load, placement }) => load !== undefined && placement.verdict !== 'leaving');
  const budget = resolveBudget(maxUnavailable, placed.length);
  const isAsked = ({ node }: NodePlan): boolean => marksAsked.has(node.metadata.name ?? '');
  // A node that is done uses the budget until its ready label is back: patches of two nodes are written side by side, and the next node's
  // could arrive first.
  let free =
    budget -
    placed.filter((plan) => plan.alive && (isReplacing(plan) || plan.markedReplacing === true || isAsked(plan))).length;

  const deletions: PodRecord[] = [];
  let outdated = 0;
  let replacing = 0;
  let skipped = 0;
  const nodes = plans.map((plan): NodePlan => {
    if (isReplacing(plan)) replacing += 1;
    const { loader } = plan;
    if (!plan.outdated || loader === undefined || plan.load === undefined) return plan;
    outdated += 1;
    if (!plan.alive) {
      skipped += 1;
      return plan;
    }
    // Before the DaemonSet controller has seen the new template, a deleted pod would come back from the old one.
    if (!settled.has(plan.load)) return plan;
    if (isReplacing(plan)) {
      if (plan.pluginPods.length === 0) deletions.push(loader);
      return plan;
    }
    if (!plan.ready) {
      // After a crash or a reboot the plugin pod of before may run still, or again, and use what the loader loads once more. It goes with the
      // ready label.
      if (plan.markedReady === true || plan.pluginPods.length > 0) return plan;
      // Nothing of it is in use: a failing loader is replaced at once, one that is still starting is left to finish for a while. It may
      // wait for what the edit has just corrected, for example a ConfigMap that does not exist.
      const createdAtMs = Date.parse(loader.metadata.creationTimestamp ?? '');
      const stuckAtMs = createdAtMs + START_MS;
      if (isFailing(loader) || nowMs >= stuckAtMs || isOfAnotherClock(createdAtMs, nowMs)) deletions.push(loader);
      else return { ...plan, lookAgainAtMs: stuckAtMs };
      return plan;
    }
    if (!isAsked(plan)) {
      if (free <= 0) return plan;
      free -= 1;
    }
    replacing += 1;
    const record = plan.record;
    if (record === undefined) return plan;
    return { ...plan, ready: false, record: { ...record, replacingSince: new Date(nowMs).toISOString() } };
  });
  return { nodes, deletions, outdated, replacing, skipped };
}

function isReplacing(plan: NodePlan): boolean {
  return plan.record?.replacingSince !== undefined;
}

export function isFailing(pod: PodRecord): boolean {
  const { container } = pod;
  if (pod.phase === 'Failed' || pod.blocked !== undefined) return true;
  if (container === undefined) return false;
  if (container.waiting !== undefined && WAITING_REASONS_OF_FAILURE.has(container.waiting.reason)) return true;
  return !container.ready && container.terminated !== undefined && container.terminated.exitCode !== 0;
}

/** A percentage is of the nodes that have the module, rounded up as a DaemonSet's own maxUnavailable; at least one. */
function resolveBudget(maxUnavailable: number | `${number}%`, nodes: number): number {
  const budget =
    typeof maxUnavailable === 'number'
      ? maxUnavailable
      : Math.ceil((Number.parseInt(maxUnavailable, 10) / 100) * nodes);
  return Math.max(1, Number.isFinite(budget) ? budget : 1);
}
