/** The words of the three conditions: from sums to status, reason and message. */
import type { ConditionInput } from '../../api/conditions.ts';
import { shorten } from '../../kernel/shorten.ts';
import type { ModulePlan } from './plan.ts';
import { DEGRADED_STATES, type State } from './reasons.ts';
import { type Counts, type KernelSummary, type PluginSummary, worse } from './summary.ts';

/** A message names the first cause; the whole of it stays short enough for one line of a terminal or two. */
const LONGEST_MESSAGE = 480;

export function conditionsOf(
  observedGeneration: number | undefined,
  plan: ModulePlan,
  kernels: readonly KernelSummary[],
  counts: Counts,
  plugin: PluginSummary | undefined,
): ConditionInput[] {
  const pluginShort = plugin === undefined ? 0 : plugin.status.desiredNumber - plugin.status.availableNumber;
  const remarks = remarksOf(kernels, counts);
  const unfinished = kernels.filter(({ state }) => !RESTING_STATES.has(state));
  const worst = first(unfinished);
  const degraded = first(kernels.filter(({ state }) => DEGRADED_STATES.has(state)));
  const update = observedGeneration === undefined ? {} : { observedGeneration };
  return [
    { ...update, type: 'Ready', ...readyOf(counts, worst, unfinished, plugin, pluginShort, remarks) },
    { ...update, type: 'Progressing', ...progressingOf(plan, unfinished, pluginShort, plugin) },
    { ...update, type: 'Degraded', ...degradedOf(degraded, kernels, counts, plugin) },
  ];
}

/** States in which nothing more is going to happen and nothing is wrong. */
const RESTING_STATES: ReadonlySet<State> = new Set<State>(['Loaded', 'NoKernelMapping', 'NodesSkipped']);

type Verdict = Pick<ConditionInput, 'status' | 'reason' | 'message'>;

function readyOf(
  counts: Counts,
  worst: KernelSummary | undefined,
  unfinished: readonly KernelSummary[],
  plugin: PluginSummary | undefined,
  pluginShort: number,
  remarks: string,
): Verdict {
  const progress = `Loaded on ${counts.loaded} of ${counts.desired} nodes.`;
  if (worst !== undefined && worst.state !== 'RollingOut' && worst.state !== 'Unloading') {
    return {
      status: 'False',
      reason: worst.state,
      message: cut(`${progress} ${sentence(describe(unfinished))}${remarks}`),
    };
  }
  if (counts.matching === 0 && counts.desired === 0) {
    return { status: 'False', reason: 'NoNodes', message: 'No node matches spec.selector.' };
  }
  if (counts.desired === 0) {
    const reason = counts.unmapped > 0 ? 'NoKernelMapping' : 'NodesSkipped';
    return { status: 'False', reason, message: cut(`No node can have the module.${remarks}`) };
  }
  if (counts.loaded < counts.desired) {
    return {
      status: 'False',
      reason: worst?.state ?? 'Loading',
      message: cut(`${progress} ${sentence(describe(unfinished))}${remarks}`),
    };
  }
  if (plugin !== undefined && pluginShort > 0) {
    return {
      status: 'False',
      reason: 'DevicePluginUnavailable',
      message: cut(`${progress} ${describePlugin(plugin, pluginShort)}`),
    };
  }
  return { status: 'True', reason: 'AllLoaded', message: cut(`${progress}${remarks}`) };
}

function progressingOf(
  plan: ModulePlan,
  unfinished: readonly KernelSummary[],
  pluginShort: number,
  plugin: PluginSummary | undefined,
): Verdict {
  const { outdated, replacing, skipped } = plan.rollout;
  if (outdated > 0 || replacing > 0) {
    const left = `Outdated loaders: ${outdated}, nodes being replaced: ${replacing}`;
    const note = skipped > 0 ? `, skipped because not Ready: ${skipped}` : '';
    return { status: 'True', reason: 'RollingOut', message: cut(`${left}${note}. ${describe(unfinished)}`.trim()) };
  }
  const active = unfinished.filter(({ state }) => !DEGRADED_STATES.has(state));
  const next = first(active) ?? first(unfinished);
  if (next !== undefined) {
    return { status: 'True', reason: next.state, message: cut(describe(active.length > 0 ? active : unfinished)) };
  }
  if (plugin !== undefined && pluginShort > 0) {
    return { status: 'True', reason: 'DevicePluginUnavailable', message: cut(describePlugin(plugin, pluginShort)) };
  }
  return { status: 'False', reason: 'Done', message: 'Nothing is in progress.' };
}

function degradedOf(
  degraded: KernelSummary | undefined,
  kernels: readonly KernelSummary[],
  counts: Counts,
  plugin: PluginSummary | undefined,
): Verdict {
  if (degraded !== undefined) {
    const message = describe(kernels.filter(({ state }) => DEGRADED_STATES.has(state)));
    return { status: 'True', reason: degraded.state, message: cut(message) };
  }
  if (plugin?.failure !== undefined) {
    return { status: 'True', reason: 'DevicePluginUnavailable', message: cut(plugin.failure) };
  }
  if (counts.skipped > 0 && kernels.some(({ state, message }) => state === 'NodesSkipped' && isDown(message))) {
    return {
      status: 'True',
      reason: 'NodesSkipped',
      message: `${nodes(counts.skipped)} left out; the first cause: not Ready.`,
    };
  }
  return { status: 'False', reason: 'Healthy', message: 'Nothing is wrong.' };
}

function isDown(message: string | undefined): boolean {
  return message?.includes('not Ready') ?? false;
}

function describePlugin(plugin: PluginSummary, short: number): string {
  const what = `The device plugin does not run yet on ${short} of ${nodes(plugin.status.desiredNumber)}`;
  if (plugin.failure !== undefined) return `${what}. ${plugin.failure}`;
  return plugin.waiting === undefined ? `${what}.` : `${what}: ${plugin.waiting}.`;
}

/** The first cause, and how many more kernels have one. */
function describe(kernels: readonly KernelSummary[]): string {
  const worst = first(kernels);
  if (worst === undefined) return '';
  const cause = worst.message === undefined ? '' : `: ${worst.message}`;
  const more = kernels.length > 1 ? ` (and ${kernels.length - 1} more kernel${kernels.length > 2 ? 's' : ''})` : '';
  return `${worst.state} on ${nodes(worst.inState)} with kernel ${worst.kernel.kernel}${cause}${more}`;
}

function remarksOf(kernels: readonly KernelSummary[], counts: Counts): string {
  const remarks: string[] = [];
  const unmapped = kernels.filter(({ state }) => state === 'NoKernelMapping');
  if (counts.unmapped > 0) {
    const names = unmapped.slice(0, 3).map(({ kernel }) => kernel.kernel);
    const more = unmapped.length > 3 ? ` and ${unmapped.length - 3} more` : '';
    remarks.push(` No mapping matches ${nodes(counts.unmapped)} (kernel ${names.join(', ')}${more}).`);
  }
  const skipped = kernels.find(({ state }) => state === 'NodesSkipped');
  if (counts.skipped > 0)
    remarks.push(` Skipped: ${nodes(counts.skipped)}${skipped?.message === undefined ? '' : ` (${skipped.message})`}.`);
  return remarks.join('');
}

/** With a full stop, unless whoever is quoted has put one. */
function sentence(text: string): string {
  return text === '' || /[.!?…]$/.test(text) ? text : `${text}.`;
}

function nodes(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`;
}

function first(kernels: readonly KernelSummary[]): KernelSummary | undefined {
  return kernels.reduce<KernelSummary | undefined>(
    (worst, kernel) => (worst === undefined || worse(kernel.state, worst.state) ? kernel : worst),
    undefined,
  );
}

export function cut(text: string, longest = LONGEST_MESSAGE): string {
  return shorten(text, longest);
}
