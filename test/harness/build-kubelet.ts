import { REGISTRY_CA_ANNOTATION, REQUEST_ANNOTATION } from '../../src/build/engines/pod.ts';
import { parseBuildRequest } from '../../src/build/pipeline/request.ts';
import { CONTAINER_STAGES } from '../../src/build/pipeline/stages.ts';
import { isRecord } from '../../src/kernel/json-record.ts';
import { CONFIG_MAPS, type ConfigMap, type Container, type Pod, type VolumeMount } from '../../src/kube/core.ts';
import { type AdminClient, isNotFound } from './admin.ts';
import { BuildPods } from './build-pods.ts';
import { BuildPod, type MountedFiles } from './build-tools.ts';
import { SECRETS, shownData } from './secrets.ts';

const INTERVAL_MS = 100;

/**
 * Stands in for the kubelets of a simulated cluster where build pods are concerned: runs the real pipeline of each on this machine, as root
 * with buildah, each stage with the Secrets and ConfigMaps that it mounts, what the pod's own annotations hold and the token of its
 * ServiceAccount, and reports them as a kubelet does.
 */
export class BuildKubelet {
  readonly #admin: AdminClient;
  readonly #pods: BuildPods;
  readonly #seen = new Set<string>();
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(admin: AdminClient) {
    this.#admin = admin;
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
    const request = parseBuildRequest(pod.metadata.annotations?.[REQUEST_ANNOTATION] ?? '');
    const build = await BuildPod.create(request);
    try {
      const stages = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
      for (const container of stages) {
        const { name } = container;
        const stage = CONTAINER_STAGES.find((known) => known === name);
        if (stage === undefined) throw new Error(`${name} is no stage of a build`);
        await build.mount(request, await this.#mounted(pod, container));
        await this.#mountSecrets(build, pod, container.volumeMounts ?? []);
        await this.#mountConfigMaps(build, pod, container.volumeMounts ?? []);
        await this.#pods.enter(pod, stage);
        const { report } = await build.run(stage);
        if (report.result === 'failed') return await this.#pods.fail(pod, report);
        if (report.result !== 'passed') return await this.#pods.succeed(pod, report);
      }
    } finally {
      await build.remove();
    }
  }

  async #mountSecrets(build: BuildPod, pod: Pod, mounts: readonly VolumeMount[]): Promise<void> {
    for (const volume of pod.spec?.volumes ?? []) {
      const { secret } = volume;
      const mount = mounts.find(({ name }) => name === volume.name);
      if (mount === undefined || !isRecord(secret) || typeof secret.secretName !== 'string') continue;
      const { data = {} } = await this.#admin.get(SECRETS, {
        name: secret.secretName,
        ...(pod.metadata.namespace === undefined ? {} : { namespace: pod.metadata.namespace }),
      });
      for (const [key, value] of Object.entries(shownData(secret, data))) {
        await build.put(`${mount.mountPath}/${key}`, Buffer.from(value, 'base64'));
      }
    }
  }

  async #mountConfigMaps(build: BuildPod, { metadata, spec }: Pod, mounts: readonly VolumeMount[]): Promise<void> {
    for (const volume of spec?.volumes ?? []) {
      const { configMap } = volume;
      const mount = mounts.find(({ name }) => name === volume.name);
      if (mount === undefined || !isRecord(configMap) || typeof configMap.name !== 'string') continue;
      const ref = { name: configMap.name, namespace: metadata.namespace ?? '' };
      const { data = {} } = await this.#admin.get(CONFIG_MAPS, ref).catch((error: unknown): ConfigMap => {
        if (configMap.optional === true && isNotFound(error)) return { metadata: {} };
        throw error;
      });
      for (const [key, text] of Object.entries(data)) await build.put(`${mount.mountPath}/${key}`, Buffer.from(text));
    }
  }

  async #mounted({ metadata, spec }: Pod, { volumeMounts = [] }: Container): Promise<MountedFiles> {
    const volumes = (spec?.volumes ?? []).filter(({ name }) => volumeMounts.some((mount) => mount.name === name));
    const sources = volumes.map(({ projected }) => projected).filter(isProjected);
    const audience = sources[0]?.sources[0]?.serviceAccountToken.audience;
    const { namespace = '', annotations } = metadata;
    const authority = annotations?.[REGISTRY_CA_ANNOTATION];
    return {
      ...(authority === undefined ? {} : { clusterRegistryCA: authority }),
      ...(audience === undefined
        ? {}
        : { clusterRegistryToken: await this.#admin.token({ name: 'default', namespace }, { audience }) }),
    };
  }
}

interface Projected {
  readonly sources: readonly { readonly serviceAccountToken: { readonly audience: string } }[];
}

function isProjected(value: unknown): value is Projected {
  return typeof value === 'object' && value !== null && 'sources' in value;
}
