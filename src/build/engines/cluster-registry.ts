import { asPulled, asPushed, type ClusterRegistry, isInRegistry } from '../../kernel/cluster-registry.ts';
import type { BuildRequest } from '../pipeline/request.ts';
import type { ContainerStage } from '../pipeline/stages.ts';
import type { BuildObservation } from './engine.ts';

/** The cluster's registry as builds use it. Modules, their status and nodes know it by its other name alone. */
export interface BuildRegistry {
  readonly hosts: ClusterRegistry;
  /** Of the service-account token that pushes; absent: the API server's own. */
  readonly audience?: string;
  /** PEM, as it is when a build begins; undefined where it is not known, or where everybody knows it. */
  readonly authority: () => string | undefined;
}

/** What a build is told: the registry by the name that a pod can resolve. */
export function requestToRegistry(request: BuildRequest, { hosts }: BuildRegistry): BuildRequest {
  const { image, source } = request;
  return {
    ...request,
    image: asPushed(hosts, image),
    source: source.kind === 'image' ? { ...source, reference: asPushed(hosts, source.reference) } : source,
    clusterRegistry: { pull: hosts.pullHost, push: hosts.pushHost },
  };
}

/** What a build tells: the image by the name that a node can pull. */
export function observationOfRegistry(observation: BuildObservation, { hosts }: BuildRegistry): BuildObservation {
  if (observation.phase !== 'Succeeded') return observation;
  const { report } = observation;
  return {
    ...observation,
    report: { ...report, image: asPulled(hosts, report.image), reference: asPulled(hosts, report.reference) },
  };
}

/**
 * The stages that get a token to push with. The code of a Dockerfile, which runs in `build`, is near it only where layers are kept: never
 * where the image is to be signed, because who has the token could push an unsigned one. Where an image that is there is signed, no
 * Dockerfile runs, and to fetch that image may take the token: OpenShift's registry lets nobody read without. To look there whether the image
 * has been made takes a container of its own, then.
 */
export function stagesWithToken(request: BuildRequest, { hosts, audience }: BuildRegistry): readonly ContainerStage[] {
  if (!isInRegistry(hosts, request.image)) return [];
  const isNearDockerfile = request.source.kind !== 'image';
  const keepsLayers = request.cache && request.sign === undefined;
  if (keepsLayers || !isNearDockerfile) return ['build', 'push'];
  const isReadByAnybody = audience !== undefined;
  return isReadByAnybody ? ['push'] : ['check', 'push'];
}
