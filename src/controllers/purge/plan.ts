import {
  DEVICE_PLUGIN_ROLE,
  FINALIZER,
  GROUP_PREFIX,
  MODULE_LOADER_ROLE,
  ROLE_LABEL,
  type Role,
} from '../../api/labels.ts';
import type { Module } from '../../api/module.ts';
import type { DaemonSet, Node, Pod } from '../../kube/core.ts';
import { isAlive } from '../module/plan-placement.ts';
import type { NodePatch } from '../node/label-patch.ts';

/** All that an operator can have left behind. */
export interface PurgeWorld {
  readonly modules: readonly Module[];
  /** DaemonSets and pods that carry the labels of ours. */
  readonly daemonSets: readonly DaemonSet[];
  readonly pods: readonly Pod[];
  readonly nodes: readonly Node[];
}

/** What is to be done now; each step waits for what the one before it started. */
export type PurgeStep =
  | { readonly kind: 'delete-modules'; readonly modules: readonly Module[] }
  | { readonly kind: 'delete-daemonsets'; readonly role: Role; readonly daemonSets: readonly DaemonSet[] }
  /** Pods that no controller has, so that nobody else deletes them (`kubectl delete --cascade=orphan`). */
  | { readonly kind: 'delete-pods'; readonly pods: readonly Pod[] }
  | { readonly kind: 'wait-for-pods'; readonly role: Role; readonly pods: readonly Pod[] }
  | { readonly kind: 'clear-nodes'; readonly patches: ReadonlyMap<Node, NodePatch> }
  | { readonly kind: 'release-modules'; readonly modules: readonly Module[] }
  | { readonly kind: 'done' };

/**
 * The next step of taking everything of ours off a cluster, in the order in which the operator deletes a Module: plugin pods, loaders
 * (which unload the module), labels, finalizers. Pods on nodes that are gone or not Ready are not waited for.
 */
export function planPurge({ modules, daemonSets, pods, nodes }: PurgeWorld): PurgeStep {
  const standing = modules.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  if (standing.length > 0) return { kind: 'delete-modules', modules: standing };
  const alive = new Set(nodes.filter(isAlive).map(({ metadata }) => metadata.name));
  for (const role of [DEVICE_PLUGIN_ROLE, MODULE_LOADER_ROLE] as const) {
    const left = daemonSets.filter(({ metadata }) => metadata.labels?.[ROLE_LABEL] === role);
    const undeleted = left.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    if (undeleted.length > 0) return { kind: 'delete-daemonsets', role, daemonSets: undeleted };
    const running = pods.filter(
      ({ metadata, spec }) => metadata.labels?.[ROLE_LABEL] === role && alive.has(spec?.nodeName ?? ''),
    );
    const orphans = running.filter(
      ({ metadata }) =>
        metadata.deletionTimestamp === undefined &&
        !metadata.ownerReferences?.some(({ controller }) => controller === true),
    );
    if (orphans.length > 0) return { kind: 'delete-pods', pods: orphans };
    if (left.length > 0 || running.length > 0) return { kind: 'wait-for-pods', role, pods: running };
  }
  const patches = clearingPatches(nodes);
  if (patches.size > 0) return { kind: 'clear-nodes', patches };
  const held = modules.filter(({ metadata }) => metadata.finalizers?.includes(FINALIZER));
  return held.length > 0 ? { kind: 'release-modules', modules: held } : { kind: 'done' };
}

/** What takes every label and annotation of ours off the nodes that have any. */
export function clearingPatches(nodes: readonly Node[]): Map<Node, NodePatch> {
  const patches = new Map<Node, NodePatch>();
  for (const node of nodes) {
    const patch = { labels: removals(node.metadata.labels), annotations: removals(node.metadata.annotations) };
    if (Object.keys(patch.labels).length + Object.keys(patch.annotations).length > 0) patches.set(node, patch);
  }
  return patches;
}

function removals(present: Readonly<Record<string, string>> = {}): Record<string, null> {
  return Object.fromEntries(
    Object.keys(present)
      .filter((key) => key.startsWith(GROUP_PREFIX))
      .map((key) => [key, null]),
  );
}
