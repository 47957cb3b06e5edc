import { chmod, mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build, type Context, emptyContext, pullImage } from './build.ts';
import { buildKey, type KeySource } from './build-key.ts';
import { Buildah } from './buildah.ts';
import { check, type Key } from './check.ts';
import { BuildFailure, type Step } from './failure.ts';
import { type BuildFiles, buildFiles } from './files.ts';
import { labelsOf } from './labels.ts';
import { pushImage, tagImage } from './push.ts';
import { redactorOf } from './redact.ts';
import { type RegistryFiles, writeRegistryFiles } from './registries.ts';
import type { Durations, ImageReport, ModuleFile, Report } from './report.ts';
import { type BuildRequest, parseBuildRequest } from './request.ts';
import { certificateFingerprint, signModules } from './sign.ts';
import { checkOut, resolveCommit } from './source.ts';
import type { Stage } from './stages.ts';
import { clearState, type Found, type Made, type Missing, readState, writeState } from './state.ts';
import type { StepContext } from './step.ts';
import { StepClock } from './step-clock.ts';
import { byDigest, imageNames, ownReference } from './tags.ts';
import { toolEnvironment } from './tool-environment.ts';
import { verifyImage } from './verify.ts';

/** Of the log, kept for the report of a build that is told to end. */
const MOST_LINES = 60;

export interface PipelineOptions {
  readonly stage: Stage;
  /** Where the pod's files are mounted ({@link buildFiles}). */
  readonly filesRoot: string;
  /** A folder of this build alone. */
  readonly work: string;
  /** Gets each line of the log, without secrets. */
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Runs a stage of a build. It may be run again after a kill at any point, and then gives what it would have given.
 *
 * @returns the report, of a failure too; it holds no secret
 */
export async function runPipeline(options: PipelineOptions): Promise<Report> {
  const { print } = options;
  // The container tools take absolute paths alone.
  const work = resolve(options.work);
  const clock = new StepClock(print);
  const secretFolder = join(work, 'private');
  try {
    const files = buildFiles(resolve(options.filesRoot));
    const redact = await redactorOf(files);
    const lastLines: string[] = [];
    const say = (line: string): void => {
      const shown = redact(line);
      lastLines.push(shown);
      if (lastLines.length > MOST_LINES) lastLines.shift();
      print(shown);
    };
    try {
      // A killed run leaves its own.
      await rm(secretFolder, { recursive: true, force: true });
      await mkdir(secretFolder, { recursive: true });
      await chmod(secretFolder, 0o700);
      return await runStage({ ...options, work }, files, clock, { redact, say });
    } catch (error) {
      const failure = failureOf(error, clock.current, options.signal, lastLines);
      const message = redact(failure.message);
      say(`${failure.step}: failed: ${message}`);
      const log = redact(failure.log);
      return {
        result: 'failed',
        step: failure.step,
        cause: failure.blame,
        message,
        ...(log === '' ? {} : { log }),
        durations: clock.durations,
      };
    }
  } catch (error) {
    // Without the secrets nothing of the error may be shown but what this program itself says.
    const message = error instanceof Error ? error.message : 'the build could not begin';
    return { result: 'failed', step: clock.current, cause: 'infrastructure', message, durations: clock.durations };
  } finally {
    await rm(secretFolder, { recursive: true, force: true });
  }
}

/** A failure that no step has put into words is the builder's own, and says what it is for whoever mends it. */
function failureOf(error: unknown, step: Step, signal: AbortSignal, lastLines: readonly string[]): BuildFailure {
  if (signal.aborted) {
    return new BuildFailure(
      step,
      'infrastructure',
      `The build was told to end in the step ${step}. It is tried again.`,
      { log: lastLines.join('\n'), cause: error },
    );
  }
  if (error instanceof BuildFailure) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new BuildFailure(
    step,
    'infrastructure',
    `The builder failed in the step ${step}: ${what}. The build is tried again.`,
    { cause: error },
  );
}

type Speech = Pick<StepContext, 'redact' | 'say'>;

async function runStage(
  options: PipelineOptions,
  files: BuildFiles,
  clock: StepClock,
  speech: Speech,
): Promise<Report> {
  const { stage, work, signal } = options;
  const request = await readRequest(files);
  const bare: StepContext = { request, files, work, env: await toolEnvironment(work), ...speech, signal };
  const registries = await readRegistries(bare, stage);
  const run: Run = { context: { ...bare, env: { ...bare.env, ...registries.env } }, registries, clock };
  if (stage === 'all') {
    await buildStage(run);
    await signStage(run);
    return pushStage(run);
  }
  if (stage === 'push') return pushStage(run);
  if (stage === 'check') await checkStage(run);
  if (stage === 'build') await buildStage(run);
  if (stage === 'sign') await signStage(run);
  return { result: 'passed', durations: clock.durations };
}

async function readRequest(files: BuildFiles): Promise<BuildRequest> {
  try {
    return parseBuildRequest(await readFile(files.request, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new BuildFailure('check', 'infrastructure', `The builder was not told what to build: ${why}.`, { cause });
  }
}

async function readRegistries({ request, files, work }: StepContext, stage: Stage): Promise<RegistryFiles> {
  const repository = imageNames(request.image)?.repository ?? request.image;
  try {
    const { clusterRegistry } = request;
    return await writeRegistryFiles(files, work, { repository, insecureHosts: [], clusterRegistry });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    const step = stage === 'push' ? 'push' : 'check';
    throw new BuildFailure(
      step,
      'user',
      `The credentials for registries cannot be used: ${why}. Make the Secret with kubectl create secret docker-registry.`,
      { cause },
    );
  }
}

interface Run {
  readonly context: StepContext;
  readonly registries: RegistryFiles;
  readonly clock: StepClock;
}

async function checkStage(run: Run): Promise<void> {
  const { request, work } = run.context;
  await clearState(work);
  await writeState(work, request, { stage: 'check', outcome: await checkImage(run), durations: run.clock.durations });
}

function checkImage({ context, registries, clock }: Run): Promise<Found | Missing> {
  return clock.time('check', () => check(context, registries, () => keyOf(context)));
}

/** source, build; and check, where no stage before has done that. */
async function buildStage(run: Run): Promise<void> {
  const { context, registries, clock } = run;
  const { request, work } = context;
  const checked = (await checkedBefore(run)) ?? (await checkImage(run));
  if (checked.kind === 'found') {
    return writeState(work, request, { stage: 'build', outcome: checked, durations: clock.durations });
  }
  const { buildKey: key, commit } = checked;
  const { source } = request;
  const { buildah, from } = await clock.time('source', async () => {
    const opened = await Buildah.open(context);
    const found =
      source.kind === 'image'
        ? { imageId: await pullImage(context, opened, registries, source.reference), cached: false }
        : await sourceOf(context, commit);
    return { buildah: opened, from: found };
  });
  const made = 'imageId' in from ? from : await clock.time('build', () => build(context, buildah, registries, from));
  const outcome: Made = {
    kind: 'made',
    ...made,
    buildKey: key,
    isSigned: false,
    ...(commit === undefined ? {} : { commit }),
  };
  await writeState(work, request, { stage: 'build', outcome, durations: clock.durations });
}

/** What the stage `check` has left; whatever else is there is of a run before, and goes. */
async function checkedBefore({ context: { work, request }, clock }: Run): Promise<Found | Missing | undefined> {
  const state = await readState(work, request);
  if (state?.stage === 'check' && state.outcome.kind !== 'made') {
    clock.add(state.durations);
    return state.outcome;
  }
  await clearState(work);
  return undefined;
}

/** The build key, which takes as little as can be: the commit is asked for, not fetched. */
async function keyOf(context: StepContext): Promise<Key> {
  const { request } = context;
  const commit = request.source.kind === 'git' ? await resolveCommit(context) : undefined;
  const source = await keySourceOf(context, commit);
  const certificate = request.sign === undefined ? undefined : await certificateFingerprint(context);
  return { buildKey: buildKey(request, source, certificate), ...(commit === undefined ? {} : { commit }) };
}

async function keySourceOf(context: StepContext, commit: string | undefined): Promise<KeySource> {
  const { source } = context.request;
  switch (source.kind) {
    case 'git':
      return {
        kind: 'git',
        commit: commit ?? '',
        contextDir: source.contextDir ?? '',
        dockerfile: source.dockerfile ?? 'Dockerfile',
      };
    case 'image':
      return { kind: 'image', reference: source.reference };
    case 'inline':
      return { kind: 'dockerfile', text: source.dockerfile };
    case 'config-map':
      return { kind: 'dockerfile', text: await configMapDockerfile(context) };
  }
}

async function sourceOf(context: StepContext, commit: string | undefined): Promise<Context> {
  const { source } = context.request;
  if (source.kind === 'git' && commit !== undefined) return checkOut(context, commit);
  return emptyContext(context, source.kind === 'inline' ? source.dockerfile : await configMapDockerfile(context));
}

async function configMapDockerfile({ files }: StepContext): Promise<string> {
  try {
    return await readFile(files.dockerfile, 'utf8');
  } catch (cause) {
    throw new BuildFailure(
      'source',
      'user',
      'The ConfigMap that build.dockerfileConfigMap names has no key `dockerfile`: put the Dockerfile there.',
      { cause },
    );
  }
}

async function signStage({ context, clock }: Run): Promise<void> {
  const { request, work } = context;
  const { outcome, durations } = await handedOver(context, 'sign');
  clock.add(durations);
  if (outcome.kind === 'found' || request.sign === undefined) return;
  const imageId = await clock.time('sign', async () => {
    const buildah = await Buildah.open(context);
    return buildah.within(outcome.imageId, 'sign', async (root) => {
      await signModules(context, root);
      return new Map();
    });
  });
  const signed: Made = { ...outcome, imageId, isSigned: true };
  await writeState(work, request, { stage: 'sign', outcome: signed, durations: clock.durations });
}

/** verify, push, report. */
async function pushStage({ context, registries, clock }: Run): Promise<ImageReport> {
  const { outcome, durations } = await handedOver(context, 'push');
  clock.add(durations);
  if (outcome.kind === 'found') return reportFound(outcome, { context, registries, clock });
  const { request } = context;
  const { imageId, buildKey: key, commit, cached } = outcome;
  // Nothing unsigned is ever published where signing was asked for, whatever order the containers ran in.
  if (request.sign !== undefined && !outcome.isSigned) {
    throw new BuildFailure(
      'verify',
      'infrastructure',
      'The image was to be signed and was not: the stage sign has not run. The build is tried again.',
    );
  }
  const buildah = await Buildah.open(context);
  let moduleFiles: readonly ModuleFile[] = [];
  const finished = await clock.time('verify', () =>
    buildah.within(imageId, 'verify', async (root) => {
      moduleFiles = await verifyImage(context, root);
      return labelsOf({
        buildKey: key,
        kernel: request.kernel,
        arch: request.arch,
        files: moduleFiles,
        ...(commit === undefined ? {} : { commit }),
      });
    }),
  );
  const own = ownReference(request.image, request, key);
  const users = request.shared ? undefined : imageNames(request.image)?.users;
  const digest = await clock.time('push', async () => {
    const pushed = await pushImage(context, buildah, registries, finished, own);
    if (users !== undefined) await tagImage(context, registries, own, users);
    return pushed;
  });
  return {
    result: 'built',
    image: byDigest(own, digest),
    reference: users ?? own,
    buildKey: key,
    ...(commit === undefined ? {} : { commit }),
    files: moduleFiles,
    filesNumber: moduleFiles.length,
    cached,
    durations: clock.durations,
  };
}

async function reportFound(found: Found, { context, registries, clock }: Run): Promise<ImageReport> {
  const { result, digest, missing, buildKey: key, commit } = found;
  // Another run ended between its two tags.
  if (missing !== undefined) await clock.time('push', () => tagImage(context, registries, found.reference, missing));
  const reference = missing ?? found.reference;
  return {
    result,
    image: byDigest(reference, digest),
    reference,
    ...(key === undefined ? {} : { buildKey: key }),
    ...(commit === undefined ? {} : { commit }),
    durations: clock.durations,
  };
}

async function handedOver(
  { work, request }: StepContext,
  stage: 'sign' | 'push',
): Promise<{ readonly outcome: Found | Made; readonly durations: Durations }> {
  const state = await readState(work, request);
  if (state !== undefined && state.outcome.kind !== 'missing') return { ...state, outcome: state.outcome };
  const step = stage === 'sign' ? 'sign' : 'verify';
  throw new BuildFailure(
    step,
    'infrastructure',
    `The stage ${stage} finds nothing of the stage before it in ${work}. The build is tried again.`,
  );
}
