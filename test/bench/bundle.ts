/** The operator as it is shipped: built, weighed and started. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { runOrThrow } from '../harness/run.ts';
import { median } from './median.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VERSION_RUNS = 7;

export interface Bundle {
  /** Folder of the program, `kmm.mjs`, and its chunks. */
  readonly directory: string;
  /** Kilobytes of JavaScript: all of it, and what `kmm manager` loads in a pod. */
  readonly kilobytes: number;
  readonly managerKilobytes: number;
  /** From the start of the process to the end of `kmm version`, milliseconds: the median of seven. */
  readonly versionMs: number;
}

/** Builds the bundle as `make build` does. */
export async function buildBundle(signal: AbortSignal): Promise<Bundle> {
  await runOrThrow(process.execPath, ['hack/bundle.ts'], { cwd: ROOT, signal });
  const directory = join(ROOT, 'dist');
  const chunks = (await readdir(directory)).filter((file) => file.endsWith('.mjs'));
  const manager = chunks.filter((file) => file.startsWith('manager-'));
  return {
    directory,
    kilobytes: await kilobytes(directory, chunks),
    managerKilobytes: await kilobytes(directory, await imports(directory, ['kmm.mjs', ...manager])),
    versionMs: await versionMs(directory, signal),
  };
}

async function kilobytes(directory: string, files: Iterable<string>): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += (await stat(join(directory, file))).size;
  return bytes / 1024;
}

/** The files and all that they import statically, however far down: what is imported lazily does not count. */
async function imports(directory: string, entries: readonly string[]): Promise<ReadonlySet<string>> {
  const found = new Set(entries);
  // A Set that grows while it is walked is walked to its end.
  for (const file of found) {
    const text = await readFile(join(directory, file), 'utf8');
    for (const [, chunk] of text.matchAll(/\b(?:from|import) ?"\.\/([^"]+)"/g)) {
      if (chunk !== undefined) found.add(chunk);
    }
  }
  return found;
}

async function versionMs(directory: string, signal: AbortSignal): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < VERSION_RUNS; count++) {
    const started = performance.now();
    await runOrThrow(process.execPath, [join(directory, 'kmm.mjs'), 'version'], { signal });
    times.push(performance.now() - started);
  }
  return median(times);
}
