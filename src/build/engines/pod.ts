import { GROUP_PREFIX, IMAGE_BUILD_ROLE, ROLE_LABEL } from '../../api/labels.ts';
import { type Container, PODS, type Pod, type Volume, type VolumeMount } from '../../kube/core.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { BUILD_FILES_ROOT } from '../pipeline/files.ts';
import type { ContainerStage } from '../pipeline/stages.ts';
import { type BuildRegistry, observationOfRegistry, requestToRegistry, stagesWithToken } from './cluster-registry.ts';
import {
  BUILD_SELECTOR,
  type BuildEngine,
  type BuildInputs,
  type BuildKind,
  type BuildPart,
  type BuildRecord,
  type ImageBuild,
  partOf,
} from './engine.ts';
import { observePod } from './pod-observation.ts';
import { type BuildIsolation, podSecurity } from './pod-security.ts';

/** On build pods: what the build is to do, as JSON; whoever makes a request keeps it small enough for an annotation. */
export const REQUEST_ANNOTATION = `${GROUP_PREFIX}build-request`;
/** On build pods and BuildConfigs: hash of everything the operator sees that decides the image. */
const REQUEST_KEY_ANNOTATION = `${GROUP_PREFIX}build-key`;
/** On build pods and BuildConfigs: 1 for the first try. */
const ATTEMPT_ANNOTATION = `${GROUP_PREFIX}build-attempt`;

/** On build pods and BuildConfigs: {@link ImageBuild.terms}. */
const TERMS_ANNOTATION = `${GROUP_PREFIX}build-terms`;

export interface PodEngineOptions {
  readonly builderImage: string;
  /** For a build on the nodes that have these labels. */
  readonly isolation: (nodeSelector: Readonly<Record<string, string>>) => BuildIsolation;
  /** ConfigMap, in the namespace of each Module that builds, with `registries.conf` and certificate authorities as `*.crt`; may be missing. */
  readonly registriesConfigMap?: string;
  readonly registry?: BuildRegistry;
}

/** On build pods: the certificate authority of the cluster's own registry, PEM. */
export const REGISTRY_CA_ANNOTATION = `${GROUP_PREFIX}build-registry-ca`;

/** How long a token is good for; the kubelet brings a new one before its end. */
const TOKEN_SECONDS = 3_600;

/**
 * Where the container tools note which layer is in which registry, in which form; no option of theirs names another place. Where they cannot
 * write, every push compresses every layer of the base image anew. Source: c/image, pkg/blobinfocache, systemBlobInfoCacheDir.
 */
const BLOB_INFO_CACHE = '/var/lib/containers/cache';

const WORK_FOLDER = '/var/lib/kmm-build';

/** Builds by a pod of ours that runs `kmm build-image`. */
export function podEngine(options: PodEngineOptions): BuildEngine {
  return {
    kinds: [buildPods(options.registry)],
    desired: (build, found) => (found.length > 0 ? [] : [{ resource: PODS, object: buildPod(build, options) }]),
    observe: (parts) => parts.flatMap(podRecord),
  };
}

/** Which build an object of ours is of, and which try of it. */
export function tryOf({ metadata: { annotations } }: KubeObject): Pick<BuildPart, 'key' | 'attempt' | 'terms'> {
  const terms = annotations?.[TERMS_ANNOTATION];
  return {
    key: annotations?.[REQUEST_KEY_ANNOTATION] ?? '',
    attempt: Number(annotations?.[ATTEMPT_ANNOTATION]) || 1,
    ...(terms === undefined ? {} : { terms }),
  };
}

/** What {@link tryOf} reads. */
export function tryAnnotations({ key, attempt, terms }: ImageBuild): Readonly<Record<string, string>> {
  return {
    [REQUEST_KEY_ANNOTATION]: key,
    [ATTEMPT_ANNOTATION]: String(attempt),
    [TERMS_ANNOTATION]: terms,
  };
}

/** The pods that the operator makes for builds. */
export function buildPods(registry: BuildRegistry | undefined): BuildKind<Pod> {
  return {
    name: 'buildPods',
    resource: PODS,
    labelSelector: BUILD_SELECTOR,
    read: (pod) => ({
      ...partOf(PODS, pod),
      ...tryOf(pod),
      observation: registry === undefined ? observePod(pod) : observationOfRegistry(observePod(pod), registry),
    }),
  };
}

/** The build that a pod does from its beginning to its end. */
export function podRecord(part: BuildPart): BuildRecord[] {
  const { metadata, moduleLabel, key, attempt, terms, observation } = part;
  // A pod of somebody else's that has the labels is no build of ours.
  if (observation.phase === 'Made' || key === '') return [];
  const record = { metadata, moduleLabel, key, attempt, pod: metadata.name ?? '', parts: [part], observation };
  return [terms === undefined ? record : { ...record, terms }];
}

/** Builds for several kernels at once compile beside each other on one node only where no other is to be had. */
const SPREAD = {
  maxSkew: 1,
  topologyKey: 'kubernetes.io/hostname',
  whenUnsatisfiable: 'ScheduleAnyway',
  labelSelector: { matchLabels: { [ROLE_LABEL]: IMAGE_BUILD_ROLE } },
};

/**
 * The pod: a container for each stage, one after the other. The code of a Dockerfile runs in `build`, which never has the key that
 * signs; what it may see is what its build was given.
 */
export function buildPod(build: ImageBuild, options: PodEngineOptions): Pod {
  const { inputs, placement } = build;
  const { registry } = options;
  const request = registry === undefined ? build.request : requestToRegistry(build.request, registry);
  const authority = registry?.authority();
  const security = podSecurity(options.isolation(placement.nodeSelector));
  const tokenStages = registry === undefined ? [] : stagesWithToken(request, registry);
  const container = (stage: ContainerStage, mounts: readonly VolumeMount[]): Container => ({
    name: stage,
    image: options.builderImage,
    args: ['build-image', '--stage', stage],
    // Never an error log's end in the place of the report.
    terminationMessagePolicy: 'File',
    securityContext: security.container,
    ...(placement.resources === undefined ? {} : { resources: placement.resources }),
    volumeMounts: [
      { name: 'request', mountPath: `${BUILD_FILES_ROOT}/request`, readOnly: true },
      { name: 'work', mountPath: WORK_FOLDER },
      { name: 'temporary', mountPath: '/tmp' },
      { name: 'temporary', mountPath: '/var/tmp' },
      { name: 'known-blobs', mountPath: BLOB_INFO_CACHE },
      ...mounts,
    ],
  });
  const volumes = [...inputVolumes(inputs, options.registriesConfigMap), ...tokenVolume(tokenStages, registry)];
  const mountsFor = (stage: ContainerStage): VolumeMount[] =>
    volumes.flatMap(({ volume, path, stages }) =>
      stages.includes(stage) ? [{ name: volume.name, mountPath: `${BUILD_FILES_ROOT}/${path}`, readOnly: true }] : [],
    );
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: build.name,
      namespace: build.namespace,
      labels: build.labels,
      annotations: {
        [REQUEST_ANNOTATION]: JSON.stringify(request),
        ...tryAnnotations(build),
        ...(authority === undefined ? {} : { [REGISTRY_CA_ANNOTATION]: authority }),
      },
      ownerReferences: [build.owner],
    },
    spec: {
      ...(security.hostUsers === undefined ? {} : { hostUsers: security.hostUsers }),
      restartPolicy: 'Never',
      activeDeadlineSeconds: build.timeoutSeconds,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 30,
      nodeSelector: placement.nodeSelector,
      tolerations: placement.tolerations,
      topologySpreadConstraints: [SPREAD],
      ...(inputs.pullSecret === undefined ? {} : { imagePullSecrets: [{ name: inputs.pullSecret }] }),
      initContainers: [
        ...(tokenStages.includes('check') ? [container('check', mountsFor('check'))] : []),
        container('build', mountsFor('build')),
        ...(request.sign === undefined ? [] : [container('sign', mountsFor('sign'))]),
      ],
      containers: [container('push', mountsFor('push'))],
      volumes: [
        {
          name: 'request',
          downwardAPI: {
            items: [
              annotationFile('request.json', REQUEST_ANNOTATION),
              ...(authority === undefined ? [] : [annotationFile('cluster-registry-ca.crt', REGISTRY_CA_ANNOTATION)]),
            ],
          },
        },
        { name: 'work', emptyDir: {} },
        { name: 'temporary', emptyDir: {} },
        { name: 'known-blobs', emptyDir: {} },
        ...volumes.map(({ volume }) => volume),
      ],
    },
  };
}

interface InputVolume {
  readonly volume: Volume;
  /** Below the root of the build's files. */
  readonly path: string;
  readonly stages: readonly ContainerStage[];
}

function annotationFile(path: string, annotation: string) {
  return { path, fieldRef: { fieldPath: `metadata.annotations['${annotation}']` } };
}

function tokenVolume(stages: readonly ContainerStage[], registry: BuildRegistry | undefined): InputVolume[] {
  if (registry === undefined || stages.length === 0) return [];
  const { audience } = registry;
  const serviceAccountToken = {
    path: 'token',
    expirationSeconds: TOKEN_SECONDS,
    ...(audience === undefined ? {} : { audience }),
  };
  const name = 'cluster-registry-token';
  return [
    { volume: { name, projected: { sources: [{ serviceAccountToken }], defaultMode: 0o400 } }, path: name, stages },
  ];
}

function inputVolumes(inputs: BuildInputs, registriesConfigMap: string | undefined): InputVolume[] {
  const volumes: InputVolume[] = [];
  const secret = (
    name: string,
    secretName: string | undefined,
    stages: readonly ContainerStage[],
    { path = name, key }: { readonly path?: string; readonly key?: string } = {},
  ): void => {
    const items = key === undefined ? {} : { items: [{ key, path: key }] };
    // 0400: only root, whom the tools run as. The kubelet waits for a Secret, or a key of one, that is not there yet.
    if (secretName !== undefined)
      volumes.push({ volume: { name, secret: { secretName, ...items, defaultMode: 0o400 } }, path, stages });
  };
  const configMap = (
    name: string,
    configMapName: string | undefined,
    stages: readonly ContainerStage[],
    optional = false,
  ) => {
    if (configMapName !== undefined)
      volumes.push({
        volume: { name, configMap: { name: configMapName, ...(optional ? { optional } : {}) } },
        path: name,
        stages,
      });
  };
  configMap('dockerfile', inputs.dockerfileConfigMap, ['check', 'build']);
  secret('git-secret', inputs.gitSecret, ['check', 'build']);
  configMap('git-ca', inputs.gitCAConfigMap, ['check', 'build']);
  secret('pull-secret', inputs.pullSecret, ['build']);
  // The build looks whether the image is there, and keeps layers beside it.
  secret('push-secret', inputs.pushSecret, ['check', 'build', 'push']);
  for (const [index, name] of inputs.buildSecrets.entries()) {
    secret(`build-secret-${index}`, name, ['build'], { path: `build-secrets/${name}` });
  }
  secret('sign-key', inputs.signKeySecret, ['sign']);
  // The key that signs may lie in the same Secret, and the code of a Dockerfile runs where the certificate is.
  secret('sign-cert', inputs.signCertSecret, ['check', 'build', 'sign', 'push'], { key: 'cert' });
  configMap('registries', registriesConfigMap, ['check', 'build', 'push'], true);
  return volumes;
}
