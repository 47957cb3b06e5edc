import { describe, expect, it, test } from 'vitest';
import type { ContainerStatus, Pod } from '../../kube/core.ts';
import { containerLogs } from './logs.ts';

function aPod(status: Partial<ContainerStatus>, phase = 'Running'): Pod {
  const containerStatuses = [{ name: 'c', ready: false, restartCount: 0, ...status }];
  return { metadata: { name: 'p', namespace: 'n' }, status: { phase, containerStatuses } };
}

const logsOf = (pod: Pod, which: 'all' | 'failing' = 'failing') =>
  containerLogs([pod], which, 10).map(({ container, previous }) => `${container}${previous ? ' previous' : ''}`);

describe('the logs of pods that fail', () => {
  test.each<[string, Pod, string[]]>([
    ['a container that runs', aPod({ state: { running: {} } }), []],
    ['one that is being created', aPod({ state: { waiting: { reason: 'ContainerCreating' } } }, 'Pending'), []],
    [
      'one whose image cannot be pulled, which has no log',
      aPod({ state: { waiting: { reason: 'ErrImagePull' } } }),
      [],
    ],
    ['one that ended well', aPod({ state: { terminated: { exitCode: 0 } } }, 'Succeeded'), []],
    ['one that ended badly', aPod({ state: { terminated: { exitCode: 1 } } }), ['c']],
    ['one of a pod that failed', aPod({ state: { terminated: { exitCode: 0 } } }, 'Failed'), ['c']],
    ['one that runs again', aPod({ restartCount: 1, state: { running: {} } }), ['c', 'c previous']],
    [
      'one that crashes again and again',
      aPod({ restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } } }),
      ['c', 'c previous'],
    ],
  ])('are, for %s, as expected', (_what, pod, expected) => {
    expect(logsOf(pod)).toEqual(expected);
  });

  it('are those of init containers too, and of a pod that has no status there are none', () => {
    const failed = { name: 'build', ready: false, restartCount: 0, state: { terminated: { exitCode: 1 } } };
    expect(logsOf({ metadata: { name: 'p' }, status: { phase: 'Failed', initContainerStatuses: [failed] } })).toEqual([
      'build',
    ]);
    expect(logsOf({ metadata: { name: 'p' } })).toEqual([]);
  });

  it('are all logs, where all are asked for', () => {
    expect(logsOf(aPod({ state: { running: {} } }), 'all')).toEqual(['c']);
  });
});
