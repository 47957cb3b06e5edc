import { findCondition } from '../../api/conditions.ts';
import type { Module, ModuleStatus } from '../../api/module.ts';
import type { NormalizedModule } from '../../api/normalize.ts';
import { DEGRADED_STATES, type State } from './reasons.ts';

export interface PlannedEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/**
 * Events are told by transitions, from the status that stands in the API server to the one about to be written: a state that lasts, a
 * restart of the operator or a change of leader tells nothing twice.
 */
export function planEvents(module: Module, spec: NormalizedModule, next: ModuleStatus): PlannedEvent[] {
  const events: PlannedEvent[] = [];
  if (module.status?.observedGeneration !== next.observedGeneration) events.push(...remarksOnSpec(spec));
  const before = new Map(
    (module.status?.kernels ?? []).map((kernel) => [`${kernel.kernelVersion}/${kernel.architecture}`, kernel.state]),
  );
  for (const { kernelVersion, architecture, state, nodes, message } of next.kernels ?? []) {
    if (before.get(`${kernelVersion}/${architecture}`) === state) continue;
    const event = eventOfState(state, kernelVersion, nodes, message);
    if (event !== undefined) events.push(event);
  }
  const plugin = next.conditions?.find(({ type }) => type === 'Degraded');
  const pluginBefore = module.status?.conditions?.find(({ type }) => type === 'Degraded');
  if (plugin?.reason === 'DevicePluginUnavailable' && pluginBefore?.reason !== plugin.reason) {
    events.push({ type: 'Warning', reason: plugin.reason, message: plugin.message });
  }
  return events;
}

/** The event of a Module that is being deleted, when that begins. */
export function planUnloadingEvents(module: Module, next: ModuleStatus): PlannedEvent[] {
  return eventOfNewReason(module, next, 'Ready', 'Normal');
}

/** The event of a Module that is stored and not acted on, when that is first said. */
export function planUnsupportedEvents(module: Module, next: ModuleStatus): PlannedEvent[] {
  return eventOfNewReason(module, next, 'Degraded', 'Warning');
}

function eventOfNewReason(
  module: Module,
  next: ModuleStatus,
  condition: 'Ready' | 'Degraded',
  type: PlannedEvent['type'],
): PlannedEvent[] {
  const said = findCondition(next.conditions, condition);
  if (said === undefined || findCondition(module.status?.conditions, condition)?.reason === said.reason) return [];
  return [{ type, reason: said.reason, message: said.message }];
}

function eventOfState(
  state: string,
  kernel: string,
  nodes: number,
  message: string | undefined,
): PlannedEvent | undefined {
  const where = `kernel ${kernel} (${nodes} node${nodes === 1 ? '' : 's'})`;
  if (isDegraded(state)) return { type: 'Warning', reason: state, message: `${where}: ${message ?? state}` };
  if (isAboutImage(state)) return { type: 'Normal', reason: state, message: `${where}: ${message ?? state}` };
  if (state === 'Loaded') return { type: 'Normal', reason: state, message: `Loaded on every node with ${where}` };
  if (state === 'RollingOut') return { type: 'Normal', reason: state, message: `Replacing loaders of ${where}` };
  return undefined;
}

function isAboutImage(state: string): boolean {
  return state === 'WaitingForImage' || state === 'Building' || state === 'Signing' || state === 'Pushing';
}

function isDegraded(state: string): state is State {
  const names: ReadonlySet<string> = DEGRADED_STATES;
  return names.has(state);
}

function remarksOnSpec({ selector, kernelMappings }: NormalizedModule): PlannedEvent[] {
  const events: PlannedEvent[] = [];
  if (Object.keys(selector).length === 0) {
    events.push({
      type: 'Warning',
      reason: 'EmptySelector',
      message: 'spec.selector is empty: every node of the cluster is selected. Name a label if that is not meant.',
    });
  }
  const seen = new Map<string, number>();
  for (const [index, { literal, regexp }] of kernelMappings.entries()) {
    const key = JSON.stringify([literal, regexp]);
    const firstIndex = seen.get(key);
    if (firstIndex === undefined) {
      seen.set(key, index);
    } else {
      events.push({
        type: 'Warning',
        reason: 'DuplicateMapping',
        message: `spec.kernelMappings[${index}] never wins: spec.kernelMappings[${firstIndex}] matches the same and stands before it.`,
      });
      break;
    }
  }
  return events;
}
