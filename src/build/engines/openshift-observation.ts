import type { Durations } from '../pipeline/report.ts';
import type { PartObservation } from './engine.ts';
import { failureOfBuild } from './openshift-failure.ts';
import type { Build, BuildConfig } from './openshift-objects.ts';

const LONGEST_WORDS = 512;

/** Of a BuildConfig whose Build has not been seen. */
export function observeBuildConfig({ metadata }: BuildConfig): PartObservation {
  return {
    phase: 'Starting',
    since: metadata.creationTimestamp ?? '',
    message: `BuildConfig ${metadata.name} waits for OpenShift to start its Build; if somebody deleted that, delete the BuildConfig too`,
    unclaimed: true,
  };
}

/** Source: github.com/openshift/api/build/v1/types.go, BuildPhase. */
export function observeBuild(build: Build): PartObservation {
  const { metadata, spec, status = {} } = build;
  const { phase = 'New' } = status;
  switch (phase) {
    case 'New':
    case 'Pending': {
      const why = [status.reason, status.message].filter((word) => word !== undefined && word !== '').join(': ');
      return {
        phase: 'Starting',
        since: metadata.creationTimestamp ?? '',
        message: `Build ${metadata.name} is ${phase}${why === '' ? '' : `: ${why.slice(0, LONGEST_WORDS)}`}`,
      };
    }
    case 'Running':
      return { phase: 'Building', since: status.startTimestamp ?? metadata.creationTimestamp ?? '' };
    case 'Complete': {
      const digest = status.output?.to?.imageDigest ?? '';
      const commit = spec?.revision?.git?.commit ?? '';
      return {
        phase: 'Made',
        at: status.completionTimestamp ?? metadata.creationTimestamp ?? '',
        reference: status.outputDockerImageReference ?? spec?.output?.to.name ?? '',
        ...(digest === '' ? {} : { digest }),
        ...(commit === '' ? {} : { commit }),
        durations: durationsOf(build),
      };
    }
    default:
      // Failed, Error, Cancelled.
      return failureOfBuild(build);
  }
}

function durationsOf({ status }: Build): Durations {
  const ms = (...names: readonly string[]): number | undefined => {
    const stages = (status?.stages ?? []).filter(({ name = '' }) => names.includes(name));
    return stages.length === 0
      ? undefined
      : stages.reduce((sum, { durationMilliseconds = 0 }) => sum + durationMilliseconds, 0);
  };
  const source = ms('FetchInputs');
  const build = ms('PullImages', 'Build', 'PostCommit');
  const push = ms('PushImage');
  return {
    ...(source === undefined ? {} : { source }),
    ...(build === undefined ? {} : { build }),
    ...(push === undefined ? {} : { push }),
  };
}
