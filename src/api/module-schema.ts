/**
 * The Module API: the one source of its CRD, of its TypeScript types (module.ts) and of docs/reference/api.md.
 *
 * Two forms share the kind. The driver container form is described field by field; of the modprobe form, which KMM 2.x users have
 * stored, every key is accepted and kept whole, so that installing this CRD over theirs prunes nothing.
 */
import { type Static, Type } from 'typebox';
import { TEMPLATE_VARIABLES } from '../kernel/template.ts';
import { buildSchema, signSchema } from './build-schema.ts';
import {
  containerWith,
  intOrString,
  localReference,
  storedWhole,
  stringMap,
  tolerations,
  volumes,
} from './embedded.ts';
import { statusSchema } from './status-schema.ts';
import {
  IMAGE_TEMPLATE_RULES,
  LOADER_MOUNT_PATH_RULES,
  MAPPING_RULES,
  MAX_UNAVAILABLE_RULES,
  PLUGIN_MOUNT_PATH_RULES,
  REFERENCE_RULES,
  REGEXP_RULES,
  SELECTOR_RULES,
  SELECTOR_VALUE_RULES,
  SPEC_RULES,
  TOLERATION_RULES,
  VOLUME_NAME_RULES,
} from './validation.ts';

const NOT_SUPPORTED_YET =
  'Part of the modprobe form of KMM 2.x: stored whole, not acted on yet (Degraded, reason NotSupportedYet).';

const kernelMappingSchema = Type.Object(
  {
    literal: Type.Optional(
      Type.String({
        description: 'The kernel release this mapping is for, exactly as uname -r prints it on the node.',
        minLength: 1,
        maxLength: 256,
      }),
    ),
    regexp: Type.Optional(
      Type.String({
        description:
          'An RE2 pattern for the kernel releases this mapping is for. It may match anywhere in the release: write ^ and $ to match all of it.',
        minLength: 1,
        maxLength: 1024,
        'x-kubernetes-validations': REGEXP_RULES,
      }),
    ),
    containerImage: Type.Optional(
      Type.String({
        description:
          `The image of the module loader for these kernels. Variables: ${TEMPLATE_VARIABLES.join(', ')}, ` +
          'written ${NAME} or ${NAME:-default}; characters that a tag cannot hold become _. It may be left out where build or sign says how ' +
          'to make it and the cluster serves a registry: then it is NAMESPACE/MODULE:KERNEL there.',

        minLength: 1,
        maxLength: 1024,
        'x-kubernetes-validations': IMAGE_TEMPLATE_RULES,
      }),
    ),
    build: Type.Optional(buildSchema),
    sign: Type.Optional(signSchema),
  },
  {
    description: 'Maps the kernels that literal or regexp names to an image.',
    'x-kubernetes-validations': MAPPING_RULES,
  },
);

const moduleLoaderSchema = containerWith(
  Type.Object({
    serviceAccountName: Type.Optional(
      Type.String({
        description: "The ServiceAccount of the loader's pods; its token is not mounted. The default is default.",
        maxLength: 253,
      }),
    ),
    terminationGracePeriodSeconds: Type.Optional(
      Type.Integer({
        description:
          'How many seconds the loader has for unloading the module when its pod is deleted. The default is 120.',
        format: 'int64',
        minimum: 1,
        maximum: 86_400,
      }),
    ),
    container: Type.Optional(storedWhole({ description: NOT_SUPPORTED_YET })),
  }),
  {
    description:
      'The container that loads the module: it loads it in its entrypoint (or a postStart hook), stays up, and unloads it on SIGTERM ' +
      '(or in a preStop hook). It is a Container whose name and image are overwritten: the image comes from the mapping that matches ' +
      "the node's kernel. It is not privileged: by default it runs as user 0 with the capability SYS_MODULE alone. The host's " +
      '/lib/modules is mounted read-only at /lib/modules and /usr/lib/modules, which hides what the image has there.',
    mountPathRules: LOADER_MOUNT_PATH_RULES,
  },
);

const devicePluginSchema = containerWith(
  Type.Object({
    serviceAccountName: Type.Optional(
      Type.String({
        description: "The ServiceAccount of the device plugin's pods. The default is default.",
        maxLength: 253,
      }),
    ),
    container: Type.Optional(storedWhole({ description: NOT_SUPPORTED_YET })),
    initContainer: Type.Optional(storedWhole({ description: NOT_SUPPORTED_YET })),
    volumes: Type.Optional(
      Type.Array(storedWhole({}), { description: NOT_SUPPORTED_YET, 'x-kubernetes-list-type': 'atomic' }),
    ),
    automountServiceAccountToken: Type.Optional(Type.Boolean({ description: NOT_SUPPORTED_YET })),
  }),
  {
    description:
      'The device plugin, which runs only on nodes where the module is loaded. It is a Container whose name is overwritten. It is ' +
      "privileged, and the host's /var/lib/kubelet/device-plugins is mounted at the same path.",
    mountPathRules: PLUGIN_MOUNT_PATH_RULES,
  },
);

export const specSchema = Type.Object(
  {
    selector: stringMap({
      description:
        'The labels of the nodes that get the module; a node needs all of them. An empty selector ({}) means every node. ' +
        'Values are strings: quote true, false and numbers.',
      maxProperties: 64,
      // Longer than a label value may be, so that the rule's sentence says what is wrong.
      value: { maxLength: 253, 'x-kubernetes-validations': SELECTOR_VALUE_RULES },
      'x-kubernetes-validations': SELECTOR_RULES,
    }),
    kernelMappings: Type.Optional(
      Type.Array(kernelMappingSchema, {
        description:
          'Which image is for which kernel. They are tried in this order and the first that matches wins; a node whose kernel matches ' +
          'none gets nothing and is counted in status.',
        minItems: 1,
        maxItems: 256,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    moduleLoader: Type.Optional(moduleLoaderSchema),
    devicePlugin: Type.Optional(devicePluginSchema),
    additionalVolumes: Type.Optional(
      volumes({
        description:
          'Volumes for the pods of the module loader and of the device plugin; mount them with volumeMounts in moduleLoader and devicePlugin.',
        nameRules: VOLUME_NAME_RULES,
      }),
    ),
    imageRepoSecret: Type.Optional(
      localReference({
        description:
          "A Secret of the Module's namespace with the registry credentials that its images are pulled with.",
        'x-kubernetes-validations': REFERENCE_RULES,
      }),
    ),
    tolerations: Type.Optional(
      tolerations({
        description:
          'Which taints do not keep the module off a node: a node with a NoSchedule or NoExecute taint that nothing here tolerates is ' +
          'not given the module. A taint that comes later never unloads it.',
        itemRules: TOLERATION_RULES,
      }),
    ),
    upgradePolicy: Type.Optional(
      Type.Object(
        {
          maxUnavailable: Type.Optional(
            intOrString({
              description:
                'How many nodes may be without the module at once while a new image or loader is rolled out: a number, or a percentage ' +
                'of the nodes that have the module, rounded up. The default is 1.',
              maxLength: 4,
              'x-kubernetes-validations': MAX_UNAVAILABLE_RULES,
            }),
          ),
        },
        { description: 'How a change of the image or of the loader reaches nodes that have the module loaded.' },
      ),
    ),
    imageRebuildTriggerGeneration: Type.Optional(
      Type.Integer({
        description:
          'Raise it to have images that are built in the cluster checked and built again: a branch that moved, a Secret that was rotated. ' +
          'Keep it afterwards: without it, or with a number that it had before, the nodes go back to the older image.',
      }),
    ),
    dra: Type.Optional(storedWhole({ description: NOT_SUPPORTED_YET })),
  },
  {
    description: 'What the user wants: which module, on which nodes, from which images.',
    'x-kubernetes-validations': SPEC_RULES,
  },
);

export const moduleSchema = Type.Object(
  {
    spec: specSchema,
    status: Type.Optional(statusSchema),
  },
  { description: 'An out-of-tree kernel module: the nodes that get it, and the image for each of their kernels.' },
);

export type ModuleSpecFields = Static<typeof specSchema>;
