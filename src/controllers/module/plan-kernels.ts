import type { KernelStatus, ModuleStatus } from '../../api/module.ts';
import { type ClusterRegistry, defaultImageTemplate, isInRegistry } from '../../kernel/cluster-registry.ts';
import { groupByKernel, type KernelGroup, kernelKey } from '../../kernel/grouping.ts';
import { mappingField } from '../../kernel/mapping.ts';
import { type Resolution, resolveKernel } from '../../kernel/resolve.ts';
import { namesKernel } from '../../kernel/template.ts';
import type { Node } from '../../kube/core.ts';
import { matchesLabels } from '../../kube/selectors.ts';
import { hashOfInputs } from '../identity.ts';
import { imageBuild } from '../image/image-build.ts';
import type { PlannedImage } from '../image/image-desk.ts';
import { unlessLost } from '../image/lost-image.ts';
import { type BuildProgress, progressOf } from '../image/progress.ts';
import { loaderDaemonSetName } from './names.ts';
import type { ModuleSnapshot } from './snapshot.ts';

/** What one kernel (on one architecture) gets. */
export interface KernelPlan {
  readonly key: string;
  readonly kernel: string;
  readonly arch: string;
  readonly daemonSetName: string;
  readonly resolution: Resolution;
  /** The image that is to be built for it; absent where the mapping neither builds nor signs. */
  readonly wanted?: PlannedImage;
  /** Hash of the user's inputs to this kernel's loader; undefined where no image is known. */
  readonly inputs?: string;
}

/** The image of a kernel that can be run now; undefined where there is none, or where it has to be built first. */
export function runnableImage({ resolution, wanted }: Pick<KernelPlan, 'resolution' | 'wanted'>): string | undefined {
  if (resolution.kind !== 'image') return undefined;
  if (!resolution.needsBuild) return resolution.image;
  return wanted?.progress.phase === 'Pushed' ? wanted.progress.image : undefined;
}

/** Resolves every kernel that runs on `nodes`, once per kernel and architecture, by kernel key. */
export function planKernels(snapshot: ModuleSnapshot, nodes: Iterable<Node>): Map<string, KernelPlan> {
  const groups = groupByKernel(running(nodes)).map((group) => ({ group, resolution: resolve(snapshot, group) }));
  const uses = new Map<string, number>();
  for (const { resolution } of groups) {
    if (resolution.kind === 'image') uses.set(resolution.image, (uses.get(resolution.image) ?? 0) + 1);
  }
  const plans = new Map<string, KernelPlan>();
  for (const { group, resolution } of groups) {
    const shared = resolution.kind === 'image' && (uses.get(resolution.image) ?? 0) > 1;
    const plan = planKernel(snapshot, group, resolution, shared);
    plans.set(plan.key, plan);
  }
  return plans;
}

function resolve({ spec, module, options }: ModuleSnapshot, { kernel, arch }: KernelGroup): Resolution {
  const identity = { name: module.metadata.name ?? '', namespace: module.metadata.namespace ?? '' };
  return resolveKernel({
    mappings: spec.kernelMappings,
    kernel,
    arch,
    module: identity,
    ...(options.registry === undefined ? {} : { defaultImage: defaultImageTemplate(options.registry.pullHost) }),
  });
}

function planKernel(
  snapshot: ModuleSnapshot,
  { kernel, arch }: KernelGroup,
  resolution: Resolution,
  sharedNow: boolean,
): KernelPlan {
  const { module } = snapshot;
  const identity = { name: module.metadata.name ?? '', namespace: module.metadata.namespace ?? '' };
  const key = kernelKey(kernel, arch);
  const images = wantedImage(snapshot, { kernel, arch, resolution, sharedNow });
  const image = runnableImage(images);
  return {
    key,
    kernel,
    arch,
    daemonSetName: loaderDaemonSetName(identity, kernel, key),
    ...images,
    ...(image === undefined ? {} : { inputs: loaderInputs(snapshot, image) }),
  };
}

interface ResolvedKernel {
  readonly kernel: string;
  readonly arch: string;
  readonly resolution: Resolution;
  /** Another kernel has the same reference now. */
  readonly sharedNow: boolean;
}

/** What is to be built for the kernel, and how far that is. A mapping that cannot be built from is an error like one that names no image. */
function wantedImage(
  snapshot: ModuleSnapshot,
  { kernel, arch, resolution, sharedNow }: ResolvedKernel,
): { readonly resolution: Resolution; readonly wanted?: PlannedImage } {
  if (resolution.kind !== 'image' || !resolution.needsBuild) return { resolution };
  const { module, spec, builds, options } = snapshot;
  const { registry } = options;
  const mapping = spec.kernelMappings[resolution.mappingIndex];
  if (mapping === undefined) return { resolution };
  const configMap = mapping.build?.dockerfileConfigMap?.name;
  const lookup = configMap === undefined ? undefined : builds.configMap(configMap);
  const result = imageBuild({
    module,
    spec,
    mapping,
    kernel,
    arch,
    image: resolution.image,
    // A pattern matches kernels that nobody has seen yet.
    shared: sharedNow || (mapping.literal === undefined && !namesKernel(mapping.containerImage ?? OWN_TAG_EACH)),
    ...(registry === undefined ? {} : { registry }),
    ...(lookup?.state === 'there'
      ? { dockerfileVersion: { uid: lookup.uid, resourceVersion: lookup.resourceVersion } }
      : {}),
    ...(builds.driverToolkit === undefined
      ? {}
      : { driverToolkit: builds.driverToolkit(osImagesOf(snapshot.nodes, kernel, arch)) }),
  });
  if (!result.ok) {
    const message = `${mappingField(resolution.mappingIndex)}.${result.problem}`;
    return { resolution: { kind: 'error', message, mappingIndex: resolution.mappingIndex } };
  }
  const recorded = kernelStatusOf(module.status, kernel, arch)?.build;
  if (configMap !== undefined && lookup !== undefined && lookup.state !== 'there') {
    // Which build is wanted is not known: whatever there is of the last one stays.
    const build = recorded === undefined ? result.build : { ...result.build, key: recorded.key };
    const found = progressOf(build, builds.records, recorded, builds.retry);
    const progress: BuildProgress =
      found.phase === 'Queued' ? { ...found, message: missingConfigMap(configMap, lookup.state) } : found;
    return { resolution, wanted: { build, progress, undecided: true } };
  }
  const isInClusterRegistry = isOurs(registry, resolution.image);
  const told = progressOf(result.build, builds.records, recorded, builds.retry);
  const found = isInClusterRegistry ? unlessLost(told, loadersOf(snapshot, told), builds.retry) : told;
  const obstacle =
    unlessSelected(snapshot, kernel, arch) ??
    result.obstacle ??
    (isInClusterRegistry ? builds.registryProblem : undefined);
  const refusal = builds.refusal(result.build.key);
  if (found.phase === 'Queued' && obstacle !== undefined) {
    const progress = { ...found, message: obstacle };
    return { resolution, wanted: { build: result.build, progress, blocked: true } };
  }
  const isRefused = (found.phase === 'Queued' || found.phase === 'Starting') && refusal !== undefined;
  const progress: BuildProgress = isRefused ? { ...found, message: refusal } : found;
  const blocked = obstacle === undefined ? {} : { blocked: true as const };
  return { resolution, wanted: { build: result.build, progress, ...blocked } };
}

/** Nodes that only have something left of the Module, or a selector label that is away for now, are no reason to begin a build. */
function unlessSelected({ nodes, spec }: ModuleSnapshot, kernel: string, arch: string): string | undefined {
  const isSelected = nodes.some(
    (node) => runs(node, kernel, arch) && matchesLabels(spec.selector, node.metadata.labels ?? {}),
  );
  return isSelected ? undefined : 'not built now: no node that spec.selector names runs this kernel';
}

function osImagesOf(nodes: readonly Node[], kernel: string, arch: string): string[] {
  return nodes.filter((node) => runs(node, kernel, arch)).map(({ status }) => status?.nodeInfo?.osImage ?? '');
}

function runs({ status }: Node, kernel: string, arch: string): boolean {
  const info = status?.nodeInfo;
  return info?.kernelVersion === kernel && info.architecture === arch;
}

/** The loaders that were made to run the image that was pushed. */
function loadersOf(snapshot: ModuleSnapshot, progress: BuildProgress): ModuleSnapshot['loaderPods'] {
  if (progress.phase !== 'Pushed') return [];
  const inputs = loaderInputs(snapshot, progress.image);
  return snapshot.loaderPods.filter((pod) => pod.inputs === inputs);
}

/** The default image has the kernel in its tag. */
const OWN_TAG_EACH = defaultImageTemplate('');

function isOurs(registry: ClusterRegistry | undefined, image: string): boolean {
  return registry !== undefined && isInRegistry(registry, image);
}

function missingConfigMap(name: string, state: 'unknown' | 'missing'): string {
  return state === 'missing'
    ? `ConfigMap ${name} of build.dockerfileConfigMap is not there: create it with the Dockerfile under the key dockerfile`
    : `looking for ConfigMap ${name}`;
}

/** What status says of a kernel. */
export function kernelStatusOf(
  status: ModuleStatus | undefined,
  kernel: string,
  arch: string,
): KernelStatus | undefined {
  return status?.kernels?.find(({ kernelVersion, architecture }) => kernelVersion === kernel && architecture === arch);
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
