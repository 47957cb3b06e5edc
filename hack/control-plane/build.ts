import { spawn } from 'node:child_process';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isThere } from '../machine-cache.ts';
import { BINARIES, type Binary } from './binaries.ts';
import { BUILD_ENVIRONMENT, buildFlags, PINNED_MODULES, pinnedVersion } from './pins.ts';
import type { Progress } from './progress.ts';

/** Seconds of a build with empty caches, measured on two cores in this order (each finds the one before it warm). */
const COLD_SECONDS: Readonly<Record<Binary, number>> = {
  'kube-apiserver': 358,
  'kube-controller-manager': 75,
  'kube-scheduler': 5,
  kubectl: 30,
  etcd: 40,
  kwok: 95,
  kwokctl: 18,
};

const PARTIAL = '.partial-';

/**
 * Builds what is missing in `directory`. Each program is built under another name and renamed when it is whole: an
 * interrupted build leaves no half a program, and the next one goes on where it ended. Callers hold the lock.
 *
 * @throws Error in one sentence when there is no Go, and with the compiler's last words when a build fails.
 */
export async function buildControlPlane(directory: string, progress: Progress, signal?: AbortSignal): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const file of await readdir(directory)) {
    if (file.startsWith(PARTIAL)) await rm(join(directory, file));
  }
  const steps = PINNED_MODULES.flatMap((module) =>
    BINARIES.flatMap((binary) => {
      const path = module.packages[binary];
      return path === undefined ? [] : [{ module, binary, path }];
    }),
  );
  const missing: typeof steps = [];
  for (const step of steps) if (!(await isThere(join(directory, step.binary)))) missing.push(step);
  const total = missing.reduce((sum, { binary }) => sum + COLD_SECONDS[binary], 0);
  progress.say(
    `Building the test control plane with Go, once: ${missing.map(({ binary }) => binary).join(', ')}; about ${minutes(total)} on two cores with empty caches.`,
  );
  let left = total;
  for (const [index, { module, binary, path }] of missing.entries()) {
    const version = await pinnedVersion(module);
    progress.start(
      `[${index + 1}/${missing.length}] ${binary} ${version} (about ${minutes(COLD_SECONDS[binary])} of ${minutes(left)} left)`,
    );
    left -= COLD_SECONDS[binary];
    const partial = join(directory, `${PARTIAL}${binary}-${process.pid}`);
    try {
      await goBuild(
        join(import.meta.dirname, module.folder),
        [...buildFlags(module, version), '-o', partial, path],
        signal,
      );
      await rename(partial, join(directory, binary));
    } catch (error) {
      progress.abandon();
      await rm(partial, { force: true });
      throw error;
    }
    progress.done();
  }
}

/**
 * `go build` in the folder of a module.
 *
 * @param environment what it is to have beside this process's own
 * @throws Error with the compiler's last words
 */
export function goBuild(
  folder: string,
  args: readonly string[],
  signal?: AbortSignal,
  environment: Readonly<Record<string, string>> = BUILD_ENVIRONMENT,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const go = spawn('go', ['build', ...args], {
      cwd: folder,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
    });
    let said = '';
    go.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
    go.once('error', (cause) => reject(signal?.aborted === true ? cause : new Error(explain(cause), { cause })));
    go.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`go build ${basename(args.at(-1) ?? '')} in ${folder} failed:\n${said.trim()}`));
    });
  });
}

function explain(cause: Error): string {
  if (!('code' in cause && cause.code === 'ENOENT')) return `cannot run go: ${cause.message}`;
  return (
    'Go 1.26 or newer is needed once, to build the test control plane, and there is no `go` on PATH: install Go, ' +
    `or set KUBEBUILDER_ASSETS to a folder that holds ${BINARIES.join(', ')}.`
  );
}

function minutes(seconds: number): string {
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
