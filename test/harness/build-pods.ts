import { IMAGE_BUILD_ROLE, MODULE_NAME_LABEL, ROLE_LABEL } from '../../src/api/labels.ts';
import { EXIT_CODES } from '../../src/build/pipeline/failure.ts';
import { encodeReport, type ImageReport, type Report } from '../../src/build/pipeline/report.ts';
import type { ContainerStage } from '../../src/build/pipeline/stages.ts';
import { type ContainerState, type ContainerStatus, PODS, type Pod } from '../../src/kube/core.ts';
import { type AdminClient, isNotFound } from './admin.ts';
import { eventually } from './eventually.ts';

/** What a kubelet reports of build pods, written by a test: kwok leaves them alone (stages.ts). */
export class BuildPods {
  readonly #admin: AdminClient;

  constructor(admin: AdminClient) {
    this.#admin = admin;
  }

  /** Of one Module, or of all in every namespace. */
  list(of: { readonly namespace?: string; readonly name?: string } = {}): Promise<readonly Pod[]> {
    const name = of.name === undefined ? '' : `,${MODULE_NAME_LABEL}=${of.name}`;
    return this.#admin.list(PODS, {
      namespace: of.namespace,
      labelSelector: `${ROLE_LABEL}=${IMAGE_BUILD_ROLE}${name}`,
    });
  }

  /** The one build pod of the Module that is on a node, once there is one that is none of `before`. */
  next(of: { readonly namespace: string; readonly name: string }, ...before: readonly Pod[]): Promise<Pod> {
    const known = new Set(before.map(({ metadata }) => metadata.uid));
    return eventually(
      async () => {
        const pods = (await this.list(of)).filter(
          ({ metadata }) => !known.has(metadata.uid) && metadata.deletionTimestamp === undefined,
        );
        const [pod] = pods;
        if (pod === undefined || pods.length > 1) throw new Error(`there are ${pods.length}`);
        if (pod.spec?.nodeName === undefined) throw new Error(`${pod.metadata.name} is on no node`);
        return pod;
      },
      { what: `a build pod of ${of.name}` },
    );
  }

  /** The stage runs; those before it have passed. */
  async enter(pod: Pod, stage: ContainerStage): Promise<void> {
    const passed = encodeReport({ result: 'passed', durations: { build: 20 } });
    await this.#write(pod, stage === 'push' ? 'Running' : 'Pending', (name) => {
      const order = stagesOf(pod).indexOf(name) - stagesOf(pod).indexOf(stage);
      if (order > 0) return { waiting: { reason: 'PodInitializing' } };
      return order === 0 ? { running: { startedAt: now() } } : ended(0, passed);
    });
  }

  async succeed(pod: Pod, report: ImageReport): Promise<void> {
    const passed = encodeReport({ result: 'passed', durations: { build: 20 } });
    await this.#write(pod, 'Succeeded', (name) => ended(0, name === 'push' ? encodeReport(report) : passed));
  }

  /** The first stage fails, in the pipeline's own way. */
  async fail(pod: Pod, report: Extract<Report, { result: 'failed' }>): Promise<void> {
    await this.#write(pod, 'Failed', (name) =>
      name === stagesOf(pod)[0]
        ? ended(EXIT_CODES[report.cause], encodeReport(report))
        : { waiting: { reason: 'PodInitializing' } },
    );
  }

  async #write(pod: Pod, phase: string, stateOf: (stage: string) => ContainerState): Promise<void> {
    const status = (name: string): ContainerStatus => ({
      name,
      image: 'kmm-builder:test',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: stateOf(name),
    });
    const { name = '', namespace = '' } = pod.metadata;
    const body = {
      status: {
        phase,
        initContainerStatuses: pod.spec?.initContainers?.map((container) => status(container.name)),
        containerStatuses: pod.spec?.containers.map((container) => status(container.name)),
      },
    };
    try {
      await this.#admin.patch(PODS, { name, namespace }, body, { type: 'strategic', subresource: 'status' });
    } catch (error) {
      // It was cancelled meanwhile.
      if (!isNotFound(error)) throw error;
    }
  }
}

function stagesOf({ spec }: Pod): readonly string[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ name }) => name);
}

function ended(exitCode: number, message: string): ContainerState {
  return { terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', message, finishedAt: now() } };
}

function now(): string {
  return new Date().toISOString();
}
