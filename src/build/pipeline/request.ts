import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';

/** Bounds are those of the CRD; here they only keep a request that nobody of ours wrote from being acted on. */
const text = (maxLength: number) => Type.String({ minLength: 1, maxLength });

const registrySchema = Type.Object({
  /** Plain HTTP. */
  insecure: Type.Boolean(),
  /** HTTPS whose certificate nobody checks. */
  insecureSkipTLSVerify: Type.Boolean(),
});

const gitSourceSchema = Type.Object({
  kind: Type.Literal('git'),
  url: text(2048),
  /** Branch, tag or commit; absent: the remote's HEAD. */
  ref: Type.Optional(text(256)),
  /** Folder of the checkout that is the build context; absent: its root. */
  contextDir: Type.Optional(Type.String({ maxLength: 1024 })),
  /** Path of the Dockerfile in the context; absent: `Dockerfile`. */
  dockerfile: Type.Optional(Type.String({ maxLength: 1024 })),
});

const sourceSchema = Type.Union([
  Type.Object({ kind: Type.Literal('inline'), dockerfile: text(131_072) }),
  /** The text is a file of the pod ({@link buildFiles}): the operator never reads the ConfigMap. */
  Type.Object({ kind: Type.Literal('config-map') }),
  gitSourceSchema,
  /** Nothing is built: an image that is there is signed. */
  Type.Object({ kind: Type.Literal('image'), reference: text(1024) }),
]);

export const buildRequestSchema = Type.Object({
  /** The image that the user's mapping names for this kernel: `[registry/]repository[:tag]`. */
  image: text(1024),
  /** Another kernel resolves to the same reference: then the reference itself is never written, only a tag of this kernel's own. */
  shared: Type.Boolean(),
  /** As `uname -r` prints it. */
  kernel: text(256),
  /** In Go's words: amd64, arm64. */
  arch: text(32),
  module: Type.Object({ name: text(253), namespace: text(63) }),
  source: sourceSchema,
  /** All of them, the operator's own too. */
  buildArgs: Type.Record(Type.String(), Type.String()),
  /** Names of Secrets, each a folder of the pod. */
  secrets: Type.Array(text(253), { maxItems: 32 }),
  pull: registrySchema,
  push: registrySchema,
  /** Globs of files in the image; absent in `sign`: every `.ko` below /opt and /lib/modules. */
  sign: Type.Optional(Type.Object({ filesToSign: Type.Optional(Type.Array(text(1024), { maxItems: 256 })) })),
  /** Whether layers are kept beside the image for the next build. */
  cache: Type.Boolean(),
  /** The cluster's own registry, by the host that nodes know and that builds know: `FROM` lines may have either. */
  clusterRegistry: Type.Optional(Type.Object({ pull: text(255), push: text(255) })),
  /** spec.imageRebuildTriggerGeneration. */
  trigger: Type.Optional(Type.Integer()),
});

/** What a build pod is told to do, without any secret: those are files ({@link buildFiles}). It travels as an annotation of the pod. */
export type BuildRequest = Static<typeof buildRequestSchema>;
export type BuildSource = BuildRequest['source'];
export type GitSource = Static<typeof gitSourceSchema>;
export type RegistryAccess = Static<typeof registrySchema>;

/** The field of the mapping that says how to pull and push. */
export function sectionOf({ source }: BuildRequest): 'build' | 'sign' {
  return source.kind === 'image' ? 'sign' : 'build';
}

/** @throws Error in one sentence that names the first field which is not as it should be */
export function parseBuildRequest(json: string): BuildRequest {
  const value: unknown = JSON.parse(json);
  if (Check(buildRequestSchema, value)) return value;
  const [first] = Errors(buildRequestSchema, value);
  throw new Error(`the build request cannot be read: ${first?.instancePath ?? ''} ${first?.message ?? ''}`);
}
