import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ELF_HEADER_BYTES, readElfHeader } from './elf.ts';
import { PackedModuleError, packingOf, readEnd, unpackModule } from './module-file.ts';
import { kernelOfVermagic, type ModuleInfo, parseModinfo } from './module-info.ts';
import { hasSignature, SIGNATURE_TAIL_BYTES } from './module-signature.ts';
import type { StepContext } from './step.ts';
import { runTool, ToolError } from './tool.ts';

/** A kernel module in an image. */
export interface KernelModule extends ModuleInfo {
  readonly kind: 'module';
  /** In the image, without links. */
  readonly path: string;
  /** In Go's words, as GOARCH. */
  readonly arch: string;
  /** The release of the kernel that it was built for. */
  readonly kernel: string;
  readonly signed: boolean;
}

/** A file with a module's name that is none. */
export interface NoModule {
  readonly kind: 'other';
  readonly path: string;
  /** As the end of the sentence `FILE ...`. */
  readonly problem: string;
}

/**
 * Reads what the module at `path` of the mounted image is for, whether it is packed or not.
 *
 * @param root where the image is mounted
 * @param path in the image, without links
 * @param scratch a folder in which files may be overwritten
 * @throws ToolError where modinfo(8) cannot be run
 */
export async function readKernelModule(
  context: StepContext,
  root: string,
  path: string,
  scratch: string,
): Promise<KernelModule | NoModule> {
  let file = join(root, path);
  const packing = packingOf(await readEnd(file, 'head', ELF_HEADER_BYTES));
  if (packing !== 'none') {
    try {
      const bytes = await unpackModule(context, file, packing, scratch);
      file = join(scratch, 'module.ko');
      await writeFile(file, bytes, { mode: 0o600 });
    } catch (error) {
      if (error instanceof PackedModuleError) return { kind: 'other', path, problem: error.message };
      throw error;
    }
  }
  const elf = readElfHeader(await readEnd(file, 'head', ELF_HEADER_BYTES));
  if (elf?.relocatable !== true)
    return { kind: 'other', path, problem: 'is no kernel module: it is not a relocatable ELF file' };
  const signed = hasSignature(await readEnd(file, 'tail', SIGNATURE_TAIL_BYTES));
  const info = await modinfo(context, file, signed);
  if (info === undefined) return { kind: 'other', path, problem: 'is no kernel module: modinfo cannot read it' };
  return { kind: 'module', path, arch: elf.arch, signed, kernel: kernelOfVermagic(info.vermagic), ...info };
}

async function modinfo(context: StepContext, file: string, signed: boolean): Promise<ModuleInfo | undefined> {
  try {
    // A path with a slash in it is never looked for among the kernel's own modules.
    const answer = await runTool(
      'modinfo',
      ['--null', '--', file],
      { env: context.env, signal: context.signal },
      context.redact,
    );
    return parseModinfo(answer, signed);
  } catch (error) {
    if (error instanceof ToolError && error.exitCode !== undefined) return undefined;
    throw error;
  }
}
