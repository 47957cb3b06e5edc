import { REQUEST_ANNOTATION } from '../../src/build/engines/pod.ts';
import { parseBuildRequest } from '../../src/build/pipeline/request.ts';
import type { Pod } from '../../src/kube/core.ts';
import type { AdminClient } from './admin.ts';
import { BuildPods } from './build-pods.ts';
import { BuildPod } from './build-tools.ts';

const INTERVAL_MS = 100;

/**
 * Stands in for the kubelets of a simulated cluster where build pods are concerned: runs the real pipeline of each on this machine, as root
 * with buildah, and reports its stages as a kubelet does. Secrets and ConfigMaps are not mounted.
 */
export class BuildKubelet {
  readonly #pods: BuildPods;
  readonly #seen = new Set<string>();
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(admin: AdminClient) {
    this.#pods = new BuildPods(admin);
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Resolves when what is being built has come to its end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const pod of await this.#pods.list()) {
        const { uid = '', deletionTimestamp } = pod.metadata;
        if (pod.spec?.nodeName === undefined || deletionTimestamp !== undefined || this.#seen.has(uid)) continue;
        this.#seen.add(uid);
        await this.#build(pod);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, INTERVAL_MS);
        signal.addEventListener('abort', () => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async #build(pod: Pod): Promise<void> {
    const build = await BuildPod.create(parseBuildRequest(pod.metadata.annotations?.[REQUEST_ANNOTATION] ?? ''));
    try {
      const stages = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
      for (const { name } of stages) {
        if (name !== 'build' && name !== 'sign' && name !== 'push') throw new Error(`${name} is no stage of a build`);
        await this.#pods.enter(pod, name);
        const { report } = await build.run(name);
        if (report.result === 'failed') return await this.#pods.fail(pod, report);
        if (report.result !== 'passed') return await this.#pods.succeed(pod, report);
      }
    } finally {
      await build.remove();
    }
  }
}
