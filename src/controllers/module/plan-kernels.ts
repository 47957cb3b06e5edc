import { groupByKernel, kernelKey } from '../../kernel/grouping.ts';
import { type Resolution, resolveKernel } from '../../kernel/resolve.ts';
import type { Node } from '../../kube/core.ts';
import { hashOfInputs } from './identity.ts';
import { loaderDaemonSetName } from './names.ts';
import type { ModuleSnapshot } from './snapshot.ts';

/** What one kernel (on one architecture) gets. */
export interface KernelPlan {
  readonly key: string;
  readonly kernel: string;
  readonly arch: string;
  readonly daemonSetName: string;
  readonly resolution: Resolution;
  /** Hash of the user's inputs to this kernel's loader; undefined where no image is known. */
  readonly inputs?: string;
}

/** The image of a kernel that can be run now; undefined where there is none, or where it has to be built first. */
export function runnableImage(resolution: Resolution): string | undefined {
  return resolution.kind === 'image' && !resolution.needsBuild ? resolution.image : undefined;
}

/** Resolves every kernel that runs on `nodes`, once per kernel and architecture, by kernel key. */
export function planKernels(snapshot: ModuleSnapshot, nodes: Iterable<Node>): Map<string, KernelPlan> {
  const { spec, module } = snapshot;
  const identity = { name: module.metadata.name ?? '', namespace: module.metadata.namespace ?? '' };
  const plans = new Map<string, KernelPlan>();
  for (const group of groupByKernel(running(nodes))) {
    const key = kernelKey(group.kernel, group.arch);
    const resolution = resolveKernel({
      mappings: spec.kernelMappings,
      kernel: group.kernel,
      arch: group.arch,
      module: identity,
    });
    const image = runnableImage(resolution);
    plans.set(key, {
      key,
      kernel: group.kernel,
      arch: group.arch,
      daemonSetName: loaderDaemonSetName(identity, group.kernel, key),
      resolution,
      ...(image === undefined ? {} : { inputs: loaderInputs(snapshot, image) }),
    });
  }
  return plans;
}

function* running(nodes: Iterable<Node>): Generator<{ name: string; kernel: string; arch: string }> {
  for (const node of nodes) {
    const info = node.status?.nodeInfo;
    // A Node that was just registered has no nodeInfo yet; it gets a kernel when its kubelet reports.
    if (info === undefined || info.kernelVersion === '') continue;
    yield { name: node.metadata.name ?? '', kernel: info.kernelVersion, arch: info.architecture };
  }
}

/**
 * What the user wrote, as the API server stores it, and not what became of it here: a later version of this operator that reads the same
 * words differently must not roll anybody's pods.
 */
function loaderInputs({ module }: ModuleSnapshot, image: string): string {
  const { moduleLoader, additionalVolumes, imageRepoSecret } = module.spec;
  return hashOfInputs({
    image,
    moduleLoader: { ...moduleLoader, image: undefined },
    additionalVolumes,
    imageRepoSecret,
  });
}
