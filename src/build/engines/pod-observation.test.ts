import { describe, expect, it } from 'vitest';
import { aReport } from '../../../test/harness/builds.ts';
import type { ContainerState, Pod } from '../../kube/core.ts';
import { encodeReport } from '../pipeline/report.ts';
import { observePod } from './pod-observation.ts';

const AT = '2026-03-01T12:00:00Z';
const LATER = '2026-03-01T12:05:00Z';
type Status = NonNullable<Pod['status']>;

const container = (name: string, state: ContainerState) => ({ name, ready: false, restartCount: 0, state });
const running = (name: string) => container(name, { running: { startedAt: AT } });
const ended = (name: string, exitCode: number, message = '', reason = 'Error') =>
  container(name, { terminated: { exitCode, message, reason, finishedAt: LATER } });

function observe(status: Status) {
  return observePod({ metadata: { name: 'b', creationTimestamp: AT }, status });
}

/** The report of a stage that had SIGTERM in a step. */
function toldToEnd(step: 'build' | 'push'): string {
  const message = 'The build was told to end.';
  return encodeReport({ result: 'failed', step, cause: 'infrastructure', message, log: 'CC kmod.o', durations: {} });
}

describe('a build pod', () => {
  it.each<[string, Status]>([
    ['Building', { phase: 'Pending', initContainerStatuses: [running('build'), container('sign', { waiting: {} })] }],
    ['Signing', { phase: 'Pending', initContainerStatuses: [ended('build', 0), running('sign')] }],
    ['Pushing', { phase: 'Running', initContainerStatuses: [ended('build', 0)], containerStatuses: [running('push')] }],
  ])('is %s while that stage runs', (phase, status) => {
    expect(observe(status)).toEqual({ phase, since: AT });
  });

  it.each<[string, Status, string | undefined]>([
    [
      'no node takes it',
      { conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' }] },
      '0/3 nodes are available',
    ],
    [
      'the builder image cannot be pulled',
      { initContainerStatuses: [container('build', { waiting: { reason: 'ErrImagePull', message: 'not found' } })] },
      'ErrImagePull: not found',
    ],
    ['nobody has said anything', {}, undefined],
  ])('is starting, and says for what it waits, when %s', (_what, status, message) => {
    expect(observe({ phase: 'Pending', ...status })).toEqual({
      phase: 'Starting',
      since: AT,
      ...(message === undefined ? {} : { message }),
      unclaimed: true,
    });
  });

  it('that a node has taken, and nobody says anything of, names what it may wait for and does not claim that it is so', () => {
    const pod = { metadata: { name: 'b', creationTimestamp: AT }, spec: { nodeName: 'n', containers: [] }, status: {} };
    expect(observePod(pod)).toMatchObject({
      phase: 'Starting',
      message:
        'on node n, for its image and its volumes; it would wait here for a Secret that is missing, or that lacks its key',
    });
    expect(observePod(pod)).not.toHaveProperty('unclaimed');
  });

  it('that ended well has made the image that its last stage reports, in the time of all stages', () => {
    const passed = encodeReport({ result: 'passed', durations: { build: 20_000 } });
    const report = encodeReport(aReport({ durations: { push: 2_000 } }));
    const status = {
      phase: 'Succeeded',
      initContainerStatuses: [ended('build', 0, passed)],
      containerStatuses: [ended('push', 0, report)],
    };
    expect(observe(status)).toEqual({
      phase: 'Succeeded',
      at: LATER,
      report: aReport({ durations: { build: 20_000, push: 2_000 } }),
    });
  });

  it('that ended well and reports nothing is tried again: which image it made is not known', () => {
    const status = { phase: 'Succeeded', containerStatuses: [ended('push', 0, 'not a report')] };
    expect(observe(status)).toMatchObject({ phase: 'Failed', blame: 'infrastructure' });
  });

  it.each<[string, Status, object]>([
    [
      'with the step and the words of its report',
      {
        initContainerStatuses: [
          ended(
            'build',
            10,
            encodeReport({ result: 'failed', step: 'build', cause: 'user', message: 'make failed', durations: {} }),
          ),
        ],
      },
      { blame: 'user', step: 'build', message: 'make failed' },
    ],
    [
      'for the memory it may use',
      { initContainerStatuses: [ended('build', 137, '', 'OOMKilled')] },
      { blame: 'user', message: expect.stringContaining('raise build.resources.limits.memory') },
    ],
    [
      'because it never came to its start',
      {
        reason: 'DeadlineExceeded',
        initContainerStatuses: [container('build', { waiting: { reason: 'PodInitializing' } })],
      },
      { blame: 'infrastructure', message: expect.stringContaining('did not start within build.timeout') },
    ],
    [
      'for the time it may take',
      { reason: 'DeadlineExceeded', initContainerStatuses: [ended('build', 137)] },
      { blame: 'user', message: expect.stringContaining('raise it') },
    ],
    [
      'for the time it may take, in the step that took it, with the last lines of that',
      { reason: 'DeadlineExceeded', initContainerStatuses: [ended('build', 20, toldToEnd('build'))] },
      { blame: 'user', step: 'build', log: 'CC kmod.o', message: expect.stringContaining('raise it') },
    ],
    [
      'because others let it wait',
      { reason: 'DeadlineExceeded', containerStatuses: [ended('push', 20, toldToEnd('push'))] },
      {
        blame: 'infrastructure',
        step: 'push',
        message: expect.stringContaining('build.timeout allows: see that the registry answers'),
      },
    ],
    [
      'because its node needed the room',
      { reason: 'Evicted', message: 'The node was low on resource: ephemeral-storage.' },
      { blame: 'infrastructure', message: expect.stringContaining('low on resource: ephemeral-storage') },
    ],
    [
      'because it was killed',
      { initContainerStatuses: [ended('build', 137)] },
      { blame: 'infrastructure', message: expect.stringContaining('ended from outside') },
    ],
  ])('has failed %s', (_how, status, expected) => {
    expect(observe({ phase: 'Failed', ...status })).toMatchObject({ phase: 'Failed', ...expected });
  });
});
