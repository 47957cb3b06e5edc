import { IMAGE_BUILD_ROLE, MODULE_NAME_LABEL, ROLE_LABEL } from '../../api/labels.ts';
import type { Toleration } from '../../kube/core.ts';
import type { KubeObject, OwnerReference } from '../../kube/objects.ts';
import type { Resource } from '../../kube/resources.ts';
import type { FailureCause, Step } from '../pipeline/failure.ts';
import type { ImageReport } from '../pipeline/report.ts';
import type { BuildRequest } from '../pipeline/request.ts';

/** One image to be made, as an engine is told. The same request gives the same object name: there is one build of it in the cluster. */
export interface ImageBuild {
  /** Hash of everything the operator can see that decides the image. */
  readonly key: string;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owner: OwnerReference;
  readonly request: BuildRequest;
  readonly inputs: BuildInputs;
  readonly placement: BuildPlacement;
  readonly timeoutSeconds: number;
  /** Hash of the two: on which terms it runs. They decide nothing of the image, but whether it is worth trying anew. */
  readonly terms: string;
}

/** Names of objects in the Module's namespace whose content only the build sees. */
export interface BuildInputs {
  readonly dockerfileConfigMap?: string;
  readonly gitSecret?: string;
  readonly gitCAConfigMap?: string;
  readonly pullSecret?: string;
  readonly pushSecret?: string;
  readonly buildSecrets: readonly string[];
  readonly signKeySecret?: string;
  readonly signCertSecret?: string;
}

export interface BuildPlacement {
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  readonly resources?: Readonly<Record<string, unknown>>;
}

/** What is known of a build from its object alone. Times are RFC 3339. */
export type BuildObservation =
  /** Its object is there and nothing of ours runs yet; `message` tells what it waits for, where that is known. */
  | {
      readonly phase: 'Starting';
      readonly since: string;
      readonly message?: string;
      /** No node has it, or no controller has taken it up: it may wait for ever, and no deadline counts. */
      readonly unclaimed?: true;
    }
  | { readonly phase: 'Building' | 'Signing' | 'Pushing'; readonly since: string }
  | { readonly phase: 'Succeeded'; readonly at: string; readonly report: ImageReport }
  | {
      readonly phase: 'Failed';
      readonly at: string;
      readonly blame: FailureCause;
      /** Unknown where the build was killed. */
      readonly step?: Step;
      readonly message: string;
      readonly log?: string;
      readonly durations?: ImageReport['durations'];
    };

/** What one object of a build tells. */
export type PartObservation =
  | BuildObservation
  /** Its image is in the registry; whether something is still to be done with it, the engine knows. */
  | {
      readonly phase: 'Made';
      readonly at: string;
      /** Where it was pushed to. */
      readonly reference: string;
      /** Not every registry tells it. */
      readonly digest?: string;
      readonly commit?: string;
      readonly durations: ImageReport['durations'];
    };

/** What is kept of an object that an engine made, or that the cluster made of one of those. */
export interface BuildPart extends KubeObject {
  readonly resource: Resource<KubeObject>;
  /** Value of the module.name label. */
  readonly moduleLabel: string;
  /** The build's key; empty on what the cluster made: that goes with its owner. */
  readonly key: string;
  readonly attempt: number;
  /** {@link ImageBuild.terms} of the try; absent on what an older operator or the cluster made. */
  readonly terms?: string;
  readonly observation: PartObservation;
  /** The image that comes of it is not the one that was asked for: a pod of ours makes that one from it. */
  readonly isIntermediate?: true;
}

/** What every part has of its object. */
export function partOf<T extends KubeObject>(
  resource: Resource<T>,
  { metadata }: T,
): Pick<BuildPart, 'metadata' | 'resource' | 'moduleLabel'> {
  return {
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      creationTimestamp: metadata.creationTimestamp,
      ...(metadata.deletionTimestamp === undefined ? {} : { deletionTimestamp: metadata.deletionTimestamp }),
      ownerReferences: metadata.ownerReferences ?? [],
    },
    resource,
    moduleLabel: metadata.labels?.[MODULE_NAME_LABEL] ?? '',
  };
}

/** One try of a build as decisions see it. Its metadata is that of the object that was made first. */
export interface BuildRecord extends KubeObject {
  readonly key: string;
  readonly attempt: number;
  readonly terms?: string;
  /** Value of the module.name label. */
  readonly moduleLabel: string;
  /** Name of the pod that works on it. */
  readonly pod: string;
  readonly parts: readonly BuildPart[];
  readonly observation: BuildObservation;
}

/** It takes no slot any more, well or badly. */
export function hasEnded({ observation }: BuildRecord): boolean {
  return observation.phase === 'Succeeded' || observation.phase === 'Failed';
}

/**
 * Whether a try that has not begun, or has failed, is of other terms than are wanted now: raised memory, another timeout, other nodes. One that
 * runs goes on, because it may well end as it should.
 */
export function isSuperseded({ terms, observation }: BuildRecord, wanted: string): boolean {
  return (
    terms !== undefined && terms !== wanted && (observation.phase === 'Starting' || observation.phase === 'Failed')
  );
}

/** The objects of builds, and no others of ours. */
export const BUILD_SELECTOR = `${MODULE_NAME_LABEL},${ROLE_LABEL}=${IMAGE_BUILD_ROLE}`;

/** A kind that an engine makes, or that comes of one it makes: its objects are watched. */
export interface BuildKind<T extends KubeObject = KubeObject> {
  /** Of its cache, in logs and metrics. */
  readonly name: string;
  readonly resource: Resource<T>;
  readonly labelSelector: string;
  read(object: T): BuildPart;
}

export interface NewObject {
  readonly resource: Resource<KubeObject>;
  readonly object: KubeObject;
}

/** Makes the objects of builds and reads them back. All of it is pure: who creates, watches and deletes them is the image controller. */
export interface BuildEngine {
  readonly kinds: readonly BuildKind[];
  /** What is to be made now, given what there is of this try: nothing while that goes its way. */
  desired(build: ImageBuild, found: readonly BuildPart[]): readonly NewObject[];
  /** The builds that these objects, all of one Module, amount to. */
  observe(parts: readonly BuildPart[]): readonly BuildRecord[];
}
