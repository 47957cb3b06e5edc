import type { Node } from '../../kube/core.ts';
import { metaTime } from '../../kube/objects.ts';
import { type NodeRequest, requestFor } from '../node/label-desk.ts';
import type { DaemonSetRecord, PodRecord } from '../records.ts';
import { carriesAnything, clearingPatch } from './plan.ts';
import { isAlive } from './plan-placement.ts';
import type { NodeKeys } from './snapshot.ts';

export interface DeletionSnapshot {
  readonly keys: NodeKeys;
  readonly nodes: readonly Node[];
  readonly loaderDaemonSets: readonly DaemonSetRecord[];
  readonly pluginDaemonSets: readonly DaemonSetRecord[];
  readonly loaderPods: readonly PodRecord[];
  readonly pluginPods: readonly PodRecord[];
}

/** One step of taking a Module away. Each waits for what the one before it started. */
export type DeletionStep =
  | { readonly kind: 'delete-daemonsets'; readonly daemonSets: readonly DaemonSetRecord[] }
  /** Pods that no DaemonSet has any more, so that nothing but we would ever delete them. */
  | { readonly kind: 'delete-pods'; readonly pods: readonly PodRecord[] }
  | {
      readonly kind: 'wait-for-pods';
      readonly role: 'device-plugin' | 'module-loader';
      readonly pods: readonly PodRecord[];
    }
  | { readonly kind: 'clear-labels'; readonly requests: ReadonlyMap<string, NodeRequest> }
  | { readonly kind: 'release' };

/**
 * The order of a deletion: plugin pods, then loaders (their preStop unloads the module), then labels, then the finalizer. A pod on a node
 * that is gone or not Ready is not waited for: nothing can stop it now, and its kubelet stops it when it comes back.
 */
export function planDeletion(snapshot: DeletionSnapshot): DeletionStep {
  const alive = new Set(snapshot.nodes.filter(isAlive).map(({ metadata }) => metadata.name));
  return (
    takeAway('device-plugin', snapshot.pluginDaemonSets, snapshot.pluginPods, alive) ??
    takeAway('module-loader', snapshot.loaderDaemonSets, snapshot.loaderPods, alive) ??
    clearLabels(snapshot) ?? { kind: 'release' }
  );
}

function takeAway(
  role: 'device-plugin' | 'module-loader',
  daemonSets: readonly DaemonSetRecord[],
  pods: readonly PodRecord[],
  alive: ReadonlySet<string | undefined>,
): DeletionStep | undefined {
  const standing = daemonSets.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (standing.length > 0) return { kind: 'delete-daemonsets', daemonSets: standing };
  const orphans = pods.filter(({ orphaned, metadata }) => orphaned && metadata.deletionTimestamp === undefined);
  if (orphans.length > 0) return { kind: 'delete-pods', pods: orphans };
  const waited = pods.filter(({ node }) => alive.has(node));
  if (daemonSets.length > 0 || waited.length > 0) return { kind: 'wait-for-pods', role, pods: waited };
  return undefined;
}

function clearLabels({ nodes, keys }: DeletionSnapshot): DeletionStep | undefined {
  const requests = new Map<string, NodeRequest>();
  for (const node of nodes) {
    if (!carriesAnything(node, keys)) continue;
    const patch = clearingPatch(node, keys);
    if (patch !== undefined) requests.set(node.metadata.name ?? '', requestFor(node, patch));
  }
  return requests.size === 0 ? undefined : { kind: 'clear-labels', requests };
}

/** What status says while the step is under way. */
export function describeStep(step: DeletionStep, nodeRefusals: ReadonlyMap<string, string>): string {
  switch (step.kind) {
    case 'delete-daemonsets':
      return 'The Module is being deleted: its DaemonSets are being removed.';
    case 'delete-pods':
      return 'The Module is being deleted: pods of it that no DaemonSet has any more are being deleted.';
    case 'wait-for-pods': {
      const [first] = step.pods;
      const what = step.role === 'device-plugin' ? 'device-plugin' : 'loader';
      if (first === undefined) return `The Module is being deleted: waiting for its ${what} DaemonSets to go.`;
      const more = step.pods.length > 1 ? ` and ${step.pods.length - 1} more` : '';
      return `The Module is being deleted: waiting for ${what} pod ${first.metadata.name} on node ${first.node}${more} to stop${timeOf(first)}.`;
    }
    case 'clear-labels': {
      const refused = [...step.requests.keys()].find((name) => nodeRefusals.has(name));
      const why = refused === undefined ? '' : ` On node ${refused} that is refused: ${nodeRefusals.get(refused)}`;
      return `The Module is being deleted: its labels are being taken off the nodes.${why}`;
    }
    case 'release':
      return 'The Module is unloaded.';
  }
}

/** The API server writes the end of the grace period into deletionTimestamp; the request came that much earlier. */
function timeOf({ metadata }: PodRecord): string {
  const { deletionTimestamp: until, deletionGracePeriodSeconds: seconds } = metadata;
  if (until === undefined) return '';
  if (seconds === undefined) return `, which has until ${until}`;
  return ` since ${metaTime(Date.parse(until) - seconds * 1000)}, which has until ${until}`;
}
