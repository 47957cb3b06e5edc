import { Gauge, Histogram, type Registry } from 'prom-client';
import type { KernelStatus, ModuleStatus } from '../api/module.ts';
import { createMetrics, describeMetrics, type MetricReference } from '../runtime/metrics.ts';
import { ImageMetrics } from './image/metrics.ts';
import type { ModuleMemory } from './module/memory.ts';
import type { ModulePlan } from './module/plan.ts';
import type { NodePlan } from './module/plan-nodes.ts';
import { SKIPPING_REASONS } from './module/plan-placement.ts';

/** Our own metrics; those of the runtime are in `runtime/metrics.ts`. */
const METRICS = {
  modules: { name: 'kmm_modules', help: 'Modules that this operator acts on.' },
  nodes: {
    name: 'kmm_module_nodes',
    help: 'Nodes of a Module by state: loaded, loading, replacing, outdated, leaving, skipped, unmapped, waiting.',
  },
  kernels: {
    name: 'kmm_module_kernels',
    help: 'Kernels of a Module by state, in the words of its status, as BuildFailed or Loaded; a state that no kernel has is left out.',
  },
  waitingSince: {
    name: 'kmm_module_node_waiting_since_timestamp_seconds',
    help: 'Since when the node of a Module that has waited for longest is loading, replacing, leaving or waiting, as this process has seen it; left out when none is.',
  },
  nodeSeenToLoader: {
    name: 'kmm_node_seen_to_loader_created_seconds',
    help: 'From when a node was first seen to need a loader to when its loader pod was there.',
  },
} as const;

type NodeStateLabel = 'loaded' | 'loading' | 'replacing' | 'outdated' | 'leaving' | 'skipped' | 'unmapped' | 'waiting';

const STATE_LABELS: readonly NodeStateLabel[] = [
  'loaded',
  'loading',
  'replacing',
  'outdated',
  'leaving',
  'skipped',
  'unmapped',
  'waiting',
];

/** States that are to end by themselves; a node that stays in one of them for long is stuck. */
const WAITING_STATES: ReadonlySet<NodeStateLabel | undefined> = new Set<NodeStateLabel>([
  'loading',
  'replacing',
  'leaving',
  'waiting',
]);

/** What Module reconciles tell about nodes. Numbers are set by reconciles, so a scrape costs nothing but reading them. */
export class ModuleMetrics {
  readonly #known = new Set<string>();
  /** By Module: since when each of its waiting nodes waits, milliseconds since the epoch. */
  readonly #waiting = new Map<string, ReadonlyMap<string, number>>();
  readonly #states = new Map<string, ReadonlySet<string>>();
  readonly #modules: Gauge;
  readonly #nodes: Gauge<'namespace' | 'name' | 'state'>;
  readonly #kernels: Gauge<'namespace' | 'name' | 'state'>;
  readonly #waitingSince: Gauge<'namespace' | 'name'>;
  readonly #nodeSeenToLoader: Histogram;

  constructor(registry: Registry) {
    this.#modules = new Gauge({ ...METRICS.modules, registers: [registry] });
    this.#nodes = new Gauge({ ...METRICS.nodes, labelNames: ['namespace', 'name', 'state'], registers: [registry] });
    this.#kernels = new Gauge({
      ...METRICS.kernels,
      labelNames: ['namespace', 'name', 'state'],
      registers: [registry],
    });
    this.#waitingSince = new Gauge({
      ...METRICS.waitingSince,
      labelNames: ['namespace', 'name'],
      registers: [registry],
    });
    this.#nodeSeenToLoader = new Histogram({
      ...METRICS.nodeSeenToLoader,
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900],
      registers: [registry],
    });
  }

  observe(
    key: string,
    plan: ModulePlan,
    { kernels = [] }: Pick<ModuleStatus, 'kernels'>,
    memory: ModuleMemory,
    nowMs: number,
  ): void {
    this.#known.add(key);
    this.#modules.set(this.#known.size);
    const counts = new Map<NodeStateLabel, number>();
    const before = this.#waiting.get(key);
    const waiting = new Map<string, number>();
    for (const node of plan.nodes) {
      const state = stateLabel(node);
      const name = node.node.metadata.name ?? '';
      if (WAITING_STATES.has(state)) waiting.set(name, before?.get(name) ?? nowMs);
      if (state !== undefined) counts.set(state, (counts.get(state) ?? 0) + 1);
      this.#observeWait(node, memory, nowMs);
    }
    forgetGoneNodes(memory.waitingForLoader, plan.nodes);
    const labels = labelsOf(key);
    for (const state of STATE_LABELS) this.#nodes.set({ ...labels, state }, counts.get(state) ?? 0);
    this.#setWaiting(key, waiting);
    this.#setKernels(key, kernels);
  }

  /** Drops the series of a Module that is gone. */
  forget(key: string): void {
    if (!this.#known.delete(key)) return;
    this.#modules.set(this.#known.size);
    for (const state of STATE_LABELS) this.#nodes.remove({ ...labelsOf(key), state });
    this.#setWaiting(key, new Map());
    this.#setKernels(key, []);
  }

  #setWaiting(key: string, waiting: ReadonlyMap<string, number>): void {
    if (waiting.size === 0) {
      this.#waiting.delete(key);
      this.#waitingSince.remove(labelsOf(key));
      return;
    }
    this.#waiting.set(key, waiting);
    const oldest = [...waiting.values()].reduce((a, b) => Math.min(a, b));
    this.#waitingSince.set(labelsOf(key), oldest / 1_000);
  }

  #setKernels(key: string, kernels: readonly Pick<KernelStatus, 'state'>[]): void {
    const labels = labelsOf(key);
    const counts = new Map<string, number>();
    for (const { state } of kernels) counts.set(state, (counts.get(state) ?? 0) + 1);
    for (const state of this.#states.get(key) ?? []) if (!counts.has(state)) this.#kernels.remove({ ...labels, state });
    for (const [state, number] of counts) this.#kernels.set({ ...labels, state }, number);
    if (counts.size === 0) this.#states.delete(key);
    else this.#states.set(key, new Set(counts.keys()));
  }

  #observeWait({ node, placement, loaderPods }: NodePlan, memory: ModuleMemory, nowMs: number): void {
    const name = node.metadata.name ?? '';
    const since = memory.waitingForLoader.get(name);
    if (placement.verdict === 'placed' && loaderPods.length === 0) {
      if (since === undefined && memory.settled) memory.waitingForLoader.set(name, nowMs);
    } else if (since !== undefined) {
      memory.waitingForLoader.delete(name);
      if (placement.verdict === 'placed') this.#nodeSeenToLoader.observe((nowMs - since) / 1000);
    }
  }
}

/** A node that left and comes back under its name has not waited meanwhile. */
function forgetGoneNodes(waiting: Map<string, number>, nodes: readonly NodePlan[]): void {
  if (waiting.size === 0) return;
  const present = new Set(nodes.map(({ node }) => node.metadata.name));
  for (const name of waiting.keys()) if (!present.has(name)) waiting.delete(name);
}

/** A node that is down, or that a taint keeps from the module, is skipped whatever else it waits for: nobody is told that it waits for long. */
function stateLabel({ placement, ready, record, outdated, alive }: NodePlan): NodeStateLabel | undefined {
  switch (placement.verdict) {
    case 'outside':
      return undefined;
    case 'leaving':
      return alive ? 'leaving' : 'skipped';
    case 'withheld':
      if (placement.why === 'NoKernelMapping') return 'unmapped';
      return !alive || placement.taintedToo === true || SKIPPING_REASONS.has(placement.why) ? 'skipped' : 'waiting';
    case 'placed':
    case 'grace':
      if (ready) return outdated ? 'outdated' : 'loaded';
      if (!alive) return 'skipped';
      return record?.replacingSince === undefined ? 'loading' : 'replacing';
  }
}

function labelsOf(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/**
 * Every metric that the operator serves, for the reference page: our own first, then the runtime's, then those of the process.
 * Call once a process, as `createMetrics`.
 */
export function metricsReference(): readonly MetricReference[] {
  const { registry } = createMetrics();
  void new ModuleMetrics(registry);
  void new ImageMetrics(registry);
  const isOurs = ({ name }: MetricReference): boolean => name.startsWith('kmm_');
  const all = describeMetrics(registry);
  return [...all.filter(isOurs), ...all.filter((metric) => !isOurs(metric))];
}
