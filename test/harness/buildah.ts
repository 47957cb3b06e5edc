import { join } from 'node:path';
import { runOrThrow } from './run.ts';

/** Runs buildah with these words, and gives its standard output without the newline at its end. */
export type Buildah = (...words: readonly string[]) => Promise<string>;

/**
 * buildah with a storage of its own in a folder that its owner removes: for what is made once. The driver copies files, which needs no
 * right to mount.
 */
export function buildahIn(folder: string, signal?: AbortSignal): Buildah {
  const storage = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
  const options = signal === undefined ? {} : { signal };
  return async (...words) => (await runOrThrow('buildah', [...storage, ...words], options)).stdout.trim();
}
