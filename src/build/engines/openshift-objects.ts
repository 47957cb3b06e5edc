/**
 * OpenShift's kinds, with the fields that are written or read here.
 * Source: github.com/openshift/api, build/v1/types.go and image/v1/types.go.
 */
import type { KubeObject } from '../../kube/objects.ts';
import { defineResource } from '../../kube/resources.ts';

const BUILD_GROUP = 'build.openshift.io';

interface LocalReference {
  readonly name: string;
}

interface BuildVolume {
  readonly name: string;
  readonly source: {
    readonly type: 'Secret';
    readonly secret: { readonly secretName: string; readonly optional: false };
  };
  readonly mounts: readonly { readonly destinationPath: string }[];
}

/** What BuildConfig and Build have in common: CommonSpec. */
interface CommonSpec {
  readonly source: {
    readonly type: 'Git' | 'Dockerfile';
    readonly dockerfile?: string;
    readonly git?: { readonly uri: string; readonly ref?: string };
    readonly contextDir?: string;
    readonly sourceSecret?: LocalReference;
  };
  readonly strategy: {
    readonly type: 'Docker';
    readonly dockerStrategy: {
      readonly buildArgs: readonly { readonly name: string; readonly value: string }[];
      /** Below contextDir. */
      readonly dockerfilePath?: string;
      readonly pullSecret?: LocalReference;
      readonly noCache?: boolean;
      readonly volumes?: readonly BuildVolume[];
    };
  };
  readonly output: {
    readonly to: { readonly kind: 'DockerImage'; readonly name: string };
    readonly pushSecret?: LocalReference;
    readonly imageLabels?: readonly { readonly name: string; readonly value: string }[];
  };
  readonly resources?: Readonly<Record<string, unknown>>;
  /** From when its pod is on a node. */
  readonly completionDeadlineSeconds?: number;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly mountTrustedCA?: boolean;
}

export interface BuildConfig extends KubeObject {
  readonly spec: CommonSpec & {
    readonly triggers: readonly { readonly type: 'ConfigChange' }[];
    readonly runPolicy: 'Serial';
    readonly successfulBuildsHistoryLimit: number;
    readonly failedBuildsHistoryLimit: number;
  };
}

export interface Build extends KubeObject {
  readonly spec?: Partial<CommonSpec> & { readonly revision?: { readonly git?: { readonly commit?: string } } };
  readonly status?: {
    readonly phase?: string;
    readonly reason?: string;
    readonly message?: string;
    readonly startTimestamp?: string;
    readonly completionTimestamp?: string;
    /** The last lines of the log of a build that failed. */
    readonly logSnippet?: string;
    readonly outputDockerImageReference?: string;
    readonly output?: { readonly to?: { readonly imageDigest?: string } };
    readonly stages?: readonly { readonly name?: string; readonly durationMilliseconds?: number }[];
  };
}

export interface ImageStream extends KubeObject {
  readonly spec?: {
    readonly tags?: readonly {
      readonly name: string;
      readonly from?: { readonly kind?: string; readonly name?: string };
    }[];
  };
}

export const BUILD_CONFIGS = defineResource<BuildConfig>({
  group: BUILD_GROUP,
  version: 'v1',
  kind: 'BuildConfig',
  plural: 'buildconfigs',
  namespaced: true,
});

export const BUILDS = defineResource<Build>({
  group: BUILD_GROUP,
  version: 'v1',
  kind: 'Build',
  plural: 'builds',
  namespaced: true,
});

export const IMAGE_STREAMS = defineResource<ImageStream>({
  group: 'image.openshift.io',
  version: 'v1',
  kind: 'ImageStream',
  plural: 'imagestreams',
  namespaced: true,
});
