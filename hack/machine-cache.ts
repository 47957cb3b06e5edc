/** What is made once for all checkouts of a machine: `${XDG_CACHE_HOME:-~/.cache}/kmm`. */
import { access, constants, readdir, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A folder below it; nobody has made it yet. */
export function machineCache(folder: string, environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CACHE_HOME: configured = '' } = environment;
  return join(configured === '' ? join(homedir(), '.cache') : configured, 'kmm', folder);
}

export function isThere(path: string): Promise<boolean> {
  return can(path, constants.F_OK);
}

export function isExecutable(path: string): Promise<boolean> {
  return can(path, constants.X_OK);
}

export const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

/** Removes the entries of a folder that were made a week ago or earlier, of those whose name is one. */
export async function removeOld(folder: string, isOne: (name: string) => boolean): Promise<void> {
  for (const name of (await readdir(folder)).filter(isOne)) {
    const path = join(folder, name);
    if (Date.now() - (await stat(path)).mtimeMs > WEEK_MS) await rm(path, { recursive: true, force: true });
  }
}

async function can(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
