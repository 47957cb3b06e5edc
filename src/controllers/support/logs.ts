import type { ContainerStatus, Pod } from '../../kube/core.ts';
import type { ObjectRef } from '../../kube/paths.ts';
import { refOf } from '../../kube/paths.ts';

export interface LogRequest {
  readonly pod: ObjectRef;
  readonly container: string;
  /** Of the container before the one that runs now. */
  readonly previous: boolean;
  readonly limitBytes: number;
}

/** Waiting for these is no failure yet. */
const STARTING: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing']);

/** Which logs of these pods to read: of every container, or of those that have failed, with what the one before them said. */
export function containerLogs(pods: readonly Pod[], which: 'all' | 'failing', limitBytes: number): LogRequest[] {
  return pods.flatMap((pod) =>
    [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])].flatMap((container) => {
      if (which === 'failing' && !isFailing(pod, container)) return [];
      const request = { pod: refOf(pod), container: container.name, limitBytes };
      return [
        ...(hasStarted(container) ? [{ ...request, previous: false }] : []),
        ...(container.restartCount > 0 ? [{ ...request, previous: true }] : []),
      ];
    }),
  );
}

function isFailing({ status }: Pod, { state, restartCount }: ContainerStatus): boolean {
  if (status?.phase === 'Failed' || restartCount > 0) return true;
  const reason = state?.waiting?.reason;
  return (reason !== undefined && !STARTING.has(reason)) || (state?.terminated?.exitCode ?? 0) !== 0;
}

/** A container that waits for its first start has no log; asking for it is an error. */
function hasStarted({ state, restartCount }: ContainerStatus): boolean {
  return state?.running !== undefined || state?.terminated !== undefined || restartCount > 0;
}
