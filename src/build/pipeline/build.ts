import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildProblem, logOfFailure } from './build-errors.ts';
import { layOutSecrets } from './build-secrets.ts';
import { type Buildah, readImageId } from './buildah.ts';
import { tlsVerify } from './check.ts';
import { imagesOf } from './dockerfile.ts';
import { BuildFailure } from './failure.ts';
import { type RegistryFiles, writeRegistryFiles } from './registries.ts';
import { registryProblem } from './registry-errors.ts';
import { type BuildRequest, sectionOf } from './request.ts';
import type { StepContext } from './step.ts';
import { imageNames, registryOf } from './tags.ts';
import { ToolError } from './tool.ts';

/** What buildah builds from: absolute paths. */
export interface Context {
  readonly contextDir: string;
  readonly dockerfile: string;
}

export interface Built {
  readonly imageId: string;
  /** Whether layers of an earlier build were taken. */
  readonly cached: boolean;
}

/** A Dockerfile without a repository around it has an empty context: nothing of the pod's own must be copied into an image. */
export async function emptyContext(context: StepContext, text: string): Promise<Context> {
  const contextDir = join(context.work, 'context');
  const dockerfile = join(context.work, 'Dockerfile');
  await rm(contextDir, { recursive: true, force: true });
  await mkdir(contextDir, { recursive: true });
  await writeFile(dockerfile, text);
  return { contextDir, dockerfile };
}

/**
 * Builds the image into the storage.
 *
 * @throws BuildFailure
 */
export async function build(
  context: StepContext,
  buildah: Buildah,
  registries: RegistryFiles,
  source: Context,
): Promise<Built> {
  const { request, files, work, say } = context;
  const text = await readFile(source.dockerfile, 'utf8');
  const secrets = await layOutSecrets(context, text);
  await writeRegistryFiles(files, work, {
    repository: repositoryOf(request),
    insecureHosts: insecureHosts(request, text),
    clusterRegistry: request.clusterRegistry,
  });
  const idFile = join(work, 'image-id');
  let cached = false;
  const onLine = (line: string): void => {
    if (/^--> (Using cache|Cache pulled from remote)/.test(line)) cached = true;
    say(line);
  };
  const attempt = (cache: readonly string[]): Promise<string> =>
    buildah.run(
      [
        ...buildArguments(request, { authFile: registries.pullAuth, idFile, cache, secrets }),
        `--file=${source.dockerfile}`,
        source.contextDir,
      ],
      { onLine },
    );
  const cache = cacheOptions(request, registries.mayPush);
  try {
    try {
      await attempt(cache);
    } catch (error) {
      if (!isCacheFailure(error)) throw error;
      // What is kept for the next build must not fail this one.
      say('the layers cannot be kept in the registry for the next build; the build goes on without');
      await attempt(cache.filter((option) => !option.startsWith('--cache-to=')));
    }
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const place = {
      registry: registryOf(request.image),
      hasCredentials: registries.hasPullAuth,
      isCluster: registries.isCluster,
      isMasked: true,
    };
    const { blame, sentence } = buildProblem(error.lines, place);
    throw new BuildFailure('build', blame, sentence, { log: logOfFailure(error.lines), cause: error });
  }
  return { imageId: await readImageId(idFile), cached };
}

interface BuildFilesOfRun {
  readonly authFile: string;
  readonly idFile: string;
  readonly cache: readonly string[];
  readonly secrets: readonly string[];
}

/** No text of the user's is an option of its own: each is the value behind an equals sign. */
export function buildArguments(request: BuildRequest, { authFile, idFile, cache, secrets }: BuildFilesOfRun): string[] {
  return [
    'build',
    '--isolation=chroot',
    '--format=oci',
    '--force-rm',
    `--authfile=${authFile}`,
    `--iidfile=${idFile}`,
    ...Object.entries(request.buildArgs).map(([name, value]) => `--build-arg=${name}=${value}`),
    ...cache,
    ...secrets,
  ];
}

/**
 * Layers are kept in the image's own repository, under tags of 64 hex digits, the last of them with the whole image. Where it is to be
 * signed nothing is kept: that would publish it unsigned. Who pulls the trigger wants no layer of before: what has changed may be in a Secret.
 */
export function cacheOptions(request: BuildRequest, mayPush: boolean): string[] {
  if (!request.cache) return ['--layers'];
  const repository = repositoryOf(request);
  const mayKeep = mayPush && request.sign === undefined;
  return [
    '--layers',
    ...(request.trigger === undefined ? [`--cache-from=${repository}`] : []),
    ...(mayKeep ? [`--cache-to=${repository}`] : []),
  ];
}

/** Of the registries that a build talks to, those whose certificate nobody checks, each as its own field says. */
export function insecureHosts({ image, pull, push, buildArgs }: BuildRequest, dockerfile: string): string[] {
  const isLoose = ({ insecure, insecureSkipTLSVerify }: BuildRequest['pull']): boolean =>
    insecure || insecureSkipTLSVerify;
  return [
    ...(isLoose(push) ? [registryOf(image)] : []),
    ...(isLoose(pull) ? imagesOf(dockerfile, buildArgs).map(registryOf) : []),
  ];
}

function repositoryOf(request: BuildRequest): string {
  return imageNames(request.image)?.repository ?? request.image;
}

function isCacheFailure(error: unknown): boolean {
  return error instanceof ToolError && error.lines.some((line) => /^Error: .*failed pushing cache/.test(line));
}

/**
 * Pulls an image that is to be signed.
 *
 * @returns its id in the storage
 * @throws BuildFailure
 */
export async function pullImage(
  context: StepContext,
  buildah: Buildah,
  registries: RegistryFiles,
  reference: string,
): Promise<string> {
  const { request } = context;
  try {
    const answer = await buildah.run(
      [
        'pull',
        '--quiet',
        `--arch=${request.arch}`,
        '--os=linux',
        '--policy=always',
        `--authfile=${registries.pullAuth}`,
        ...tlsVerify(request.pull),
        `docker://${reference}`,
      ],
      { stdout: 'answer' },
    );
    return answer.trim();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const problem = registryProblem(error.lines, {
      use: 'pull',
      reference,
      registry: registryOf(reference),
      hasCredentials: registries.hasPullAuth,
      section: sectionOf(request),
      isCluster: registries.isCluster,
    });
    const message =
      problem?.sentence ??
      `${reference} cannot be pulled: ${error.lines.at(-1) ?? error.message}. The build is tried again.`;
    throw new BuildFailure('source', problem?.blame ?? 'infrastructure', message, {
      log: error.lines.join('\n'),
      cause: error,
    });
  }
}
