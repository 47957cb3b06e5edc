/** How long builds take: the real pipeline with buildah, against a registry on loopback; the storage is empty each time, as an emptyDir is. */
import type { Durations } from '../../src/build/pipeline/report.ts';
import { aRequest, BuildPod, type MountedFiles } from '../harness/build-tools.ts';
import { twoKernels } from '../harness/kernel-headers.ts';
import { moduleDockerfile } from '../harness/module-dockerfile.ts';
import { startRegistry } from '../harness/registry-server.ts';
import { makeSignKeys } from '../harness/sign-keys.ts';
import { pushDebian } from './debian-image.ts';

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

/** As `docs/usage/building.md` has it for Debian. */
const install = (...packages: string[]): string =>
  `RUN apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;

/**
 * The first kernel with nothing in the registry but Debian itself, a second one that finds the layers of the first, the first again, and the second
 * one signed; and both where a layer has the headers of one kernel, not of all.
 *
 * @throws Error with the log of a build that fails
 */
export async function measureBuilds({ say, signal }: BuildBenchOptions): Promise<readonly BuildMeasurement[]> {
  const [first, second] = (await twoKernels(signal)).map(({ release }) => release);
  if (first === undefined || second === undefined) throw new Error('there are no two kernels');
  const registry = await startRegistry();
  try {
    say('making an image of Debian (about half a minute)');
    const debian = await pushDebian(registry.host, signal);
    const dockerfileOf = (before: readonly string[], after: readonly string[] = []): Promise<string> =>
      moduleDockerfile({ toolchain: debian, runtime: debian, before, after });
    const compiler = ['build-essential', 'kmod'];
    // The headers before the kernel is an argument, in one layer for all kernels ...
    const shared = await dockerfileOf([install(...compiler, `linux-headers-${first}`, `linux-headers-${second}`)]);
    // ... or those of the one kernel in each build.
    const own = await dockerfileOf([install(...compiler)], [install('linux-headers-$KERNEL_FULL_VERSION')]);
    const { key, certificate } = await makeSignKeys('bench');
    const signed = { signKey: key, signCert: certificate };
    const runs: readonly [string, string, string, MountedFiles][] = [
      ['first kernel', first, shared, {}],
      ['second kernel, layers cached', second, shared, {}],
      ['first kernel again, unchanged', first, shared, {}],
      ['second kernel, signed, layers of unsigned builds', second, shared, signed],
      ['first kernel, its own headers', first, own, {}],
      ['second kernel, compiler cached, its own headers', second, own, {}],
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
