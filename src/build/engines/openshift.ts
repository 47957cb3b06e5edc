import { isInRegistry } from '../../kernel/cluster-registry.ts';
import { PODS, type Pod } from '../../kube/core.ts';
import { byDigest } from '../pipeline/tags.ts';
import {
  BUILD_SELECTOR,
  type BuildEngine,
  type BuildKind,
  type BuildObservation,
  type BuildPart,
  type BuildRecord,
  type ImageBuild,
  partOf,
} from './engine.ts';
import { BUILD_POD_LABEL, buildConfig, fitsBuildConfig } from './openshift-build-config.ts';
import { BUILD_CONFIGS, BUILDS, type Build, type BuildConfig } from './openshift-objects.ts';
import { observeBuild, observeBuildConfig } from './openshift-observation.ts';
import { buildPods, type PodEngineOptions, podEngine, podRecord, tryOf } from './pod.ts';

/**
 * Builds by OpenShift's own: a BuildConfig for each try, whose Build OpenShift makes and runs. What is to be signed is built under an
 * intermediate tag; a pod of ours signs, verifies and pushes that image, by its digest. What a BuildConfig cannot say, a pod builds.
 *
 * Nothing is kept but in the objects. A BuildConfig with a complete Build and no pod is one whose pod is due: that is all there is between
 * the two, whenever somebody looks.
 */
export function openshiftEngine(options: PodEngineOptions): BuildEngine {
  const pods = podEngine(options);
  return {
    kinds: [CONFIGS, BUILDS_OF_CONFIGS, signingPods(options)],
    desired: (build, found) => {
      if (!fitsBuildConfig(build) || isForOwnRegistry(build, options)) return pods.desired(build, found);
      if (found.length === 0) return [{ resource: BUILD_CONFIGS, object: buildConfig(build) }];
      const image = unsignedImage(found);
      return image === undefined ? [] : pods.desired(signing(build, image), []);
    },
    observe: (parts) => {
      const configs = parts.filter(({ resource }) => resource === BUILD_CONFIGS);
      const alone = parts.filter(
        (part) => part.resource === PODS && !configs.some((config) => isSameTry(config, part)),
      );
      return [...configs.map((config) => recordOf(config, parts)), ...alone.flatMap(podRecord)].sort(
        (a, b) => b.attempt - a.attempt,
      );
    },
  };
}

/** A registry of ours that takes tokens made for it alone: OpenShift's builder has none. */
function isForOwnRegistry({ request }: ImageBuild, { registry }: PodEngineOptions): boolean {
  return registry?.audience !== undefined && isInRegistry(registry.hosts, request.image);
}

const CONFIGS: BuildKind<BuildConfig> = {
  name: 'buildConfigs',
  resource: BUILD_CONFIGS,
  labelSelector: BUILD_SELECTOR,
  read: (config) => ({
    ...partOf(BUILD_CONFIGS, config),
    ...tryOf(config),
    observation: observeBuildConfig(config),
    // Only what is final is labelled.
    ...(config.spec.output.imageLabels === undefined ? { isIntermediate: true } : {}),
  }),
};

/** A Build has the labels of its BuildConfig, and none of its annotations. */
const BUILDS_OF_CONFIGS: BuildKind<Build> = {
  name: 'builds',
  resource: BUILDS,
  labelSelector: BUILD_SELECTOR,
  read: (build) => ({
    ...partOf(BUILDS, build),
    key: '',
    attempt: 0,
    observation: observeBuild(build),
  }),
};

/** Not the pods of Builds, which are OpenShift's. */
function signingPods({ registry }: PodEngineOptions): BuildKind<Pod> {
  return { ...buildPods(registry), labelSelector: `${BUILD_SELECTOR},!${BUILD_POD_LABEL}` };
}

function isSameTry(config: BuildPart, other: BuildPart): boolean {
  return other.key === config.key && other.attempt === config.attempt;
}

function recordOf(config: BuildPart, parts: readonly BuildPart[]): BuildRecord {
  const { metadata, moduleLabel, key, attempt, terms } = config;
  const build = buildOf(config, parts);
  const pod = parts.find((part) => part.resource === PODS && isSameTry(config, part));
  return {
    metadata,
    moduleLabel,
    key,
    attempt,
    ...(terms === undefined ? {} : { terms }),
    // As OpenShift calls it.
    pod: pod?.metadata.name ?? `${build?.metadata.name ?? `${metadata.name}-1`}-build`,
    parts: [config, ...(build === undefined ? [] : [build]), ...(pod === undefined ? [] : [pod])],
    observation: observationOf(config, build, pod),
  };
}

/** The newest, where somebody has started another by hand. */
function buildOf(config: BuildPart, parts: readonly BuildPart[]): BuildPart | undefined {
  return parts
    .filter(
      ({ resource, metadata }) =>
        resource === BUILDS && metadata.ownerReferences?.some(({ uid }) => uid === config.metadata.uid),
    )
    .sort((a, b) => ((a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? 1 : -1))[0];
}

function observationOf(config: BuildPart, build: BuildPart | undefined, pod: BuildPart | undefined): BuildObservation {
  const { observation } = build ?? config;
  if (pod !== undefined) return signingObservation(pod, build);
  if (observation.phase !== 'Made') return observation;
  const { at, reference, digest, commit, durations } = observation;
  if (digest === undefined) {
    return {
      phase: 'Failed',
      at,
      blame: 'infrastructure',
      step: 'push',
      message: `the build ended well, and the registry of ${reference} did not tell the digest of the image, by which loaders run it`,
    };
  }
  if (config.isIntermediate) {
    return { phase: 'Starting', since: at, message: 'the unsigned image is there, and the pod that signs it is next' };
  }
  const image = byDigest(reference, digest);
  return {
    phase: 'Succeeded',
    at,
    report: { result: 'built', image, reference, ...(commit === undefined ? {} : { commit }), durations },
  };
}

/** What the pod does first is to pull what has been built: that is no building. */
function signingObservation({ observation }: BuildPart, build: BuildPart | undefined): BuildObservation {
  if (observation.phase === 'Building') return { ...observation, phase: 'Signing' };
  if (observation.phase === 'Made') throw new Error('a pod tells how far it is, not of an image alone');
  const made = build?.observation;
  if (observation.phase !== 'Succeeded' || made?.phase !== 'Made') return observation;
  const { report } = observation;
  return {
    ...observation,
    report: {
      ...report,
      ...(made.commit === undefined ? {} : { commit: made.commit }),
      durations: { ...made.durations, ...report.durations },
    },
  };
}

/** What a pod is to sign now; undefined while there is nothing, and when there is one that does. */
function unsignedImage(found: readonly BuildPart[]): string | undefined {
  const config = found.find(({ resource }) => resource === BUILD_CONFIGS);
  if (config?.isIntermediate !== true || found.some(({ resource }) => resource === PODS)) return undefined;
  const made = buildOf(config, found)?.observation;
  return made?.phase === 'Made' && made.digest !== undefined ? byDigest(made.reference, made.digest) : undefined;
}

/** The build of the image that is asked for from the one that is there, which lies in the registry that is pushed to. */
function signing(build: ImageBuild, unsigned: string): ImageBuild {
  const { request, inputs } = build;
  const { pushSecret, signKeySecret, signCertSecret } = inputs;
  const pullSecret = pushSecret ?? inputs.pullSecret;
  return {
    ...build,
    request: { ...request, source: { kind: 'image', reference: unsigned }, pull: request.push, secrets: [] },
    inputs: {
      ...(pullSecret === undefined ? {} : { pullSecret }),
      ...(pushSecret === undefined ? {} : { pushSecret }),
      buildSecrets: [],
      ...(signKeySecret === undefined ? {} : { signKeySecret }),
      ...(signCertSecret === undefined ? {} : { signCertSecret }),
    },
  };
}
