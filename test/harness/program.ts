/**
 * The program as tests start it. A vitest run bundles it once, as it is shipped (globalSetup): a hundred operators and builds begin three times
 * sooner than from sources. Whoever runs without vitest, as the demo does, starts the sources.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { runOrThrow } from './run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Set for vitest's workers; set from outside, e.g. to src/main.ts for stack traces with its lines, it is left so. */
const VARIABLE = 'KMM_PROGRAM';

/** Path of a file for Node. */
export const PROGRAM = process.env[VARIABLE] ?? join(ROOT, 'src', 'main.ts');

/** vitest's globalSetup. */
export async function setup(): Promise<() => Promise<void>> {
  if (process.env[VARIABLE] !== undefined) return async () => undefined;
  const directory = await mkdtemp(join(tmpdir(), 'kmm-program-'));
  // Builds run as users who do not own it.
  await chmod(directory, 0o755);
  await runOrThrow(process.execPath, ['hack/bundle.ts', directory], { cwd: ROOT });
  process.env[VARIABLE] = join(directory, 'kmm.mjs');
  return async () => {
    delete process.env[VARIABLE];
    await rm(directory, { recursive: true, force: true });
  };
}
