import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Buildah } from './buildah.ts';
import { tlsVerify } from './check.ts';
import { BuildFailure } from './failure.ts';
import type { RegistryFiles } from './registries.ts';
import { registryProblem } from './registry-errors.ts';
import { sectionOf } from './request.ts';
import type { StepContext } from './step.ts';
import { registryOf } from './tags.ts';
import { runTool, ToolError } from './tool.ts';

/**
 * Pushes an image of the storage. The registry shows the tag only when all of it is there, so a kill leaves none.
 *
 * @returns its digest
 * @throws BuildFailure
 */
export async function pushImage(
  context: StepContext,
  buildah: Buildah,
  registries: RegistryFiles,
  imageId: string,
  reference: string,
): Promise<string> {
  const digestFile = join(context.work, 'digest');
  await naming(context, registries, reference, () =>
    buildah.run([
      'push',
      `--authfile=${registries.pushAuth}`,
      `--digestfile=${digestFile}`,
      '--format=oci',
      ...tlsVerify(context.request.push),
      imageId,
      `docker://${reference}`,
    ]),
  );
  return (await readFile(digestFile, 'utf8')).trim();
}

/** Gives an image of a registry one more tag there, with the same digest. */
export async function tagImage(
  context: StepContext,
  registries: RegistryFiles,
  from: string,
  to: string,
): Promise<void> {
  const { env, signal, say, redact, request } = context;
  await naming(context, registries, to, () =>
    runTool(
      'skopeo',
      [
        'copy',
        '--all',
        '--preserve-digests',
        '--retry-times=3',
        `--authfile=${registries.pushAuth}`,
        ...tlsVerify(request.push, '--src-tls-verify'),
        ...tlsVerify(request.push, '--dest-tls-verify'),
        `docker://${from}`,
        `docker://${to}`,
      ],
      { env, signal, stdout: 'shown', onLine: say },
      redact,
    ),
  );
}

async function naming(
  { request }: StepContext,
  registries: RegistryFiles,
  reference: string,
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const place = {
      use: 'push',
      reference,
      registry: registryOf(reference),
      hasCredentials: registries.hasPushAuth,
      section: sectionOf(request),
      isCluster: registries.isCluster,
    } as const;
    const problem = registryProblem(error.lines, place);
    const message =
      problem?.sentence ??
      `${reference} cannot be pushed: ${error.lines.at(-1) ?? error.message}. The build is tried again.`;
    throw new BuildFailure('push', problem?.blame ?? 'infrastructure', message, {
      log: error.lines.join('\n'),
      cause: error,
    });
  }
}
