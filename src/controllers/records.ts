/**
 * What the caches keep of each object: the few fields that decisions read.
 *
 * At 5,000 nodes a cache of whole Pods and Nodes is gigabytes-sized in other operators; these records are a few hundred bytes.
 * Informers call the functions here on arrival, so the whole object is garbage before the next one is parsed.
 */
import { hash } from 'node:crypto';
import { GROUP_PREFIX, MODULE_NAME_LABEL, ROLE_LABEL, type Role } from '../api/labels.ts';
import type { Module } from '../api/module.ts';
import { shorten } from '../kernel/shorten.ts';
import { isReady } from '../kube/conditions.ts';
import type { ContainerStatus, DaemonSet, Event, Node, Pod } from '../kube/core.ts';
import type { KubeObject } from '../kube/objects.ts';
import { INPUTS_ANNOTATION } from './identity.ts';

/** A Module without the bookkeeping of its writers. */
export function trimModule({ metadata, spec, status }: Module): Module {
  return {
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      generation: metadata.generation,
      ...(metadata.deletionTimestamp === undefined ? {} : { deletionTimestamp: metadata.deletionTimestamp }),
      ...(metadata.finalizers === undefined ? {} : { finalizers: metadata.finalizers }),
    },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** A Node as decisions see it: still a Node, without what is never read (images, addresses, capacity, foreign annotations). */
export function trimNode(node: Node): Node {
  const { metadata, spec, status } = node;
  const annotations = pick(metadata.annotations, (key) => key.startsWith(GROUP_PREFIX));
  const info = status?.nodeInfo;
  return {
    metadata: {
      name: metadata.name,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      ...(metadata.deletionTimestamp === undefined ? {} : { deletionTimestamp: metadata.deletionTimestamp }),
      labels: metadata.labels ?? {},
      ...(annotations === undefined ? {} : { annotations }),
    },
    ...(spec?.taints === undefined ? {} : { spec: { taints: spec.taints } }),
    status: {
      conditions: (status?.conditions ?? [])
        .filter((condition) => condition.type === 'Ready')
        .map(({ type, status, lastTransitionTime }) => ({ type, status, lastTransitionTime })),
      ...(info === undefined
        ? {}
        : {
            nodeInfo: {
              kernelVersion: info.kernelVersion,
              bootID: info.bootID,
              architecture: info.architecture,
              ...(info.kubeletVersion === undefined ? {} : { kubeletVersion: info.kubeletVersion }),
              ...(info.containerRuntimeVersion === undefined
                ? {}
                : { containerRuntimeVersion: info.containerRuntimeVersion }),
              ...(info.osImage === undefined ? {} : { osImage: info.osImage }),
            },
          }),
    },
  };
}

/** The state of the one container of ours in a pod. */
export interface ContainerRecord {
  /** Tells one start of the container from another: changes with every restart and every boot. */
  readonly instance: string;
  readonly running: boolean;
  /** RFC 3339; when the running instance was started. */
  readonly startedAt?: string;
  readonly ready: boolean;
  readonly restarts: number;
  readonly imageID?: string;
  readonly waiting?: { readonly reason: string; readonly message: string };
  /** How the last finished instance ended; the current one when it has just ended. */
  readonly terminated?: { readonly exitCode: number; readonly reason: string; readonly message: string };
}

/** A loader or device-plugin pod as decisions see it. */
export interface PodRecord extends KubeObject {
  readonly role: Role | undefined;
  /** Value of the module.name label: the Module's name, made label-safe. */
  readonly moduleLabel: string;
  /** The node it runs on or, while unscheduled, the node its DaemonSet made it for. */
  readonly node: string;
  /** The kernel key its nodeSelector asks for; the empty string on a device-plugin pod. */
  readonly kernelKey: string;
  /** Hash of the user's inputs it was made from. */
  readonly inputs: string;
  readonly phase: string;
  /** The pod's Ready condition. */
  readonly ready: boolean;
  readonly container?: ContainerRecord;
  /** The scheduler's or the kubelet's words on why it does not run. */
  readonly blocked?: string;
  /** No controller has it: its DaemonSet was deleted without it (`kubectl delete --cascade=orphan`), so nobody else deletes it. */
  readonly orphaned?: true;
}

const LONGEST_MESSAGE = 512;

export function trimPod(pod: Pod): PodRecord {
  const { metadata, spec, status } = pod;
  const role = metadata.labels?.[ROLE_LABEL];
  const containerStatus = status?.containerStatuses?.find(({ name }) => name === role);
  const container = containerStatus === undefined ? undefined : trimContainer(metadata.uid ?? '', containerStatus);
  const blocked = whyBlocked(pod);
  return {
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      creationTimestamp: metadata.creationTimestamp,
      ...(metadata.deletionTimestamp === undefined ? {} : { deletionTimestamp: metadata.deletionTimestamp }),
      ...(metadata.deletionGracePeriodSeconds === undefined
        ? {}
        : { deletionGracePeriodSeconds: metadata.deletionGracePeriodSeconds }),
    },
    role: role === 'module-loader' || role === 'device-plugin' ? role : undefined,
    moduleLabel: metadata.labels?.[MODULE_NAME_LABEL] ?? '',
    node: spec?.nodeName ?? nodeOfAffinity(spec) ?? '',
    kernelKey: kernelKeyOf(spec?.nodeSelector),
    inputs: metadata.annotations?.[INPUTS_ANNOTATION] ?? '',
    phase: status?.phase ?? 'Pending',
    ready: isReady(pod),
    ...(container === undefined ? {} : { container }),
    ...(blocked === undefined ? {} : { blocked }),
    ...((metadata.ownerReferences ?? []).some(({ controller }) => controller === true) ? {} : { orphaned: true }),
  };
}

function trimContainer(podUID: string, status: ContainerStatus): ContainerRecord {
  const running = status.state?.running;
  const ended = status.state?.terminated ?? status.lastState?.terminated;
  const waiting = status.state?.waiting;
  return {
    // A runtime gives every start a new containerID; startedAt is the fallback for one that reports none.
    instance: shortDigest(`${podUID}/${status.containerID ?? running?.startedAt ?? status.restartCount}`),
    running: running !== undefined,
    ...(running?.startedAt === undefined ? {} : { startedAt: running.startedAt }),
    ready: status.ready,
    restarts: status.restartCount,
    ...(status.imageID === undefined || status.imageID === '' ? {} : { imageID: status.imageID }),
    ...(waiting === undefined
      ? {}
      : { waiting: { reason: waiting.reason ?? '', message: shorten(waiting.message ?? '', LONGEST_MESSAGE) } }),
    ...(ended === undefined
      ? {}
      : {
          terminated: {
            exitCode: ended.exitCode ?? 0,
            reason: ended.reason ?? '',
            // The end of a log says why it failed; FallbackToLogsOnError gives up to 2,048 bytes of it.
            message: (ended.message ?? '').trim().slice(-LONGEST_MESSAGE),
          },
        }),
  };
}

/**
 * DaemonSet pods are bound by the scheduler: until then the node stands only in a required node affinity on metadata.name.
 * Source: k8s.io/kubernetes/pkg/controller/daemon/util, ReplaceDaemonSetPodNodeNameNodeAffinity.
 */
function nodeOfAffinity(spec: Pod['spec']): string | undefined {
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  for (const term of terms) {
    for (const field of term.matchFields ?? []) {
      if (field.key === 'metadata.name' && field.values?.length === 1) return field.values[0];
    }
  }
  return undefined;
}

/** The value of our load label in a nodeSelector. */
export function kernelKeyOf(nodeSelector: Readonly<Record<string, string>> | undefined): string {
  for (const [key, value] of Object.entries(nodeSelector ?? {})) {
    if (key.startsWith(GROUP_PREFIX) && key.endsWith('.load')) return value;
  }
  return '';
}

function whyBlocked(pod: Pod): string | undefined {
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') return shorten(scheduled.message ?? scheduled.reason ?? '', LONGEST_MESSAGE);
  if (pod.status?.phase === 'Failed') {
    return shorten(pod.status.message ?? pod.status.reason ?? 'the pod failed', LONGEST_MESSAGE);
  }
  return undefined;
}

/** A DaemonSet of ours. Its template is written, never read back, so only what identifies it stays. */
export interface DaemonSetRecord extends KubeObject {
  readonly role: Role | undefined;
  readonly moduleLabel: string;
  readonly kernelKey: string;
  /** Every node label the DaemonSet's placement depends on. */
  readonly nodeSelectorKeys: readonly string[];
  readonly matchLabels: Readonly<Record<string, string>>;
  /** Hash of the user's inputs its pod template was made from. */
  readonly inputs: string;
  readonly observedGeneration: number;
}

export function trimDaemonSet(daemonSet: DaemonSet): DaemonSetRecord {
  const { metadata, spec, status } = daemonSet;
  const role = metadata.labels?.[ROLE_LABEL];
  return {
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      generation: metadata.generation,
      creationTimestamp: metadata.creationTimestamp,
      ...(metadata.deletionTimestamp === undefined ? {} : { deletionTimestamp: metadata.deletionTimestamp }),
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      ownerReferences: metadata.ownerReferences ?? [],
      ...(metadata.finalizers === undefined ? {} : { finalizers: metadata.finalizers }),
    },
    role: role === 'module-loader' || role === 'device-plugin' ? role : undefined,
    moduleLabel: metadata.labels?.[MODULE_NAME_LABEL] ?? '',
    kernelKey: kernelKeyOf(spec.template.spec.nodeSelector),
    nodeSelectorKeys: Object.keys(spec.template.spec.nodeSelector ?? {}),
    matchLabels: spec.selector.matchLabels,
    inputs: spec.template.metadata?.annotations?.[INPUTS_ANNOTATION] ?? '',
    observedGeneration: status?.observedGeneration ?? 0,
  };
}

/** A refusal to create pods, as the DaemonSet controller records it (event reason FailedCreate). */
export interface RefusalRecord extends KubeObject {
  readonly daemonSetUID: string;
  readonly message: string;
  /** RFC 3339, or the empty string. */
  readonly at: string;
}

export function trimRefusal(event: Event): RefusalRecord {
  return {
    metadata: {
      name: event.metadata.name,
      namespace: event.metadata.namespace,
      uid: event.metadata.uid,
      resourceVersion: event.metadata.resourceVersion,
    },
    daemonSetUID: event.involvedObject.uid ?? '',
    message: shorten(refusalSentence(event.message ?? ''), LONGEST_MESSAGE),
    at: event.lastTimestamp ?? event.metadata.creationTimestamp ?? '',
  };
}

/**
 * The server's sentence alone. The name of the pod that was refused is another one at every try: with it, each try of the DaemonSet
 * controller would be a new status.
 */
function refusalSentence(message: string): string {
  return message
    .replace(/^\(combined from similar events\): /, '')
    .replace(/^Error creating: pods "[^"]*" is forbidden: /, 'pods are forbidden: ');
}

function pick(
  record: Readonly<Record<string, string>> | undefined,
  keep: (key: string) => boolean,
): Record<string, string> | undefined {
  const kept = Object.entries(record ?? {}).filter(([key]) => keep(key));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function shortDigest(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 12);
}
