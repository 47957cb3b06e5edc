import type { DaemonSetStatus } from '../../api/module.ts';
import type { DaemonSetRecord, PodRecord } from '../records.ts';
import {
  failureOf,
  type KernelWorld,
  type NodeState,
  nodeState,
  startingMessage,
  type WriteProblem,
} from './node-state.ts';
import type { ModulePlan } from './plan.ts';
import type { KernelPlan } from './plan-kernels.ts';
import type { NodePlan } from './plan-nodes.ts';
import { SKIPPING_REASONS } from './plan-placement.ts';
import { STATES, type State } from './reasons.ts';
import type { ModuleSnapshot } from './snapshot.ts';

/** One kernel's nodes, summed up. */
export interface KernelSummary {
  readonly kernel: KernelPlan;
  nodes: number;
  loaded: number;
  state: State;
  message?: string;
  /** How many nodes are in `state`. */
  inState: number;
  imageID?: string;
}

export interface Counts {
  readonly matching: number;
  /** Nodes that should have the module: selected, mapped, and not left out. */
  readonly desired: number;
  readonly loaded: number;
  readonly skipped: number;
  readonly unmapped: number;
}

export function count(plan: ModulePlan): Counts {
  let matching = 0;
  let desired = 0;
  let loaded = 0;
  let skipped = 0;
  let unmapped = 0;
  for (const node of plan.nodes) {
    const { placement } = node;
    if (node.ready) loaded += 1;
    if (placement.verdict === 'withheld') {
      matching += 1;
      if (placement.why === 'NoKernelMapping') unmapped += 1;
      else if (SKIPPING_REASONS.has(placement.why)) skipped += 1;
      else desired += 1;
    } else if (placement.verdict === 'placed') {
      matching += 1;
      if (!node.alive && !node.ready) skipped += 1;
      else desired += 1;
    } else if (placement.verdict === 'grace' && node.ready) {
      desired += 1;
    }
  }
  return { matching, desired, loaded, skipped, unmapped };
}

export function summarise(
  snapshot: ModuleSnapshot,
  plan: ModulePlan,
  problems: ReadonlyMap<string, WriteProblem>,
): KernelSummary[] {
  const daemonSets = new Map(snapshot.loaderDaemonSets.map((daemonSet) => [daemonSet.kernelKey, daemonSet]));
  const summaries = new Map<string, KernelSummary>();
  for (const node of plan.nodes) {
    const { kernel } = node;
    if (kernel === undefined) continue;
    const state =
      refusedState(snapshot, plan, node) ?? nodeState(node, worldOf(kernel, daemonSets, snapshot, problems));
    if (state === undefined) continue;
    addNode(summaries, kernel, node, state);
  }
  return [...summaries.values()].sort((a, b) => (a.kernel.key < b.kernel.key ? -1 : 1));
}

/** What the plan wants there stands in the plan alone, however often it is planned. */
function refusedState({ nodeRefusals }: ModuleSnapshot, plan: ModulePlan, { node }: NodePlan): NodeState | undefined {
  const name = node.metadata.name ?? '';
  const sentence = plan.nodeRequests.has(name) ? nodeRefusals.get(name) : undefined;
  return sentence === undefined
    ? undefined
    : { state: 'WriteRefused', message: `node ${name} cannot be labelled: ${sentence}` };
}

function worldOf(
  kernel: KernelPlan,
  daemonSets: ReadonlyMap<string, DaemonSetRecord>,
  snapshot: ModuleSnapshot,
  problems: ReadonlyMap<string, WriteProblem>,
): KernelWorld {
  const daemonSet = daemonSets.get(kernel.key);
  return {
    daemonSet,
    refusal: snapshot.refusals.get(daemonSet?.metadata.uid ?? ''),
    problem: problems.get(kernel.daemonSetName),
  };
}

function addNode(
  summaries: Map<string, KernelSummary>,
  kernel: KernelPlan,
  node: NodePlan,
  { state, message }: NodeState,
): void {
  let summary = summaries.get(kernel.key);
  if (summary === undefined) {
    summary = { kernel, nodes: 0, loaded: 0, state: 'Loaded', inState: 0 };
    summaries.set(kernel.key, summary);
  }
  summary.nodes += 1;
  if (node.ready) summary.loaded += 1;
  summary.imageID ??= node.loader?.container?.imageID;
  if (summary.state === state) summary.inState += 1;
  if (worse(state, summary.state)) {
    summary.state = state;
    summary.inState = 1;
    delete summary.message;
  }
  if (summary.state === state && message !== undefined) summary.message ??= message;
}

export function worse(a: State, b: State): boolean {
  return STATES.indexOf(a) < STATES.indexOf(b);
}

export interface PluginSummary {
  readonly status: Required<DaemonSetStatus>;
  readonly failure: string | undefined;
  /** What the first node waits for where nothing has failed. */
  readonly waiting: string | undefined;
}

export function summarisePlugin(
  snapshot: ModuleSnapshot,
  plan: ModulePlan,
  problems: ReadonlyMap<string, WriteProblem>,
): PluginSummary | undefined {
  if (snapshot.spec.devicePlugin === undefined) return undefined;
  const ready = plan.nodes.filter((node) => node.ready);
  const daemonSet = snapshot.pluginDaemonSets[0];
  let available = 0;
  let failing: PodRecord | undefined;
  let waiting: string | undefined;
  for (const node of ready) {
    const { pluginPods } = node;
    if (pluginPods.some((pod) => pod.ready && pod.metadata.deletionTimestamp === undefined)) available += 1;
    else {
      failing ??= pluginPods.find((pod) => failureOf(pod) !== undefined);
      waiting ??= pluginWait(node);
    }
  }
  const missing = ready.some(({ pluginPods }) => pluginPods.length === 0);
  const refusal = missing ? snapshot.refusals.get(daemonSet?.metadata.uid ?? '') : undefined;
  const problem = [...problems].find(([name]) => !isLoaderName(plan, name))?.[1];
  const failure =
    problem?.message ??
    refusal?.message ??
    (failing === undefined ? undefined : `on node ${failing.node}: ${failureOf(failing)?.message ?? ''}`);
  return {
    status: { nodesMatchingSelectorNumber: ready.length, desiredNumber: ready.length, availableNumber: available },
    failure,
    waiting,
  };
}

function pluginWait({ alive, node, pluginPods }: NodePlan): string {
  const name = node.metadata.name ?? '';
  if (!alive) return `node ${name} is not Ready`;
  const [pod] = pluginPods;
  if (pod === undefined) return `it has no pod on node ${name} yet`;
  const coming = pluginPods.find(({ metadata }) => metadata.deletionTimestamp === undefined);
  return coming === undefined ? `pod ${pod.metadata.name} on node ${name} is stopping` : startingMessage(coming);
}

function isLoaderName(plan: ModulePlan, name: string): boolean {
  for (const kernel of plan.kernels.values()) if (kernel.daemonSetName === name) return true;
  return false;
}
