/** What is made once for all checkouts of a machine: `${XDG_CACHE_HOME:-~/.cache}/kmm`. */
import { access, constants } from 'node:fs/promises';
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

async function can(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    return false;
  }
}
