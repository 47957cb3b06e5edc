import type { DaemonSet } from '../../kube/core.ts';
import { GENERATION_ANNOTATION, INPUTS_ANNOTATION } from '../identity.ts';
import type { DaemonSetRecord } from '../records.ts';
import { devicePluginDaemonSet } from './device-plugin-daemonset.ts';
import { type DaemonSetContext, loaderDaemonSet } from './loader-daemonset.ts';
import { type KernelPlan, runnableImage } from './plan-kernels.ts';
import type { NodePlan } from './plan-nodes.ts';
import type { ModuleSnapshot } from './snapshot.ts';

export type UpdateReason = 'InputsChanged' | 'EditedByHand';

export type DaemonSetAction =
  | { readonly kind: 'create'; readonly desired: DaemonSet }
  | { readonly kind: 'update'; readonly live: DaemonSetRecord; readonly desired: DaemonSet; readonly why: UpdateReason }
  /** No node has its label any more. Deleted only when a live read shows that no pod of it is wanted or running. */
  | { readonly kind: 'remove-if-unused'; readonly live: DaemonSetRecord }
  /** The user took it out of the spec. */
  | { readonly kind: 'delete'; readonly live: DaemonSetRecord };

export function planDaemonSets(
  snapshot: ModuleSnapshot,
  kernels: ReadonlyMap<string, KernelPlan>,
  nodes: readonly NodePlan[],
): DaemonSetAction[] {
  const context: DaemonSetContext = {
    module: snapshot.module,
    spec: snapshot.spec,
    keys: snapshot.keys,
    priorityClassName: snapshot.options.priorityClassName,
  };
  return [...planLoaders(snapshot, context, kernels, nodes), ...planPlugin(snapshot, context)];
}

function planLoaders(
  snapshot: ModuleSnapshot,
  context: DaemonSetContext,
  kernels: ReadonlyMap<string, KernelPlan>,
  nodes: readonly NodePlan[],
): DaemonSetAction[] {
  const wanted = new Set<string>();
  const held = new Set<string>();
  for (const { load, node, placement } of nodes) {
    if (load !== undefined) held.add(load);
    if (placement.verdict === 'placed') wanted.add(placement.key);
    const label = node.metadata.labels?.[snapshot.keys.load];
    if (label !== undefined) held.add(label);
  }
  const live = new Map(snapshot.loaderDaemonSets.map((daemonSet) => [daemonSet.kernelKey, daemonSet]));
  const actions: DaemonSetAction[] = [];
  for (const kernel of kernels.values()) {
    const image = runnableImage(kernel);
    if (image === undefined || kernel.inputs === undefined) continue;
    const existing = live.get(kernel.key);
    if (existing === undefined && !wanted.has(kernel.key)) continue;
    if (existing !== undefined && !wanted.has(kernel.key) && !held.has(kernel.key)) continue;
    const action = planOne(existing, loaderDaemonSet(context, kernel, image, kernel.inputs));
    if (action !== undefined) actions.push(action);
  }
  const running = new Set(snapshot.loaderPods.map(({ kernelKey }) => kernelKey));
  for (const daemonSet of snapshot.loaderDaemonSets) {
    const { kernelKey, metadata } = daemonSet;
    if (held.has(kernelKey) || running.has(kernelKey) || metadata.deletionTimestamp !== undefined) continue;
    actions.push({ kind: 'remove-if-unused', live: daemonSet });
  }
  return actions;
}

function planPlugin(snapshot: ModuleSnapshot, context: DaemonSetContext): DaemonSetAction[] {
  const desired = devicePluginDaemonSet(context);
  const actions: DaemonSetAction[] = [];
  for (const live of snapshot.pluginDaemonSets) {
    if (live.metadata.deletionTimestamp !== undefined || live.metadata.name === desired?.metadata.name) continue;
    actions.push({ kind: 'delete', live });
  }
  if (desired !== undefined) {
    const existing = snapshot.pluginDaemonSets.find(({ metadata }) => metadata.name === desired.metadata.name);
    const action = planOne(existing, desired);
    if (action !== undefined) actions.push(action);
  }
  return actions;
}

function planOne(live: DaemonSetRecord | undefined, desired: DaemonSet): DaemonSetAction | undefined {
  if (live === undefined) return { kind: 'create', desired };
  if (live.metadata.deletionTimestamp !== undefined) return undefined;
  const why = whyUpdate(live, desired);
  return why === undefined ? undefined : { kind: 'update', live, desired: overLive(live, desired), why };
}

function whyUpdate(live: DaemonSetRecord, desired: DaemonSet): UpdateReason | undefined {
  const { metadata } = live;
  if (metadata.annotations?.[INPUTS_ANNOTATION] !== desired.metadata.annotations?.[INPUTS_ANNOTATION]) {
    return 'InputsChanged';
  }
  const edited =
    metadata.annotations?.[GENERATION_ANNOTATION] !== String(metadata.generation) ||
    Object.entries(desired.metadata.labels ?? {}).some(([key, value]) => metadata.labels?.[key] !== value) ||
    !(metadata.ownerReferences ?? []).some(({ uid }) => uid === desired.metadata.ownerReferences?.[0]?.uid);
  return edited ? 'EditedByHand' : undefined;
}

/** `desired` as an update of `live`: its uid and resourceVersion as preconditions, and what others put on it kept. */
export function overLive(live: DaemonSetRecord, desired: DaemonSet): DaemonSet {
  const { metadata, matchLabels } = live;
  const owner = desired.metadata.ownerReferences?.[0];
  const foreignOwners = (metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner?.uid);
  return {
    ...desired,
    metadata: {
      ...desired.metadata,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      labels: { ...metadata.labels, ...desired.metadata.labels },
      annotations: {
        ...metadata.annotations,
        ...desired.metadata.annotations,
        [GENERATION_ANNOTATION]: String((metadata.generation ?? 0) + 1),
      },
      ownerReferences: [...(owner === undefined ? [] : [owner]), ...foreignOwners],
      ...(metadata.finalizers === undefined ? {} : { finalizers: metadata.finalizers }),
    },
    spec: {
      ...desired.spec,
      // A selector is immutable: an older operator's stays, and the template keeps matching it.
      selector: { matchLabels },
      template: {
        ...desired.spec.template,
        metadata: {
          ...desired.spec.template.metadata,
          labels: { ...desired.spec.template.metadata?.labels, ...matchLabels },
        },
      },
    },
  };
}
