import type { X509Certificate } from 'node:crypto';
import { chmod, chown, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { ELF_HEADER_BYTES, readElfHeader } from './elf.ts';
import { BuildFailure } from './failure.ts';
import { PackedModuleError, packingOf, packModule, readEnd, unpackModule, withScratch } from './module-file.ts';
import { withoutSignatures } from './module-signature.ts';
import { modulesToSign } from './modules-to-sign.ts';
import { readIfThere } from './mounted-files.ts';
import { writePrivate } from './private-file.ts';
import { fingerprintOf, readCertificate, readSigningKey, SignMaterialError } from './sign-material.ts';
import { findSignFile } from './sign-tool.ts';
import type { StepContext } from './step.ts';
import { runTool, ToolError } from './tool.ts';

/** Files of `<work>/private`, for sign-file. */
interface Material {
  readonly key: string;
  readonly certificate: string;
}

/**
 * SHA-256 of the DER of the certificate that signs, in hexadecimal small letters. Where the key is at hand too, it is checked.
 *
 * @throws BuildFailure of the user's where certificate or key cannot be used
 */
export async function certificateFingerprint(context: StepContext): Promise<string> {
  const certificate = await readSignCertificate(context, 'sign');
  const key = await readIfThere(context.files.signKey);
  if (key !== undefined) asUser('sign', () => readSigningKey(key, certificate));
  return fingerprintOf(certificate);
}

/** @throws BuildFailure of this step */
export async function readSignCertificate(context: StepContext, step: 'sign' | 'verify'): Promise<X509Certificate> {
  const bytes = await readIfThere(context.files.signCert);
  if (bytes !== undefined) return asUser(step, () => readCertificate(bytes));
  throw new BuildFailure(
    step,
    'user',
    'The Secret that sign.certSecret names has no key `cert`: put the certificate there.',
  );
}

/**
 * Signs the modules of the mounted image that the request names, each with the certificate's signature alone.
 *
 * Each file is replaced as a whole, with mode and owner as they were, so a kill leaves none half signed; a second run signs all once more, with the
 * same result.
 *
 * @param root where the image is mounted
 * @returns their paths in the image, sorted
 * @throws BuildFailure
 */
export async function signModules(context: StepContext, root: string): Promise<readonly string[]> {
  const paths = await modulesToSign(context, root, 'sign');
  const tool = await findSignFile();
  if (tool === undefined) {
    const message =
      'This builder image has no sign-file of the kernel: in Debian it is in the packages linux-kbuild-*.';
    throw new BuildFailure('sign', 'infrastructure', message);
  }
  const material = await writeMaterial(context);
  await withScratch(context, async (scratch) => {
    for (const path of paths) {
      context.signal.throwIfAborted();
      context.say(`signing ${path}`);
      await signOne(context, { tool, material, scratch, root, path });
    }
  });
  return paths;
}

async function writeMaterial(context: StepContext): Promise<Material> {
  const certificate = await readSignCertificate(context, 'sign');
  const bytes = await readIfThere(context.files.signKey);
  if (bytes === undefined) {
    throw new BuildFailure(
      'sign',
      'user',
      'The Secret that sign.keySecret names has no key `key`: put the private key there.',
    );
  }
  const key = asUser('sign', () => readSigningKey(bytes, certificate));
  const folder = join(context.work, 'private');
  // sign-file reads PEM only, and of a chain the first.
  const material = { key: join(folder, 'sign-key.pem'), certificate: join(folder, 'sign-cert.pem') };
  await writePrivate({ path: material.key, content: key.export({ type: 'pkcs8', format: 'pem' }) });
  await writePrivate({ path: material.certificate, content: certificate.toString() });
  return material;
}

interface Job {
  readonly tool: string;
  readonly material: Material;
  readonly scratch: string;
  readonly root: string;
  readonly path: string;
}

async function signOne(context: StepContext, { tool, material, scratch, root, path }: Job): Promise<void> {
  const file = join(root, path);
  const packing = packingOf(await readEnd(file, 'head', ELF_HEADER_BYTES));
  let module: Buffer;
  try {
    module = await unpackModule(context, file, packing, scratch);
  } catch (error) {
    if (!(error instanceof PackedModuleError)) throw error;
    throw new BuildFailure(
      'sign',
      'user',
      `${path} ${error.message}. Correct the file, or leave it out of sign.filesToSign.`,
      { cause: error },
    );
  }
  if (readElfHeader(module)?.relocatable !== true) {
    throw new BuildFailure(
      'sign',
      'user',
      `${path} is no kernel module. Correct the file, or leave it out of sign.filesToSign.`,
    );
  }
  const plain = join(scratch, 'signed.ko');
  await writeFile(plain, withoutSignatures(module), { mode: 0o600 });
  try {
    await runTool(
      tool,
      ['sha512', material.key, material.certificate, plain],
      { env: context.env, signal: context.signal, stdout: 'shown', onLine: context.say },
      context.redact,
    );
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const isFull = error.lines.some((line) => line.includes('No space left on device'));
    const blame = error.exitCode === undefined || isFull ? 'infrastructure' : 'user';
    const message = `${path} cannot be signed with this key and certificate: the kernel’s sign-file says why in the log.`;
    throw new BuildFailure('sign', blame, message, { log: error.lines.join('\n'), cause: error });
  }
  await replaceFile(file, await packModule(context, await readFile(plain), packing, scratch));
}

async function replaceFile(file: string, content: Buffer): Promise<void> {
  const { mode, uid, gid } = await stat(file);
  const partial = join(dirname(file), `.${basename(file)}.kmm-signing`);
  await rm(partial, { force: true });
  const handle = await open(partial, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  // chown takes special bits away, so the mode comes after it.
  await chown(partial, uid, gid);
  await chmod(partial, mode & 0o7777);
  await rename(partial, file);
}

function asUser<T>(step: 'sign' | 'verify', work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SignMaterialError)) throw error;
    throw new BuildFailure(step, 'user', error.message, { cause: error });
  }
}
