import { buildProblem } from '../pipeline/build-errors.ts';
import type { FailureCause, Step } from '../pipeline/failure.ts';
import { classifyGitFault } from '../pipeline/git-fault.ts';
import { type RegistryUse, registryProblem } from '../pipeline/registry-errors.ts';
import { registryOf } from '../pipeline/tags.ts';
import type { BuildObservation } from './engine.ts';
import type { Build } from './openshift-objects.ts';

type Failed = Extract<BuildObservation, { phase: 'Failed' }>;
type Verdict = Pick<Failed, 'blame' | 'step' | 'message'>;

const LONGEST_WORDS = 512;

/** Whose turn it is when all that is known is the reason. Source: github.com/openshift/api/build/v1/consts.go, StatusReason. */
const REASONS: ReadonlyMap<string, { readonly blame: FailureCause; readonly step?: Step }> = new Map([
  ['CannotCreateBuildPodSpec', { blame: 'user' }],
  ['CannotCreateBuildPod', { blame: 'infrastructure' }],
  ['InvalidOutputReference', { blame: 'user' }],
  ['InvalidImageReference', { blame: 'user' }],
  ['CancelBuildFailed', { blame: 'infrastructure' }],
  ['BuildPodDeleted', { blame: 'infrastructure' }],
  ['ExceededRetryTimeout', { blame: 'infrastructure' }],
  ['MissingPushSecret', { blame: 'infrastructure', step: 'push' }],
  ['PostCommitHookFailed', { blame: 'user', step: 'build' }],
  ['PushImageToRegistryFailed', { blame: 'infrastructure', step: 'push' }],
  ['PullBuilderImageFailed', { blame: 'infrastructure', step: 'build' }],
  ['FetchSourceFailed', { blame: 'infrastructure', step: 'source' }],
  ['FetchImageContentFailed', { blame: 'infrastructure', step: 'source' }],
  ['ManageDockerfileFailed', { blame: 'user', step: 'source' }],
  ['InvalidContextDirectory', { blame: 'user', step: 'source' }],
  ['DockerBuildFailed', { blame: 'user', step: 'build' }],
  ['BuildPodExists', { blame: 'infrastructure' }],
  ['NoBuildContainerStatus', { blame: 'infrastructure' }],
  ['FailedContainer', { blame: 'infrastructure' }],
  ['UnresolvableEnvironmentVariable', { blame: 'user' }],
  ['OutOfMemoryKilled', { blame: 'user', step: 'build' }],
  ['CannotRetrieveServiceAccount', { blame: 'infrastructure' }],
  ['BuildPodEvicted', { blame: 'infrastructure' }],
]);

/**
 * What a Build that failed tells: OpenShift's reason, and what can be read off the end of its log, in the words that a build pod of ours has.
 *
 * The log itself is not told: nobody takes Secrets' values out of it, and the operator, which reads no Secret, cannot. Whoever may read the
 * log of a pod is shown where it is.
 */
export function failureOfBuild(build: Build): Failed {
  const { status = {}, metadata } = build;
  const log = status.logSnippet?.trim() ?? '';
  const verdict = verdictOf(build, log === '' ? [] : log.split('\n'));
  const where = log === '' ? '' : ` (its log: oc logs --namespace=${metadata.namespace} build/${metadata.name})`;
  return {
    phase: 'Failed',
    at: status.completionTimestamp ?? status.startTimestamp ?? metadata.creationTimestamp ?? '',
    ...verdict,
    message: `${verdict.message}${where}`,
  };
}

function verdictOf(build: Build, lines: readonly string[]): Verdict {
  const { metadata, status = {} } = build;
  const { phase = '', reason = '', message = '' } = status;
  if (phase === 'Cancelled') {
    return {
      blame: 'user',
      message: `Build ${metadata.name} was cancelled by somebody: change spec.imageRebuildTriggerGeneration to have it built again`,
    };
  }
  if (isOverTime(build)) {
    return {
      blame: 'user',
      message: 'the build took longer than build.timeout allows: raise it, or make the build shorter',
    };
  }
  const told = readLog(build, reason, lines);
  if (told !== undefined) return told;
  const known = REASONS.get(reason);
  const words = [reason, message].filter((word) => word !== '').join(': ');
  return {
    // An unknown failure is tried again, as often as any other.
    ...(known ?? { blame: 'infrastructure' }),
    message: `Build ${metadata.name} failed (${words.slice(0, LONGEST_WORDS) || phase})`,
  };
}

/** OpenShift does not say it in so many words: the pod is ended at its deadline. */
function isOverTime({ spec, status }: Build): boolean {
  const { completionDeadlineSeconds } = spec ?? {};
  const { startTimestamp = '', completionTimestamp = '' } = status ?? {};
  const tookMs = Date.parse(completionTimestamp) - Date.parse(startTimestamp);
  return completionDeadlineSeconds !== undefined && tookMs >= completionDeadlineSeconds * 1_000;
}

function readLog(build: Build, reason: string, lines: readonly string[]): Verdict | undefined {
  switch (reason) {
    case 'OutOfMemoryKilled':
      return {
        blame: 'user',
        step: 'build',
        message: 'the build used more memory than it may: raise build.resources.limits.memory',
      };
    case 'FetchSourceFailed': {
      const { kind, blame, sentence } = classifyGitFault(lines);
      return kind === 'unknown' ? undefined : { blame, step: 'source', message: sentence };
    }
    case 'PushImageToRegistryFailed':
      return ofRegistry(build, 'push', lines);
    case 'PullBuilderImageFailed':
      return ofRegistry(build, 'pull', lines);
    case 'DockerBuildFailed': {
      // The builder's own last words. Another last line is a command's, and may be a secret.
      if (!BUILDERS_WORDS.test(lines.at(-1) ?? '')) return undefined;
      const place = {
        registry: registryOf(outputOf(build)),
        hasCredentials: () => hasSecret(build, 'pull'),
        isMasked: false,
      };
      const { blame, sentence } = buildProblem(lines.map(asBuildah), place);
      return { blame, step: 'build', message: sentence };
    }
    default:
      return undefined;
  }
}

/** OpenShift's builder is buildah as a library, and puts its own words before buildah's. */
const BUILDERS_WORDS = /^error: (?:build error: )?/i;

function asBuildah(line: string): string {
  return line.replace(BUILDERS_WORDS, 'Error: ');
}

function ofRegistry(build: Build, use: RegistryUse, lines: readonly string[]): Verdict | undefined {
  const reference = outputOf(build);
  const problem = registryProblem(lines, {
    use,
    reference: use === 'push' ? reference : 'an image of the Dockerfile',
    registry: use === 'push' ? registryOf(reference) : 'of a FROM line',
    hasCredentials: () => hasSecret(build, use),
  });
  if (problem === undefined) return undefined;
  return { blame: problem.blame, step: use === 'push' ? 'push' : 'build', message: problem.sentence };
}

function hasSecret({ spec }: Build, use: RegistryUse): boolean {
  return (use === 'push' ? spec?.output?.pushSecret : spec?.strategy?.dockerStrategy.pullSecret) !== undefined;
}

function outputOf({ spec }: Build): string {
  return spec?.output?.to.name ?? '';
}
