import { hash } from 'node:crypto';
import { parseDuration } from '../../api/duration.ts';
import { IMAGE_BUILD_ROLE } from '../../api/labels.ts';
import type { Module } from '../../api/module.ts';
import type { NormalizedMapping, NormalizedModule } from '../../api/normalize.ts';
import type { BuildInputs, BuildPlacement, ImageBuild } from '../../build/engines/engine.ts';
import type { BuildRequest, BuildSource, RegistryAccess } from '../../build/pipeline/request.ts';
import { BoundedCache } from '../../kernel/bounded-cache.ts';
import { buildVariables } from '../../kernel/build-variables.ts';
import { type ClusterRegistry, pushProblem } from '../../kernel/cluster-registry.ts';
import { imageReferenceProblem } from '../../kernel/image-reference.ts';
import { objectName } from '../../kernel/names.ts';
import { expandTemplate, templateValues } from '../../kernel/template.ts';
import { hashOfInputs } from '../identity.ts';
import { ownerReference, recommendedLabels, selectingLabels } from '../object-labels.ts';
import { type DriverToolkitImage, DTK_AUTO } from './driver-toolkit.ts';

/** A kernel whose mapping says how to build or to sign its image. */
export interface ImageSubject {
  readonly module: Module;
  readonly spec: NormalizedModule;
  readonly mapping: NormalizedMapping;
  readonly kernel: string;
  readonly arch: string;
  /** The mapping's image, with its variables filled in. */
  readonly image: string;
  /** Whether another kernel may get the same reference. */
  readonly shared: boolean;
  readonly registry?: ClusterRegistry;
  /** The ConfigMap of the Dockerfile, where there is one: edited, it is another build. */
  readonly dockerfileVersion?: { readonly uid: string; readonly resourceVersion: string };
  /** OpenShift's image for building drivers; absent on other clusters. */
  readonly driverToolkit?: DriverToolkitImage;
}

export type ImageBuildResult =
  | {
      readonly ok: true;
      readonly build: ImageBuild;
      /** Why it must not begin yet, as one sentence without a full stop. */
      readonly obstacle?: string;
    }
  /** One sentence without a full stop, which begins with the field. */
  | { readonly ok: false; readonly problem: string };

const DEFAULT_TIMEOUT_SECONDS = 3_600;
const TERMS_LENGTH = 10;

/** What is to be built for one kernel, named by everything the operator can see that decides it. */
export function imageBuild(subject: ImageSubject): ImageBuildResult {
  const { module, spec, mapping, kernel, arch, image, shared, registry } = subject;
  const { build, sign } = mapping;
  const identity = { name: module.metadata.name ?? '', namespace: module.metadata.namespace ?? '' };
  const values = templateValues({ kernel, arch, module: identity });
  const problem = registry === undefined ? undefined : pushProblem(registry, image, identity.namespace);
  if (problem !== undefined) return { ok: false, problem: `containerImage: ${problem}` };
  const source = sourceOf(mapping, values);
  if (!source.ok) return source;
  const filesToSign: string[] = [];
  for (const [index, glob] of (sign?.filesToSign ?? []).entries()) {
    const expansion = expandTemplate(glob, values, (value) => value);
    if (!expansion.ok) return { ok: false, problem: `sign.filesToSign[${index}]: ${expansion.problem}` };
    filesToSign.push(expansion.text);
  }
  const transfers = build ?? sign;
  const request: BuildRequest = {
    image,
    shared,
    kernel,
    arch,
    module: identity,
    source: source.source,
    buildArgs: { ...buildVariables({ kernel, arch, module: identity, mapping }).buildArgs },
    secrets: (build?.secrets ?? []).flatMap(({ name }) => name ?? []),
    pull: access(transfers?.pull),
    push: access(transfers?.push),
    ...(sign === undefined ? {} : { sign: filesToSign.length === 0 ? {} : { filesToSign } }),
    cache: build?.cache ?? true,
    ...(spec.rebuildTrigger === undefined ? {} : { trigger: spec.rebuildTrigger }),
  };
  const tooLarge = sizeProblem(request);
  if (tooLarge !== undefined) return { ok: false, problem: tooLarge };
  const inputs = inputsOf(spec, mapping);
  const key = requestKey(subject, request, inputs);
  const { buildArgs, obstacle } = withDriverToolkit(request, subject.driverToolkit);
  const placement = placementOf(spec, mapping, arch);
  const seconds = timeoutSeconds(build?.timeout);
  return {
    ok: true,
    ...(obstacle === undefined ? {} : { obstacle }),
    build: {
      key,
      attempt: 1,
      name: objectName({ parts: [identity.name, 'build', kernel], hash: key.slice(0, 10) }),
      namespace: identity.namespace,
      labels: { ...selectingLabels(module, IMAGE_BUILD_ROLE), ...recommendedLabels(module, IMAGE_BUILD_ROLE) },
      owner: ownerReference(module),
      request: { ...request, buildArgs },
      inputs,
      placement,
      timeoutSeconds: seconds,
      terms: hashOfInputs({ placement, seconds }).slice(0, TERMS_LENGTH),
    },
  };
}

/**
 * Bytes of JSON. A build pod has its request in an annotation, and 256 KiB are what all annotations of an object may come to; the rest is for
 * the others, of which an authority's certificates are the largest. Source: k8s.io/apimachinery, api/validation, TotalAnnotationSizeLimitB.
 */
const LARGEST_REQUEST = 240 * 1024;
/** What a character comes to at most, as JSON in UTF-8: \u0001. */
const MOST_BYTES_OF_A_CHARACTER = 6;

function sizeProblem(request: BuildRequest): string | undefined {
  const { source, buildArgs, sign } = request;
  const texts = [
    ...(source.kind === 'inline' ? [source.dockerfile] : []),
    ...Object.values(buildArgs),
    ...(sign?.filesToSign ?? []),
  ];
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  // Nearly always, and then nobody has to write it down to know its size.
  if (characters * MOST_BYTES_OF_A_CHARACTER < LARGEST_REQUEST / 2) return undefined;
  const size = Buffer.byteLength(JSON.stringify(request));
  if (size <= LARGEST_REQUEST) return undefined;
  const [is, most] = [size, LARGEST_REQUEST].map((bytes) => Math.ceil(bytes / 1024));
  return `build: dockerfile, buildArgs and sign.filesToSign come to ${is} KiB as JSON, and a build can be told ${most} KiB at most: put the Dockerfile into a ConfigMap or a Git repository, and long values into files`;
}

/**
 * The same key is the same image, so what does not decide the image is left out: where the pod runs, how long it may take, and whether
 * another kernel has come that shares the reference.
 */
function requestKey({ module, dockerfileVersion }: ImageSubject, request: BuildRequest, inputs: BuildInputs): string {
  const { shared: _shared, cache: _cache, source, ...decisive } = request;
  const brief = source.kind === 'inline' ? { ...source, dockerfile: digestOf(source.dockerfile) } : source;
  return hashOfInputs({ module: module.metadata.uid, request: decisive, source: brief, inputs, dockerfileVersion });
}

/** Bytes, about: that many Dockerfiles of the largest size that admission lets through, and more of the usual. */
const REMEMBERED_TEXT = 4 * 1024 * 1024;
const digests = new BoundedCache<string>({ entries: 256, weight: REMEMBERED_TEXT });

/** A mapping's Dockerfile is the same for all its kernels and from one reconcile to the next, and hashing it is most of what a request key costs. */
function digestOf(text: string): string {
  const known = digests.get(text);
  if (known !== undefined) return known;
  const digest = hash('sha256', text, 'hex');
  digests.set(text, digest, text.length);
  return digest;
}

/**
 * The build arguments with DTK_AUTO. A Dockerfile that stands in the Module and asks for it is not built without; what stands in a
 * ConfigMap or in Git nobody reads here, so it gets it where there is one. It is no part of the request key: the kernel decides it, and an
 * ImageStream that is written anew must build nothing again.
 */
function withDriverToolkit(
  { source, buildArgs }: BuildRequest,
  toolkit: DriverToolkitImage | undefined,
): { readonly buildArgs: BuildRequest['buildArgs']; readonly obstacle?: string } {
  const isInline = source.kind === 'inline';
  const isWanted = isInline ? /\bDTK_AUTO\b/.test(source.dockerfile) : source.kind !== 'image';
  // The user's own comes first: it is the way out where no tag fits.
  if (toolkit === undefined || !isWanted || Object.hasOwn(buildArgs, DTK_AUTO)) return { buildArgs };
  if (toolkit.ok) return { buildArgs: { ...buildArgs, [DTK_AUTO]: toolkit.image } };
  return isInline
    ? { buildArgs, obstacle: `build.dockerfile asks for ${DTK_AUTO}, and ${toolkit.problem}` }
    : { buildArgs };
}

type SourceResult =
  | { readonly ok: true; readonly source: BuildSource }
  | { readonly ok: false; readonly problem: string };

function sourceOf({ build, sign }: NormalizedMapping, values: ReturnType<typeof templateValues>): SourceResult {
  if (build?.git !== undefined) {
    const { url, ref, contextDir, dockerfile } = build.git;
    return {
      ok: true,
      source: {
        kind: 'git',
        url,
        ...(ref === undefined ? {} : { ref }),
        ...(contextDir === undefined ? {} : { contextDir }),
        ...(dockerfile === undefined ? {} : { dockerfile }),
      },
    };
  }
  if (build?.dockerfileConfigMap !== undefined) return { ok: true, source: { kind: 'config-map' } };
  if (build?.dockerfile !== undefined) return { ok: true, source: { kind: 'inline', dockerfile: build.dockerfile } };
  if (build !== undefined) return { ok: false, problem: 'build: write one of dockerfile, dockerfileConfigMap and git' };
  const unsigned = sign?.unsignedImage;
  if (unsigned === undefined) {
    return { ok: false, problem: 'sign.unsignedImage: write the image to sign, or say in build how to make one' };
  }
  const expansion = expandTemplate(unsigned, values);
  const problem = expansion.ok ? imageReferenceProblem(expansion.text) : expansion.problem;
  if (!expansion.ok || problem !== undefined) return { ok: false, problem: `sign.unsignedImage: ${problem}` };
  return { ok: true, source: { kind: 'image', reference: expansion.text } };
}

function access(given: { readonly insecure?: boolean; readonly insecureSkipTLSVerify?: boolean } = {}): RegistryAccess {
  return { insecure: given.insecure ?? false, insecureSkipTLSVerify: given.insecureSkipTLSVerify ?? false };
}

function inputsOf({ imageRepoSecret }: NormalizedModule, { build, sign }: NormalizedMapping): BuildInputs {
  const named = <K extends string>(key: K, ...names: readonly (string | undefined)[]): Partial<Record<K, string>> => {
    const name = names.find((each) => each !== undefined && each !== '');
    const field: Partial<Record<K, string>> = {};
    if (name !== undefined) field[key] = name;
    return field;
  };
  return {
    ...named('dockerfileConfigMap', build?.dockerfileConfigMap?.name),
    ...named('gitSecret', build?.git?.secret?.name),
    ...named('gitCAConfigMap', build?.git?.caConfigMap?.name),
    ...named('pullSecret', (build ?? sign)?.pull?.secret?.name, imageRepoSecret),
    ...named('pushSecret', (build ?? sign)?.push?.secret?.name, imageRepoSecret),
    buildSecrets: (build?.secrets ?? []).flatMap(({ name }) => name ?? []),
    ...named('signKeySecret', sign?.keySecret.name),
    ...named('signCertSecret', sign?.certSecret.name),
  };
}

/** A build is compiled for the architecture it runs on, so it runs on a node of that one. */
function placementOf(spec: NormalizedModule, { build }: NormalizedMapping, arch: string): BuildPlacement {
  const { resources } = build ?? {};
  return {
    nodeSelector: { ...build?.selector, 'kubernetes.io/arch': arch, 'kubernetes.io/os': 'linux' },
    tolerations: build?.tolerations ?? spec.tolerations,
    ...(resources === undefined ? {} : { resources: { ...resources } }),
  };
}

/** Admission has seen to it that it can be read. */
function timeoutSeconds(text: string | undefined): number {
  const ms = parseDuration(text ?? '');
  return ms === undefined ? DEFAULT_TIMEOUT_SECONDS : Math.max(1, Math.round(ms / 1_000));
}
