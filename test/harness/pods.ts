import { randomBytes } from 'node:crypto';

import { type ContainerState, type ContainerStatus, NODES, PODS, type Pod } from '../../src/kube/core.ts';
import { type AdminClient, isNotFound } from './admin.ts';
import { eventually } from './eventually.ts';
import { HOLD_DELETION_ANNOTATION, KUBELET_STOPPED_LABEL, RELEASE_ANNOTATION, SIMULATE_ANNOTATION } from './stages.ts';

export interface Failure {
  readonly exitCode: number;
  /** What the container wrote as its last words (`terminationMessage`). */
  readonly message?: string;
  /** `Error` unless told; `OOMKilled`, `StartError`, ... */
  readonly reason?: string;
  /** True: the kubelet has given up for now, state waiting/CrashLoopBackOff; else the state itself is terminated. */
  readonly crashLoop?: boolean;
}

/** What a kubelet reports of a pod, written by a test. Each call is one write of the pod's status. */
export class Pods {
  readonly #admin: AdminClient;

  constructor(admin: AdminClient) {
    this.#admin = admin;
  }

  get(pod: Pod): Promise<Pod> {
    return this.#admin.get(PODS, refOf(pod));
  }

  list(namespace: string, labels: Readonly<Record<string, string>> = {}): Promise<readonly Pod[]> {
    const labelSelector = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    return this.#admin.list(PODS, { namespace, labelSelector });
  }

  /** Pods bound to a node. */
  on(node: string): Promise<readonly Pod[]> {
    return this.#admin.list(PODS, { fieldSelector: `spec.nodeName=${node}` });
  }

  /** Containers end; the pod is not Ready. */
  async failContainer(pod: Pod, failure: Failure): Promise<void> {
    await this.#change(pod, false, (status) => {
      const ended: ContainerState = {
        terminated: {
          exitCode: failure.exitCode,
          reason: failure.reason ?? 'Error',
          message: failure.message,
          finishedAt: now(),
        },
      };
      const backOff = {
        waiting: { reason: 'CrashLoopBackOff', message: `back-off 10s restarting failed container=${status.name}` },
      };
      return failure.crashLoop === true
        ? { ...status, ready: false, restartCount: status.restartCount + 1, state: backOff, lastState: ended }
        : { ...status, ready: false, state: ended };
    });
  }

  /** New containers: another container ID, another start time, one more restart. */
  async restart(pod: Pod, options: { readonly ready?: boolean; readonly mayBeGone?: boolean } = {}): Promise<void> {
    const ready = options.ready ?? true;
    await unlessGone(options.mayBeGone, () =>
      this.#change(pod, ready, (status) => ({
        ...status,
        ready,
        restartCount: status.restartCount + 1,
        containerID: newContainerID(),
        lastState: { terminated: { exitCode: 137, reason: 'Error', finishedAt: now() } },
        state: { running: { startedAt: now() } },
      })),
    );
  }

  /** The image cannot be pulled. */
  async failPull(pod: Pod, message = 'Back-off pulling image: ErrImagePull: manifest unknown'): Promise<void> {
    await this.#change(
      pod,
      false,
      ({ name, image }) => ({
        name,
        image,
        ready: false,
        restartCount: 0,
        containerID: '',
        imageID: '',
        state: { waiting: { reason: 'ImagePullBackOff', message } },
      }),
      'Pending',
    );
  }

  /** A pod that waits (pull failed, or simulated as `manual`) runs at last. */
  async run(pod: Pod, options: { readonly ready?: boolean } = {}): Promise<void> {
    const ready = options.ready ?? true;
    await this.#change(
      pod,
      ready,
      (status) => ({
        ...status,
        ready,
        containerID: newContainerID(),
        imageID: `${status.image}@sha256:${randomBytes(32).toString('hex')}`,
        state: { running: { startedAt: now() } },
      }),
      'Running',
    );
  }

  /** The readiness probe's answer; the containers stay the same. */
  async setReady(pod: Pod, ready: boolean, options: { readonly mayBeGone?: boolean } = {}): Promise<void> {
    await unlessGone(options.mayBeGone, () => this.#change(pod, ready, (status) => ({ ...status, ready })));
  }

  /**
   * What a kubelet does every ten seconds, and kwok never: gives back the Ready condition that the node controller took from pods whose containers
   * are ready (MarkPodsNotReady). It may take it a moment after the node is Ready again. Source: pkg/kubelet/status, needsReconcile.
   */
  async reconcileReady(namespace: string): Promise<void> {
    for (const pod of await this.list(namespace)) {
      const statusOf = (wanted: string) => pod.status?.conditions?.find(({ type }) => type === wanted)?.status;
      const isTaken = statusOf('Ready') === 'False' && statusOf('ContainersReady') === 'True';
      if (isTaken && pod.metadata.deletionTimestamp === undefined) await this.setReady(pod, true, { mayBeGone: true });
    }
  }

  /** The pod's deletion, once asked for, does not end until releaseDeletion(). */
  async holdDeletion(pod: Pod): Promise<void> {
    await this.#annotate(pod, { [HOLD_DELETION_ANNOTATION]: 'true', [RELEASE_ANNOTATION]: null });
  }

  async releaseDeletion(pod: Pod): Promise<void> {
    await this.#annotate(pod, { [RELEASE_ANNOTATION]: 'true' });
  }

  /** As `kubectl delete pod`; `force` leaves no grace period. */
  delete(pod: Pod, options: { readonly force?: boolean } = {}): Promise<void> {
    return this.#admin.delete(PODS, refOf(pod), options.force === true ? { gracePeriodSeconds: 0 } : {});
  }

  async #annotate(pod: Pod, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    await this.#admin.patch(PODS, refOf(pod), { metadata: { annotations } });
  }

  async #change(
    pod: Pod,
    ready: boolean,
    container: (status: ContainerStatus) => ContainerStatus,
    phase?: string,
  ): Promise<void> {
    const current = await this.#settled(pod);
    const status = {
      ...(phase === undefined ? {} : { phase, startTime: now() }),
      conditions: ['Ready', 'ContainersReady'].map((type) => ({
        type,
        status: ready ? 'True' : 'False',
        reason: ready ? null : 'ContainersNotReady',
        lastTransitionTime: now(),
      })),
      containerStatuses: containersOf(current).map(container),
    };
    await this.#admin.patch(PODS, refOf(pod), { status }, { type: 'strategic', subresource: 'status' });
  }

  /** The pod once kwok has written its first status: a write before that would be overwritten. */
  async #settled(pod: Pod): Promise<Pod> {
    const found = await eventually(
      async () => {
        const current = await this.get(pod).catch(goneOrThrow);
        if (current === undefined || current.status?.containerStatuses !== undefined) return current;
        if (!(await this.#isLeftAlone(current))) throw new Error('it has none');
        return current;
      },
      { what: `a first status of pod ${pod.metadata.namespace}/${pod.metadata.name}` },
    );
    return found ?? this.get(pod);
  }

  async #isLeftAlone(pod: Pod): Promise<boolean> {
    const { nodeName } = pod.spec ?? {};
    const names = [nodeName, ...(pod.spec?.containers.map((container) => container.image) ?? [])];
    if (pod.metadata.annotations?.[SIMULATE_ANNOTATION] === 'manual') return true;
    if (names.some((name) => name?.includes('sim-manual'))) return true;
    if (nodeName === undefined) return false;
    const node = await this.#admin.get(NODES, { name: nodeName });
    return node.metadata.labels?.[KUBELET_STOPPED_LABEL] !== undefined;
  }
}

/** The containers' statuses, or what they will be of when there is no status yet. */
export function containersOf(pod: Pod): readonly ContainerStatus[] {
  return (
    pod.status?.containerStatuses ??
    pod.spec?.containers.map(({ name, image }) => ({ name, image, ready: false, restartCount: 0 })) ??
    []
  );
}

function goneOrThrow(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}

function refOf(pod: Pod): { readonly name: string; readonly namespace: string } {
  const { name = '', namespace = '' } = pod.metadata;
  return { name, namespace };
}

function newContainerID(): string {
  return `containerd://${randomBytes(32).toString('hex')}`;
}

/** RFC 3339 with seconds, as the API server keeps it. */
function now(): string {
  return new Date().toISOString();
}

/** A pod that somebody deletes between our look and our write is no error where that may happen. */
async function unlessGone(mayBeGone: boolean | undefined, change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    if (!(mayBeGone === true && isNotFound(error))) throw error;
  }
}
