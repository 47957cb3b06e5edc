import type { ContainerStatus, Pod } from '../../kube/core.ts';
import { EXIT_CODES, type Step } from '../pipeline/failure.ts';
import { type Durations, decodeReport, type FailureReport } from '../pipeline/report.ts';
import type { BuildObservation } from './engine.ts';

const LONGEST_WORDS = 512;

/** What a build pod tells: its containers' states, and the reports that they leave in their termination messages. */
export function observePod(pod: Pod): BuildObservation {
  const { metadata, status } = pod;
  const stages = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  if (status?.phase === 'Failed') return failureOf(pod, stages);
  if (status?.phase === 'Succeeded') return successOf(pod, stages);
  const running = stages.find(({ state }) => state?.running !== undefined);
  if (running === undefined) {
    const message = whyNotStarted(pod, stages);
    return {
      phase: 'Starting',
      since: metadata.creationTimestamp ?? '',
      ...(message === undefined ? {} : { message }),
      ...(pod.spec?.nodeName === undefined ? { unclaimed: true } : {}),
    };
  }
  return { phase: phaseOf(running.name), since: running.state?.running?.startedAt ?? '' };
}

function phaseOf(container: string): 'Building' | 'Signing' | 'Pushing' {
  switch (container) {
    case 'sign':
      return 'Signing';
    case 'push':
      return 'Pushing';
    default:
      return 'Building';
  }
}

function successOf(pod: Pod, stages: readonly ContainerStatus[]): BuildObservation {
  const at = finishedAt(pod, stages);
  const report = decodeReport(stages.at(-1)?.state?.terminated?.message ?? '');
  if (report !== undefined && report.result !== 'failed' && report.result !== 'passed') {
    return { phase: 'Succeeded', at, report: { ...report, durations: allDurations(stages) } };
  }
  return {
    phase: 'Failed',
    at,
    blame: 'infrastructure',
    message: 'the build ended well and left no report, so which image it made is not known',
  };
}

function failureOf(pod: Pod, stages: readonly ContainerStatus[]): BuildObservation {
  const at = finishedAt(pod, stages);
  const { status } = pod;
  if (status?.reason === 'DeadlineExceeded' && !stages.some(({ state }) => state?.running ?? state?.terminated)) {
    return {
      phase: 'Failed',
      at,
      blame: 'infrastructure',
      message: 'the build pod did not start within build.timeout: look for a Secret or a node that it waits for',
    };
  }
  const broken = stages.find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  const ended = broken?.state?.terminated;
  const report = decodeReport(ended?.message ?? '');
  const durations = { durations: allDurations(stages) };
  if (status?.reason === 'DeadlineExceeded') {
    const overdue = overdueIn(report?.result === 'failed' ? report : undefined);
    return { phase: 'Failed', at, ...overdue, ...durations };
  }
  if (report?.result === 'failed') {
    const { step, message, log } = report;
    return {
      phase: 'Failed',
      at,
      blame: report.cause,
      step,
      message,
      ...(log === undefined ? {} : { log }),
      ...durations,
    };
  }
  if (ended?.reason === 'OOMKilled') {
    return {
      phase: 'Failed',
      at,
      blame: 'user',
      message: `the ${broken?.name} stage used more memory than it may: raise build.resources.limits.memory`,
      ...durations,
    };
  }
  const words = [status?.reason, status?.message, ended?.reason, ended?.message].filter(
    (word) => word !== undefined && word !== '',
  );
  return {
    phase: 'Failed',
    at,
    blame: ended?.exitCode === EXIT_CODES.user ? 'user' : 'infrastructure',
    message: `the build pod was ended from outside (${words.join(', ').slice(0, LONGEST_WORDS) || 'no reason is told'})`,
    ...durations,
  };
}

/** Steps that take as long as others let them: who hangs today may answer tomorrow. */
const WAITS: Readonly<Partial<Record<Step, string>>> = {
  check: 'the registry answers',
  source: 'the Git server, or the registry of the base image, answers',
  push: 'the registry answers',
};

/** @param report of the stage that was told to end; the kubelet may have killed it before it could write one */
function overdueIn(report: FailureReport | undefined) {
  const waitsFor = report === undefined ? undefined : WAITS[report.step];
  const cure = waitsFor === undefined ? 'raise it, or make the build shorter' : `see that ${waitsFor}, or raise it`;
  return {
    blame: waitsFor === undefined ? ('user' as const) : ('infrastructure' as const),
    message: `the build took longer than build.timeout allows: ${cure}`,
    ...(report === undefined ? {} : { step: report.step }),
    ...(report?.log === undefined ? {} : { log: report.log }),
  };
}

/** Of all stages: each container reports its own steps. */
function allDurations(stages: readonly ContainerStatus[]): Durations {
  return Object.assign(
    {},
    ...stages.map(({ state }) => decodeReport(state?.terminated?.message ?? '')?.durations ?? {}),
  );
}

function finishedAt(pod: Pod, stages: readonly ContainerStatus[]): string {
  const times = stages.flatMap(({ state }) => state?.terminated?.finishedAt ?? []).sort();
  // A pod that was evicted, or whose node is gone, has no container that ended.
  return (
    times.at(-1) ??
    pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ??
    pod.metadata.creationTimestamp ??
    ''
  );
}

/** The scheduler's, the runtime's or the kubelet's words. */
function whyNotStarted({ spec, status }: Pod, stages: readonly ContainerStatus[]): string | undefined {
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') return (scheduled.message ?? scheduled.reason ?? '').slice(0, LONGEST_WORDS);
  const waiting = stages
    .map(({ state }) => state?.waiting)
    .find((state) => state?.message !== undefined && state.message !== '');
  if (waiting !== undefined) return `${waiting.reason}: ${waiting.message}`.slice(0, LONGEST_WORDS);
  // The kubelet tells nobody but an Event which volume it waits for.
  return spec?.nodeName === undefined
    ? undefined
    : `on node ${spec.nodeName}, for its image and its volumes; it would wait here for a Secret that is missing, or that lacks its key`;
}
