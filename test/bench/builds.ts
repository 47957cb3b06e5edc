/** How long builds take: the real pipeline with buildah, against a registry on loopback; the storage is empty each time, as an emptyDir is. */
import type { Durations } from '../../src/build/pipeline/report.ts';
import { aRequest, BuildPod, type MountedFiles } from '../harness/build-tools.ts';
import { moduleDockerfile } from '../harness/module-dockerfile.ts';
import { startRegistry } from '../harness/registry-server.ts';
import { makeSignKeys } from '../harness/sign-keys.ts';
import { pushToolchain, toolchain } from '../harness/toolchain.ts';
import { servePackages } from './package-server.ts';

export interface BuildMeasurement {
  readonly name: string;
  readonly kernel: string;
  readonly result: string;
  readonly cached: boolean;
  /** From the start of the process to its end. */
  readonly ms: number;
  /** Of the process and its tools, without the registry: it says more than the time where other programs run. */
  readonly cpuMs: number;
  readonly durations: Durations;
}

export interface BuildBenchOptions {
  readonly say: (step: string) => void;
  readonly signal: AbortSignal;
}

/**
 * The first kernel with nothing in the registry but base images, a second one that finds the layers of the first, the first again, and the second
 * one signed; and the second where its headers are in no layer that the first had.
 *
 * @throws Error with the log of a build that fails
 */
export async function measureBuilds({ say, signal }: BuildBenchOptions): Promise<readonly BuildMeasurement[]> {
  say('making the images that modules are compiled in (about a minute, once)');
  const { packages } = await toolchain({ signal });
  const registry = await startRegistry();
  const server = await servePackages(packages);
  try {
    const images = await pushToolchain(registry.host, signal);
    const [first, second] = images.kernels;
    // As `apt-get install gcc make` and the headers of a distribution's kernels do, before the kernel is an argument ...
    const dockerfileOf = (before: readonly string[], after: readonly string[] = []): Promise<string> =>
      moduleDockerfile({ toolchain: images.runtime, runtime: images.runtime, before, after });
    const shared = await dockerfileOf([server.install('compiler'), ...images.kernels.map(server.install)]);
    // ... or those of the one kernel in each build.
    const own = await dockerfileOf([server.install('compiler')], [server.install('$KERNEL_FULL_VERSION')]);
    const { key, certificate } = await makeSignKeys('bench');
    const signed = { signKey: key, signCert: certificate };
    const runs: readonly [string, string, string, MountedFiles][] = [
      ['first kernel', first, shared, {}],
      ['second kernel, layers cached', second, shared, {}],
      ['first kernel again, unchanged', first, shared, {}],
      ['second kernel, layers cached, signed', second, shared, signed],
      ['second kernel, compiler cached, its headers installed', second, own, {}],
    ];
    const measurements: BuildMeasurement[] = [];
    for (const [name, kernel, dockerfile, mounted] of runs) {
      signal.throwIfAborted();
      say(`building: ${name}`);
      const tag = `${mounted === signed ? 'signed-' : ''}${dockerfile === own ? 'own-' : ''}${kernel}`;
      measurements.push(await measure(name, `${registry.host}/driver:${tag}`, kernel, dockerfile, mounted));
    }
    return measurements;
  } finally {
    await server.stop();
    await registry.stop();
  }
}

async function measure(
  name: string,
  image: string,
  kernel: string,
  dockerfile: string,
  mounted: MountedFiles,
): Promise<BuildMeasurement> {
  const request = aRequest(image, kernel, {
    source: { kind: 'inline', dockerfile },
    cache: true,
    ...(mounted.signKey === undefined ? {} : { sign: {} }),
  });
  const pod = await BuildPod.create(request, mounted);
  try {
    pod.wrapper = ['bash', '-c', 'TIMEFORMAT="cpu %U %S"; time "$@"', 'bash'];
    const started = performance.now();
    const { report, log } = await pod.run();
    const ms = performance.now() - started;
    if (report.result === 'failed' || report.result === 'passed') throw new Error(`${name} made no image:\n${log}`);
    const [, user, system] = /^cpu ([0-9.]+) ([0-9.]+)$/m.exec(log) ?? [];
    const cpuMs = (Number(user) + Number(system)) * 1_000;
    const { result, cached = false, durations } = report;
    return { name, kernel, result, cached, ms, cpuMs, durations };
  } finally {
    await pod.remove();
  }
}
