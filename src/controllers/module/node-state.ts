import type { DaemonSetRecord, PodRecord, RefusalRecord } from '../records.ts';
import { imageState } from './image-state.ts';
import type { NodePlan } from './plan-nodes.ts';
import { isFailing } from './plan-rollout.ts';
import type { State } from './reasons.ts';

/** What keeps a node from being done, in the words of whoever refuses; undefined for a node that is none of this Module's business. */
export interface NodeState {
  readonly state: State;
  readonly message?: string;
}

/** A write of ours that did not go through, by name of the DaemonSet. */
export interface WriteProblem {
  readonly state: 'NameTaken' | 'WriteRefused';
  readonly message: string;
}

export interface KernelWorld {
  readonly daemonSet: DaemonSetRecord | undefined;
  readonly refusal: RefusalRecord | undefined;
  readonly problem: WriteProblem | undefined;
}

export function nodeState(plan: NodePlan, world: KernelWorld): NodeState | undefined {
  const { placement } = plan;
  switch (placement.verdict) {
    case 'outside':
      return undefined;
    case 'withheld':
      return withheldState(plan, placement.why, placement.message);
    case 'leaving':
      return { state: 'Unloading', message: leavingMessage(plan) };
    case 'grace':
      return {
        state: plan.ready ? 'Loaded' : 'NodesSkipped',
        message: `a selector label is missing from node ${nameOf(plan)}; it keeps the module until ${iso(placement.untilMs)}`,
      };
    case 'placed':
      return placedState(plan, world);
  }
}

function withheldState({ kernel }: NodePlan, why: string, message: string): NodeState {
  switch (why) {
    case 'NoKernelMapping':
      return { state: 'NoKernelMapping' };
    case 'InvalidMapping':
      return { state: 'InvalidMapping', message };
    case 'WaitingForImage':
      return (kernel === undefined ? undefined : imageState(kernel)) ?? { state: 'WaitingForImage', message };
    case 'OldLoaderStillThere':
      return { state: 'Loading', message: `waiting: ${message}` };
    default:
      return { state: 'NodesSkipped', message };
  }
}

function placedState(plan: NodePlan, { daemonSet, refusal, problem }: KernelWorld): NodeState {
  const { loader, ready, record, kernel } = plan;
  if (kernel?.resolution.kind === 'error') return { state: 'InvalidMapping', message: kernel.resolution.message };
  if (problem !== undefined) return problem;
  const failure = loader === undefined || isBackAfterReboot(plan) ? undefined : failureOf(loader);
  if (ready) {
    if (isOutdated(plan)) return { state: 'RollingOut', message: 'outdated loader, waiting for its turn' };
    return rebuilding(plan) ?? { state: 'Loaded' };
  }
  if (!plan.alive) return { state: 'NodesSkipped', message: 'the node is not Ready' };
  if (failure !== undefined) return failure;
  if (loader === undefined && plan.loaderPods.length === 0 && refusal !== undefined && daemonSet !== undefined) {
    return { state: 'PodsRefused', message: refusal.message };
  }
  if (record?.replacingSince !== undefined) {
    // Before the mark is on the Node, the time in it is that of this plan alone: each operator that dies between the status and the mark
    // would tell another one.
    const since = plan.markedReplacing === true ? ` since ${record.replacingSince}` : '';
    return { state: 'RollingOut', message: `${replacingStep(plan)}${since}` };
  }
  return loader === undefined ? { state: 'Loading' } : { state: 'Loading', message: startingMessage(loader) };
}

/** Also while its DaemonSet is still the one of before: the plan that changes it is the one that status is written from. */
function isOutdated({ outdated, loader, kernel }: NodePlan): boolean {
  return outdated || (loader !== undefined && kernel?.inputs !== undefined && loader.inputs !== kernel.inputs);
}

/** The node keeps what it has for as long as a newer image is being made; a build that fails is told all the same. */
function rebuilding({ kernel }: NodePlan): NodeState | undefined {
  const image = kernel === undefined ? undefined : imageState(kernel);
  if (image === undefined || image.state === 'BuildFailed') return image;
  return { state: 'RollingOut', message: `a new image is being made: ${image.message}` };
}

/** What a person looks at when a start takes long; the words stay the same for as long as it does. */
export function startingMessage({ metadata, node, container }: PodRecord): string {
  const reason = container?.waiting?.reason ?? '';
  return `pod ${metadata.name} on node ${node} is not Ready${reason === '' ? '' : ` (${reason})`} since ${metadata.creationTimestamp}`;
}

/** A reboot ends a container with an exit code like any crash; while the one after it comes up, nothing has failed. */
function isBackAfterReboot({ loader, record, node }: NodePlan): boolean {
  const bootID = node.status?.nodeInfo?.bootID;
  return loader?.container?.running === true && record !== undefined && record.bootID !== bootID;
}

function replacingStep({ outdated, pluginPods, node, loader }: NodePlan): string {
  const where = `on node ${node.metadata.name}`;
  if (outdated && pluginPods.length > 0)
    return `waiting for device-plugin pod ${pluginPods[0]?.metadata.name} to stop ${where}`;
  if (outdated) return `waiting for loader pod ${loader?.metadata.name} to stop ${where}`;
  return `waiting for the new loader ${where}`;
}

function leavingMessage({ placement, pluginPods, loaderPods, node }: NodePlan): string {
  const why = placement.verdict === 'leaving' ? placement.why : '';
  const waiting = pluginPods[0] ?? loaderPods[0];
  const what = waiting === undefined ? '' : `, waiting for pod ${waiting.metadata.name}`;
  return `leaving node ${node.metadata.name} (${why})${what}`;
}

/** Why a loader pod does not run, in the kubelet's, the runtime's or the container's own words. */
export function failureOf(pod: PodRecord): NodeState | undefined {
  if (!isFailing(pod)) return undefined;
  const { container, blocked } = pod;
  if (blocked !== undefined) return { state: 'LoaderFailing', message: `pod ${pod.metadata.name}: ${blocked}` };
  const waiting = container?.waiting;
  if (waiting !== undefined && isImageFailure(waiting.reason)) {
    return { state: 'ImagePullFailed', message: pullCause(waiting.message) || waiting.reason };
  }
  const ended = container?.terminated;
  if (ended !== undefined && ended.exitCode !== 0) {
    const words = ended.message === '' ? ended.reason : ended.message;
    return { state: 'LoaderFailing', message: `exit code ${ended.exitCode}: ${words}` };
  }
  return { state: 'LoaderFailing', message: `${waiting?.reason ?? 'failed'}: ${waiting?.message ?? ''}` };
}

function isImageFailure(reason: string): boolean {
  return /image/i.test(reason);
}

/**
 * The kubelet alternates between the failure (ErrImagePull) and `Back-off pulling image "x": ErrImagePull: <the failure>`. The cause alone
 * is the same in both, so status does not flap.
 */
function pullCause(message: string): string {
  return message.replace(/^Back-off pulling image "[^"]*": (?:\w+: )?/, '').trim();
}

function nameOf(plan: NodePlan): string {
  return plan.node.metadata.name ?? '';
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
