/** `make setup`: makes sure that there is a control plane to test with, building it once if there is none, and what builds images and compiles modules. */

import { toolchain } from '../test/harness/toolchain.ts';
import { buildControlPlane } from './control-plane/build.ts';
import { withLock } from './control-plane/lock.ts';
import { Progress } from './control-plane/progress.ts';
import { type Resolved, resolveControlPlane, surroundings } from './control-plane/resolve.ts';
import { ensureDebianPackages, updatePackageLists } from './debian-packages.ts';
import { ensureHelm } from './helm/helm.ts';
import { interruption } from './interruption.ts';

async function ensureControlPlane(progress: Progress, signal: AbortSignal): Promise<Resolved> {
  const world = await surroundings();
  const { found, notes } = await resolveControlPlane(world);
  for (const note of notes) progress.say(note);
  if (found !== undefined) return found;
  return withLock(
    world.cache,
    async () => {
      // Whoever held the lock before us has probably built it.
      const again = await resolveControlPlane(world);
      if (again.found !== undefined) return again.found;
      await buildControlPlane(world.cache, progress, signal);
      const built = await resolveControlPlane(world);
      if (built.found === undefined) throw new Error(`the build left no complete control plane in ${world.cache}`);
      return built.found;
    },
    { onWait: (pid) => progress.start(`Another run (pid ${pid}) builds the control plane; waiting for it`), signal },
  );
}

/** The images that tests and the demo compile kernel modules in. buildah is used as root there, so nobody else needs them. */
async function ensureToolchain(progress: Progress, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const options = {
    onCold: () =>
      progress.start('Making an image with a compiler and kernel headers (about a minute, 70 MB to download)'),
    signal,
  };
  try {
    await toolchain(options);
  } catch {
    signal.throwIfAborted();
    // Most likely the lists of packages are missing, or name versions that have gone.
    await updatePackageLists(signal);
    await toolchain(options);
  }
}

const interrupted = interruption();
const progress = new Progress();
try {
  await ensureDebianPackages(progress, interrupted);
  await ensureHelm(progress, interrupted);
  const { source } = await ensureControlPlane(progress, interrupted);
  await ensureToolchain(progress, interrupted);
  progress.done();
  if (!process.argv.includes('--quiet')) progress.say(`Control plane from ${source}.`);
} catch (error) {
  progress.abandon();
  const said = error instanceof Error ? error.message : String(error);
  process.stderr.write(interrupted.aborted ? 'Interrupted; the next run goes on where this one ended.\n' : `${said}\n`);
  process.exitCode = interrupted.aborted ? 130 : 1;
}
