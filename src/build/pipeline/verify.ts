import { BuildFailure } from './failure.ts';
import { type KernelModule, type NoModule, readKernelModule } from './kernel-module.ts';
import { withScratch } from './module-file.ts';
import { allModules, MOST_MODULES, modulesToSign } from './modules-to-sign.ts';
import type { ModuleFile } from './report.ts';
import { readSignCertificate } from './sign.ts';
import { signerOf } from './sign-material.ts';
import type { StepContext } from './step.ts';
import { ToolError } from './tool.ts';
import { problemOfImage, problemOfSignatures } from './verify-plan.ts';

/**
 * Looks whether the mounted image can give this kernel its module: one is there for this kernel and architecture, where the loader sees it, and all
 * that were to be signed carry the certificate's signature.
 *
 * @param root where the image is mounted
 * @returns the modules for this kernel, sorted by path
 * @throws BuildFailure
 */
export async function verifyImage(context: StepContext, root: string): Promise<readonly ModuleFile[]> {
  const { request } = context;
  const files = await withScratch(context, (scratch) => readAll(context, root, scratch));
  const problem = problemOfImage(files, request);
  if (problem !== undefined) throw new BuildFailure('verify', 'user', problem);
  if (request.sign !== undefined) {
    const named = new Set(await modulesToSign(context, root, 'verify'));
    const signer = signerOf(await readSignCertificate(context, 'verify'));
    const unsigned = problemOfSignatures(
      files.filter(({ path }) => named.has(path)),
      signer,
    );
    // The sign step has signed exactly these; what differs now is a certificate that was exchanged since, so another run may do.
    if (unsigned !== undefined) throw new BuildFailure('verify', 'infrastructure', unsigned);
  }
  return files.flatMap((file) =>
    file.kind === 'other' || file.kernel !== request.kernel
      ? []
      : [{ path: file.path, vermagic: file.vermagic, ...(file.signer === undefined ? {} : { signer: file.signer }) }],
  );
}

async function readAll(
  context: StepContext,
  root: string,
  scratch: string,
): Promise<readonly (KernelModule | NoModule)[]> {
  const paths = await allModules(context, root, 'verify');
  if (paths.length > MOST_MODULES) {
    const message = `The image has ${paths.length} kernel modules, and at most ${MOST_MODULES} are looked into: copy only those that are loaded into it.`;
    throw new BuildFailure('verify', 'user', message);
  }
  const files: (KernelModule | NoModule)[] = [];
  try {
    for (const path of paths) files.push(await readKernelModule(context, root, path, scratch));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const message = 'modinfo cannot be run in this builder image: in Debian it is in the package kmod.';
    throw new BuildFailure('verify', 'infrastructure', message, { log: error.lines.join('\n'), cause: error });
  }
  return files;
}
