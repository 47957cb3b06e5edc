import { buildKey } from '../pipeline/build-key.ts';
import { instructions } from '../pipeline/dockerfile.ts';
import { LABELS } from '../pipeline/labels.ts';
import { imageNames, ownReference, registryOf, unsignedReference } from '../pipeline/tags.ts';
import type { ImageBuild } from './engine.ts';
import type { BuildConfig } from './openshift-objects.ts';
import { tryAnnotations } from './pod.ts';

/** The registry within an OpenShift cluster. A Build's own ServiceAccount may push there, into its namespace. */
export const INTEGRATED_REGISTRY = 'image-registry.openshift-image-registry.svc:5000';

/** The label by which OpenShift marks the pods of Builds; they carry the labels of the BuildConfig too. */
export const BUILD_POD_LABEL = 'openshift.io/build.name';

/**
 * Whether a BuildConfig can say all of it. It takes a Dockerfile as text or from Git, so none from a ConfigMap whose content nobody of ours
 * reads; it builds, so it signs nothing that is there; certificates and plain HTTP of a registry, and an authority of a Git server, are
 * matters of the whole cluster to it; and its RUN has no secrets by id.
 */
export function fitsBuildConfig({ request, inputs }: Pick<ImageBuild, 'request' | 'inputs'>): boolean {
  const { source, pull, push } = request;
  if (source.kind === 'config-map' || source.kind === 'image') return false;
  if (inputs.gitCAConfigMap !== undefined) return false;
  if ([pull, push].some(({ insecure, insecureSkipTLSVerify }) => insecure || insecureSkipTLSVerify)) return false;
  if (imageNames(request.image) === undefined) return false;
  return source.kind === 'git' || !takesSecretsById(source.dockerfile);
}

function takesSecretsById(dockerfile: string): boolean {
  return instructions(dockerfile).some((instruction) => /^RUN\s.*--mount=\S*\btype=secret\b/is.test(instruction));
}

/**
 * A try has a name of its own: a BuildConfig that is deleted leaves its Build for a moment, and a second one of its name would want that
 * Build's name for its own.
 */
function buildConfigName({ name, attempt }: Pick<ImageBuild, 'name' | 'attempt'>): string {
  return attempt === 1 ? name : `${name}-${attempt}`;
}

export function buildConfig(build: ImageBuild): BuildConfig {
  const { request, inputs, placement } = build;
  const secret = (name: string | undefined) => (name === undefined ? undefined : { name });
  const isSigned = request.sign !== undefined;
  const reference = outputReference(build);
  // The cluster's own registry takes its own credentials; those of another would be sent in their place.
  const pushSecret = registryOf(reference) === INTEGRATED_REGISTRY ? undefined : secret(inputs.pushSecret);
  const pullSecret = secret(inputs.pullSecret);
  return {
    metadata: {
      name: buildConfigName(build),
      namespace: build.namespace,
      labels: build.labels,
      annotations: tryAnnotations(build),
      ownerReferences: [build.owner],
    },
    spec: {
      triggers: [{ type: 'ConfigChange' }],
      runPolicy: 'Serial',
      successfulBuildsHistoryLimit: 1,
      failedBuildsHistoryLimit: 1,
      source: sourceOf(build),
      strategy: {
        type: 'Docker',
        dockerStrategy: {
          buildArgs: Object.entries(request.buildArgs).map(([name, value]) => ({ name, value })),
          ...(request.source.kind === 'git' && request.source.dockerfile !== undefined
            ? { dockerfilePath: request.source.dockerfile }
            : {}),
          ...(pullSecret === undefined ? {} : { pullSecret }),
          ...(request.cache && request.trigger === undefined ? {} : { noCache: true }),
          ...(inputs.buildSecrets.length === 0
            ? {}
            : {
                volumes: inputs.buildSecrets.map((secretName, index) => ({
                  name: `secret-${index}`,
                  source: { type: 'Secret', secret: { secretName, optional: false } },
                  mounts: [{ destinationPath: `/run/secrets/${secretName}` }],
                })),
              }),
        },
      },
      output: {
        to: { kind: 'DockerImage', name: reference },
        ...(pushSecret === undefined ? {} : { pushSecret }),
        // An unsigned image must not be taken for the one that was asked for.
        ...(isSigned ? {} : { imageLabels: imageLabels(build) }),
      },
      ...(placement.resources === undefined ? {} : { resources: placement.resources }),
      completionDeadlineSeconds: build.timeoutSeconds,
      nodeSelector: placement.nodeSelector,
      mountTrustedCA: true,
    },
  };
}

function sourceOf({ request: { source }, inputs }: ImageBuild): BuildConfig['spec']['source'] {
  switch (source.kind) {
    case 'git':
      return {
        type: 'Git',
        git: { uri: source.url, ...(source.ref === undefined ? {} : { ref: source.ref }) },
        ...(source.contextDir === undefined ? {} : { contextDir: source.contextDir }),
        ...(inputs.gitSecret === undefined ? {} : { sourceSecret: { name: inputs.gitSecret } }),
      };
    case 'inline':
      return { type: 'Dockerfile', dockerfile: source.dockerfile };
    case 'config-map':
    case 'image':
      throw new Error(`a BuildConfig builds from no ${source.kind}`);
  }
}

/** As a build pod would name it: the user's own reference, or where kernels share that, one of this kernel's own. */
function outputReference({ request, key }: ImageBuild): string {
  if (request.sign !== undefined) return unsignedReference(request.image, request, key);
  if (request.shared) return ownReference(request.image, request, imageKey({ request, key }));
  return imageNames(request.image)?.users ?? request.image;
}

/** The build key where it can be known before the build: of a Git source it takes the commit, and then the request's own stands for it. */
function imageKey({ request, key }: Pick<ImageBuild, 'request' | 'key'>): string {
  const { source } = request;
  return source.kind === 'inline' ? buildKey(request, { kind: 'dockerfile', text: source.dockerfile }, undefined) : key;
}

function imageLabels(build: ImageBuild): readonly { readonly name: string; readonly value: string }[] {
  return [
    { name: LABELS.buildKey, value: imageKey(build) },
    { name: LABELS.kernel, value: build.request.kernel },
    { name: LABELS.arch, value: build.request.arch },
  ];
}
