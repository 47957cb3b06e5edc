import { type Static, Type } from 'typebox';
import { localReference, resourceRequirements, stringMap, tolerations } from './embedded.ts';
import {
  BUILD_RULES,
  GIT_URL_RULES,
  REFERENCE_RULES,
  REPOSITORY_PATH_RULES,
  SELECTOR_RULES,
  SELECTOR_VALUE_RULES,
  TIMEOUT_RULES,
  TOLERATION_RULES,
} from './validation.ts';

const secret = (description: string) =>
  localReference({ description: description, 'x-kubernetes-validations': REFERENCE_RULES });

const transfer = (verb: string, secretUse: string) =>
  Type.Object(
    {
      insecure: Type.Optional(Type.Boolean({ description: `Whether to ${verb} over plain HTTP.` })),
      insecureSkipTLSVerify: Type.Optional(
        Type.Boolean({ description: `Whether to ${verb} without checking the registry's certificate.` }),
      ),
      secret: Type.Optional(secret(secretUse)),
    },
    { description: `How to ${verb}.` },
  );

const gitSource = Type.Object(
  {
    url: Type.String({
      description: 'The repository, as an https, http, ssh or git URL, without a password.',
      minLength: 1,
      maxLength: 2048,
      'x-kubernetes-validations': GIT_URL_RULES,
    }),
    ref: Type.Optional(
      Type.String({
        description: "A branch, tag or commit. The default is the remote's HEAD.",
        minLength: 1,
        maxLength: 256,
      }),
    ),
    contextDir: Type.Optional(
      Type.String({
        description: 'The folder of the repository that is the build context.',
        maxLength: 1024,
        'x-kubernetes-validations': REPOSITORY_PATH_RULES,
      }),
    ),
    dockerfile: Type.Optional(
      Type.String({
        description: 'Path of the Dockerfile in the context. The default is Dockerfile.',
        maxLength: 1024,
        'x-kubernetes-validations': REPOSITORY_PATH_RULES,
      }),
    ),
    secret: Type.Optional(secret('Credentials: user name and password, a token, or an SSH key with known_hosts.')),
    caConfigMap: Type.Optional(
      localReference({
        description: 'ConfigMap with the certificate authority of an https URL.',
        'x-kubernetes-validations': REFERENCE_RULES,
      }),
    ),
  },
  { description: 'A Git repository that holds the Dockerfile and its context.' },
);

const buildArg = Type.Object(
  {
    name: Type.String({
      description: 'Name of the build argument.',
      minLength: 1,
      maxLength: 256,
      // Not by CEL: 128 names in each of 256 mappings are over its budget.
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
    }),
    value: Type.String({ description: 'Value of the build argument.', maxLength: 4096 }),
  },
  { description: 'One build argument.' },
);

export const buildSchema = Type.Object(
  {
    dockerfile: Type.Optional(Type.String({ description: 'The Dockerfile itself.', minLength: 1, maxLength: 131_072 })),
    dockerfileConfigMap: Type.Optional(
      localReference({
        description: 'ConfigMap that holds the Dockerfile under the key dockerfile.',
        'x-kubernetes-validations': REFERENCE_RULES,
      }),
    ),
    git: Type.Optional(gitSource),
    buildArgs: Type.Optional(
      Type.Array(buildArg, {
        description:
          'Build arguments. KERNEL_FULL_VERSION, KERNEL_VERSION, MOD_NAME, MOD_NAMESPACE and ARCH are always there and reflect ' +
          "the node's real kernel, also where a regexp matched; kmm match prints them all.",
        maxItems: 128,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    ),
    secrets: Type.Optional(
      Type.Array(secret('One Secret.'), {
        description: 'Secrets for RUN --mount=type=secret,id=NAME, also at /run/secrets/NAME; they end up in no layer.',
        maxItems: 32,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    pull: Type.Optional(
      transfer('pull the base images', 'Credentials for the base images. The default is spec.imageRepoSecret.'),
    ),
    push: Type.Optional(
      transfer('push the built image', 'Credentials for the push. The default is spec.imageRepoSecret.'),
    ),
    selector: Type.Optional(
      stringMap({
        description: 'Labels of the nodes that may run the build.',
        maxProperties: 32,
        'x-kubernetes-validations': SELECTOR_RULES,
        value: { maxLength: 63, 'x-kubernetes-validations': SELECTOR_VALUE_RULES },
      }),
    ),
    tolerations: Type.Optional(
      tolerations({
        description: 'Taints that the build tolerates.',
        maxItems: 8,
        itemRules: TOLERATION_RULES,
      }),
    ),
    resources: Type.Optional(
      resourceRequirements({ description: 'CPU and memory that the build asks for and may use.' }),
    ),
    timeout: Type.Optional(
      Type.String({
        description: 'How long a build may take, as in 90m or 1h30m. The default is 1h.',
        maxLength: 32,
        'x-kubernetes-validations': TIMEOUT_RULES,
      }),
    ),
    cache: Type.Optional(
      Type.Boolean({ description: 'Whether to keep layers for the next build. The default is true.' }),
    ),
  },
  {
    description:
      'How to build the image in the cluster, from exactly one of dockerfile, dockerfileConfigMap and git. An image that is in the ' +
      'registry already is used as it is.',
    'x-kubernetes-validations': BUILD_RULES,
  },
);

export const signSchema = Type.Object(
  {
    keySecret: secret('Secret that holds the private key under the key key.'),
    certSecret: secret('Secret that holds the certificate under the key cert.'),
    filesToSign: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
        description: 'Files to sign, as globs. The default is every *.ko under /opt and /lib/modules.',
        maxItems: 256,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    unsignedImage: Type.Optional(
      Type.String({ description: 'The image to sign when nothing is built.', minLength: 1, maxLength: 1024 }),
    ),
    pull: Type.Optional(
      transfer('pull unsignedImage', 'Credentials for unsignedImage. The default is spec.imageRepoSecret.'),
    ),
    push: Type.Optional(
      transfer('push the signed image', 'Credentials for the push. The default is spec.imageRepoSecret.'),
    ),
  },
  {
    description:
      'How to sign the kernel modules in the image, the built one or unsignedImage. Nothing unsigned is ever pushed.',
  },
);

export type Build = Static<typeof buildSchema>;
export type Sign = Static<typeof signSchema>;
