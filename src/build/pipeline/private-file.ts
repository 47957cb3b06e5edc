import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A credential as a tool wants it: a file. */
export interface PrivateFile {
  readonly path: string;
  readonly content: string | Buffer;
}

/** Writes a file that its owner alone reads, in a folder that its owner alone enters: never a moment with another mode, never half of it. */
export async function writePrivate({ path, content }: PrivateFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const partial = `${path}.partial`;
  await rm(partial, { force: true });
  await writeFile(partial, content, { mode: 0o600, flag: 'wx' });
  await rename(partial, path);
}
