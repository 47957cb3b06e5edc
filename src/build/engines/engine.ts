import type { Pod, Toleration } from '../../kube/core.ts';
import type { KubeObject, OwnerReference } from '../../kube/objects.ts';
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
  | { readonly phase: 'Starting'; readonly since: string; readonly message?: string }
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

/** A build's object as decisions see it. */
export interface BuildRecord extends KubeObject {
  readonly key: string;
  readonly attempt: number;
  /** Value of the module.name label. */
  readonly moduleLabel: string;
  readonly observation: BuildObservation;
}

/** It takes no slot any more, well or badly. */
export function hasEnded({ observation }: BuildRecord): boolean {
  return observation.phase === 'Succeeded' || observation.phase === 'Failed';
}

/** Makes the objects of builds and reads them back. Both are pure: who creates, watches and deletes them is the image controller. */
export interface BuildEngine<T extends KubeObject = Pod> {
  desired(build: ImageBuild): T;
  observe(object: T): BuildRecord;
}
