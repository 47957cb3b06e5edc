import { type ConditionInput, setCondition } from '../../api/conditions.ts';
import type { BuildStatus, KernelStatus, Module, ModuleStatus } from '../../api/module.ts';
import { metaTime } from '../../kube/objects.ts';
import type { PlannedImage } from '../image/image-desk.ts';
import { buildStatus } from '../image/progress.ts';
import type { WriteProblem } from './node-state.ts';
import type { ModulePlan } from './plan.ts';
import { kernelStatusOf } from './plan-kernels.ts';
import type { ModuleSnapshot } from './snapshot.ts';
import { count, type KernelSummary, summarise, summarisePlugin } from './summary.ts';
import { conditionsOf, cut } from './verdicts.ts';

/** Kernels listed in status; the rest is counted. */
const MOST_KERNELS = 200;
/** Bytes of JSON that the list may take, so that the whole object stays below 100 KB however long references and messages are. */
const MOST_KERNEL_BYTES = 80_000;
const LONGEST_KERNEL_MESSAGE = 200;
/** A failure with the last words of a compiler. */
const LONGEST_BUILD_MESSAGE = 480;

/**
 * The whole status of a living Module, computed in one place from the plan and from what became of its writes. An unchanged world gives an
 * equal status, so that nothing is written: times move only when what they date moves.
 */
export function moduleStatus(
  snapshot: ModuleSnapshot,
  plan: ModulePlan,
  problems: ReadonlyMap<string, WriteProblem>,
): ModuleStatus {
  const kernels = summarise(snapshot, plan, problems);
  const plugin = summarisePlugin(snapshot, plan, problems);
  const counts = count(plan);
  const previous = snapshot.module.status;
  const conditions = conditionsOf(snapshot.module.metadata.generation, plan, kernels, counts, plugin).reduce(
    (list, update) => setCondition(list, update, snapshot.nowMs),
    previous?.conditions ?? [],
  );
  const listed = listKernels(kernels, previous, snapshot.nowMs);
  return {
    observedGeneration: snapshot.module.metadata.generation,
    conditions: [...conditions],
    moduleLoader: {
      nodesMatchingSelectorNumber: counts.matching,
      desiredNumber: counts.desired,
      availableNumber: counts.loaded,
    },
    ...(plugin === undefined ? {} : { devicePlugin: plugin.status }),
    loaded: `${counts.loaded}/${counts.desired}`,
    kernelsNumber: kernels.length,
    kernels: listed,
    ...(kernels.length > listed.length ? { kernelsOmitted: kernels.length - listed.length } : {}),
    // Written by KMM 2.x, and not ours to take away.
    ...(previous?.dra === undefined ? {} : { dra: previous.dra }),
    ...(previous?.imageRebuildTriggerGeneration === undefined
      ? {}
      : { imageRebuildTriggerGeneration: previous.imageRebuildTriggerGeneration }),
  };
}

/** The status of a Module that is stored but not acted on. */
export function unsupportedStatus(module: Module, message: string, nowMs: number): ModuleStatus {
  const updates: ConditionInput[] = [
    { type: 'Ready', status: 'False', reason: 'NotSupportedYet', message },
    { type: 'Progressing', status: 'False', reason: 'NotSupportedYet', message },
    { type: 'Degraded', status: 'True', reason: 'NotSupportedYet', message },
  ];
  return { ...module.status, ...withConditions(module, updates, nowMs) };
}

/** The status of a Module that is being deleted: what is waited for. */
export function unloadingStatus(module: Module, message: string, nowMs: number): ModuleStatus {
  const updates: ConditionInput[] = [
    { type: 'Ready', status: 'False', reason: 'Unloading', message },
    { type: 'Progressing', status: 'True', reason: 'Unloading', message },
    { type: 'Degraded', status: 'False', reason: 'Unloading', message: 'The Module is being deleted.' },
  ];
  return { ...module.status, ...withConditions(module, updates, nowMs) };
}

function withConditions(module: Module, updates: readonly ConditionInput[], nowMs: number): ModuleStatus {
  const observedGeneration = module.metadata.generation;
  const conditions = updates.reduce(
    (list, update) => setCondition(list, { ...update, ...generation(observedGeneration) }, nowMs),
    module.status?.conditions ?? [],
  );
  return { ...generation(observedGeneration), conditions: [...conditions] };
}

function generation(observedGeneration: number | undefined): { observedGeneration?: number } {
  return observedGeneration === undefined ? {} : { observedGeneration };
}

function listKernels(
  kernels: readonly KernelSummary[],
  previous: ModuleStatus | undefined,
  nowMs: number,
): KernelStatus[] {
  const listed: KernelStatus[] = [];
  let bytes = 0;
  for (const summary of kernels.slice(0, MOST_KERNELS)) {
    const status = kernelStatus(summary, previous, nowMs);
    bytes += Buffer.byteLength(JSON.stringify(status));
    if (bytes > MOST_KERNEL_BYTES) break;
    listed.push(status);
  }
  return listed;
}

function kernelStatus(summary: KernelSummary, previous: ModuleStatus | undefined, nowMs: number): KernelStatus {
  const { kernel, nodes, loaded, state, message, imageID } = summary;
  const before = kernelStatusOf(previous, kernel.kernel, kernel.arch);
  const image = kernel.resolution.kind === 'image' ? kernel.resolution.image : undefined;
  const digest = /sha256:[0-9a-f]{64}/.exec(imageID ?? '')?.[0];
  return {
    kernelVersion: kernel.kernel,
    architecture: kernel.arch,
    ...(image === undefined ? {} : { image }),
    ...(digest === undefined ? {} : { imageDigest: digest }),
    nodes,
    loaded,
    state,
    since: before?.state === state && before.since !== undefined ? before.since : metaTime(nowMs),
    ...(message === undefined ? {} : { message: cut(message, LONGEST_KERNEL_MESSAGE) }),
    ...(kernel.wanted === undefined ? {} : { build: shownBuild(kernel.wanted) }),
  };
}

function shownBuild({ build, progress }: PlannedImage): BuildStatus {
  const { message, ...status } = buildStatus(build, progress);
  return message === undefined ? status : { ...status, message: cut(message, LONGEST_BUILD_MESSAGE) };
}
