import { describe, expect, it } from 'vitest';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import { specOf, stored } from '../../../test/harness/plan-world.ts';
import type { KernelStatus, ModuleStatus } from '../../api/module.ts';
import { type PlannedEvent, planEvents, planUnloadingEvents } from './plan-events.ts';
import { DEGRADED_STATES, EVENT_REASONS } from './reasons.ts';
import { unloadingStatus } from './status.ts';

const kernel = (state: string, fields: Partial<KernelStatus> = {}): KernelStatus => ({
  kernelVersion: '5.4.0',
  architecture: 'amd64',
  nodes: 2,
  loaded: 0,
  state,
  ...fields,
});

const degraded = (reason: string, message = 'words') => ({
  type: 'Degraded',
  status: 'True' as const,
  lastTransitionTime: '2026-03-01T12:00:00Z',
  reason,
  message,
});

const statusOf = (kernels: readonly KernelStatus[], conditions: ModuleStatus['conditions'] = []): ModuleStatus => ({
  observedGeneration: 1,
  kernels,
  conditions,
});

function eventsOf(
  before: ModuleStatus | undefined,
  next: ModuleStatus,
  builder: ModuleBuilder = aModule('m'),
): PlannedEvent[] {
  const module = stored(builder, before === undefined ? {} : { status: before });
  return planEvents(module, specOf(module), next);
}

const reasonsOf = (events: readonly PlannedEvent[]): string[] => events.map(({ type, reason }) => `${type} ${reason}`);

describe('an event is told', () => {
  it.each([...DEGRADED_STATES])('as a warning when a kernel comes to %s, with the cause', (state) => {
    expect(eventsOf(statusOf([kernel('Loading')]), statusOf([kernel(state, { message: 'the cause' })]))).toEqual([
      { type: 'Warning', reason: state, message: 'kernel 5.4.0 (2 nodes): the cause' },
    ]);
  });

  it.each(['WaitingForImage', 'Building', 'Signing', 'Pushing'])(
    'as news when the image of a kernel comes to %s',
    (state) => {
      expect(eventsOf(statusOf([kernel('Loading')]), statusOf([kernel(state, { message: 'pod b' })]))).toEqual([
        { type: 'Normal', reason: state, message: 'kernel 5.4.0 (2 nodes): pod b' },
      ]);
    },
  );

  it('with the state where no cause is known, and one node in the singular', () => {
    const [event] = eventsOf(statusOf([]), statusOf([kernel('LoaderFailing', { nodes: 1 })]));
    expect(event?.message).toBe('kernel 5.4.0 (1 node): LoaderFailing');
  });

  it('when a kernel is loaded on all its nodes, and when its rollout begins', () => {
    expect(reasonsOf(eventsOf(statusOf([kernel('Loading')]), statusOf([kernel('Loaded')])))).toEqual(['Normal Loaded']);
    expect(reasonsOf(eventsOf(statusOf([kernel('Loaded')]), statusOf([kernel('RollingOut')])))).toEqual([
      'Normal RollingOut',
    ]);
  });

  it('of a kernel that was not there before, and of each architecture by itself', () => {
    const arm = kernel('Loaded', { architecture: 'arm64' });
    expect(eventsOf(statusOf([kernel('Loaded')]), statusOf([kernel('Loaded'), arm]))).toHaveLength(1);
    expect(eventsOf(undefined, statusOf([kernel('Loaded')]))).toHaveLength(1);
  });

  it('when the device plugin becomes unavailable', () => {
    const next = statusOf([], [degraded('DevicePluginUnavailable', 'on node n1: x')]);
    expect(eventsOf(statusOf([], [degraded('Healthy')]), next)).toEqual([
      { type: 'Warning', reason: 'DevicePluginUnavailable', message: 'on node n1: x' },
    ]);
    expect(eventsOf(next, next)).toEqual([]);
  });
});

describe('no event is told', () => {
  it.each(['Loaded', 'LoaderFailing', 'RollingOut', 'WaitingForImage'])(
    'of %s while it lasts, nor by an operator that has just started',
    (state) => {
      const before = statusOf([kernel(state, { message: 'first words' })]);
      expect(eventsOf(before, statusOf([kernel(state, { message: 'other words', loaded: 1 })]))).toEqual([]);
    },
  );

  it.each(['Loading', 'Unloading', 'NodesSkipped', 'NoKernelMapping'])('of %s', (state) => {
    expect(eventsOf(statusOf([kernel('Loaded')]), statusOf([kernel(state)]))).toEqual([]);
  });

  it('of a kernel that has gone', () => {
    expect(eventsOf(statusOf([kernel('Loaded')]), statusOf([]))).toEqual([]);
  });
});

describe('a spec that is accepted but may not be meant', () => {
  const edited = { observedGeneration: 1 };

  it('is remarked on when every node is selected', () => {
    expect(eventsOf(undefined, edited, aModule('m').withSelector({}))).toEqual([
      { type: 'Warning', reason: 'EmptySelector', message: expect.stringContaining('spec.selector is empty') },
    ]);
  });

  const twice = aModule('m')
    .withKernel('a', 'x:1')
    .withKernel('b', 'x:2')
    .withKernel('a', 'x:3')
    .withKernel('b', 'x:4');

  it('is remarked on when a mapping can never win, naming the first', () => {
    expect(eventsOf(undefined, edited, twice)).toEqual([
      {
        type: 'Warning',
        reason: 'DuplicateMapping',
        message: expect.stringMatching(/^spec\.kernelMappings\[2\] never wins: spec\.kernelMappings\[0\]/),
      },
    ]);
  });

  it('tells a literal from a regexp of the same words', () => {
    const both = aModule('m').withKernel('a', 'x:1').withMapping({ regexp: 'a', containerImage: 'x:2' });
    expect(eventsOf(undefined, edited, both)).toEqual([]);
  });

  it('is remarked on once for each edit, not at every reconcile or restart', () => {
    expect(eventsOf({ observedGeneration: 1 }, edited, twice)).toEqual([]);
    expect(eventsOf({ observedGeneration: 1 }, { observedGeneration: 2 }, twice)).toHaveLength(1);
  });
});

describe('a deletion', () => {
  it('is told once, when it begins', () => {
    const before = stored(aModule('m'), { status: statusOf([], [degraded('Healthy', 'words')]) });
    const first = unloadingStatus(before, 'its DaemonSets are being removed', 0);
    expect(reasonsOf(planUnloadingEvents(before, first))).toEqual(['Normal Unloading']);
    const under = stored(aModule('m'), { status: first });
    expect(planUnloadingEvents(under, unloadingStatus(under, 'waiting for a pod', 1_000))).toEqual([]);
  });
});

it('every reason of an event is documented with its type', () => {
  const documented = new Set(EVENT_REASONS.map(({ type, reason }) => `${type} ${reason}`));
  const told = [
    ...[...DEGRADED_STATES, 'WaitingForImage', 'Building', 'Signing', 'Pushing', 'Loaded', 'RollingOut'].flatMap(
      (state) => reasonsOf(eventsOf(statusOf([]), statusOf([kernel(state)]))),
    ),
    ...reasonsOf(eventsOf(undefined, { observedGeneration: 1 }, aModule('m').withSelector({}))),
    'Normal Unloading',
    'Warning DuplicateMapping',
    'Warning DevicePluginUnavailable',
  ];
  expect(told.filter((event) => !documented.has(event))).toEqual([]);
});
