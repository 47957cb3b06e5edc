import { copyFile, mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';

import type { StepContext } from './step.ts';
import { runTool } from './tool.ts';

/** How the file of a module is packed, which its first bytes tell, not its name: kmod goes by them too. */
export type Packing = 'none' | 'gzip' | 'xz' | 'zstd';

/** A name that modprobe(8) takes for a kernel module. */
export const MODULE_NAME = /\.ko(?:\.(?:gz|xz|zst))?$/;

/** The file of a module that cannot be unpacked. The message is a whole sentence but for the file, which goes in front. */
export class PackedModuleError extends Error {
  override readonly name = 'PackedModuleError';
}

/** Bytes, unpacked: the largest modules with all debugging information have a few hundred megabytes. */
const LARGEST_MODULE = 1024 * 1024 * 1024;

const MAGIC: readonly (readonly [Packing, Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

export function packingOf(head: Buffer): Packing {
  return MAGIC.find(([, magic]) => head.subarray(0, magic.length).equals(magic))?.[0] ?? 'none';
}

/** Reads `length` bytes from the start or the end of a file; fewer where it is shorter. */
export async function readEnd(path: string, which: 'head' | 'tail', length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const wanted = Math.min(size, length);
    const { buffer, bytesRead } = await file.read({
      buffer: Buffer.alloc(wanted),
      length: wanted,
      position: which === 'head' ? 0 : size - wanted,
    });
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/**
 * Runs `work` with an empty folder that is gone afterwards, and at the next call after a kill.
 *
 * One at a time in a build: steps run one after the other.
 */
export async function withScratch<T>(context: StepContext, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(context.work, 'modules');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The module's own bytes.
 *
 * @param path of this machine, a regular file
 * @param scratch a folder in which a file of any name may be overwritten
 * @throws PackedModuleError
 */
export async function unpackModule(
  context: StepContext,
  path: string,
  packing: Packing,
  scratch: string,
): Promise<Buffer> {
  const { size } = await stat(path);
  if (size > LARGEST_MODULE) throw tooLarge(size);
  if (packing === 'none') return readFile(path);
  try {
    switch (packing) {
      case 'gzip':
        return await promisify(gunzip)(await readFile(path), { maxOutputLength: LARGEST_MODULE });
      case 'zstd':
        return await promisify(zstdDecompress)(await readFile(path), { maxOutputLength: LARGEST_MODULE });
      case 'xz':
        return await unpackXz(context, path, scratch);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof PackedModuleError) throw error;
    throw new PackedModuleError(`is packed with ${packing} and cannot be unpacked`, { cause: error });
  }
}

/** In the way that the kernel's own unpacking can read (CONFIG_MODULE_COMPRESS): xz has crc32 and a small dictionary there, as in its Makefile. */
export async function packModule(
  context: StepContext,
  module: Buffer,
  packing: Packing,
  scratch: string,
): Promise<Buffer> {
  switch (packing) {
    case 'none':
      return module;
    case 'gzip':
      return promisify(gzip)(module, { level: 9 });
    case 'zstd':
      return promisify(zstdCompress)(module, {
        params: {
          [constants.ZSTD_c_compressionLevel]: 10,
          [constants.ZSTD_c_windowLog]: 21,
          [constants.ZSTD_c_checksumFlag]: 1,
        },
        pledgedSrcSize: module.length,
      });
    case 'xz': {
      const plain = join(scratch, 'packed.ko');
      await writeFile(plain, module, { mode: 0o600 });
      await runTool(
        'xz',
        ['--check=crc32', '--lzma2=dict=1MiB', '--force', '--', plain],
        toolOptions(context),
        context.redact,
      );
      return readFile(`${plain}.xz`);
    }
  }
}

async function unpackXz(context: StepContext, path: string, scratch: string): Promise<Buffer> {
  const packed = join(scratch, 'unpacked.ko.xz');
  await copyFile(path, packed);
  const list = await runTool('xz', ['--robot', '--list', '--', packed], toolOptions(context), context.redact);
  const size = unpackedXzSize(list);
  if (size === undefined || size > LARGEST_MODULE) throw tooLarge(size);
  await runTool('xz', ['--decompress', '--force', '--', packed], toolOptions(context), context.redact);
  return readFile(join(scratch, 'unpacked.ko'));
}

/** Bytes, of the line `totals` that `xz --robot --list` prints: its fifth column. */
export function unpackedXzSize(list: string): number | undefined {
  const totals = list.split('\n').find((line) => line.startsWith('totals\t'));
  const size = Number(totals?.split('\t')[4]);
  return Number.isSafeInteger(size) ? size : undefined;
}

function tooLarge(size: number | undefined): PackedModuleError {
  const what = size === undefined ? 'of an unknown size' : `of ${size} bytes`;
  return new PackedModuleError(`is ${what}, and at most ${LARGEST_MODULE} are read`);
}

function toolOptions({ env, signal }: StepContext) {
  return { env, signal };
}
