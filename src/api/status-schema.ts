import { type Static, type TUnsafe, Type } from 'typebox';
import type { Condition } from '../kube/objects.ts';

const count = (description: string) => Type.Optional(Type.Integer({ description, minimum: 0, format: 'int32' }));

const daemonSetStatus = (what: string) =>
  Type.Object(
    {
      nodesMatchingSelectorNumber: count('How many nodes match the selector.'),
      desiredNumber: count(`How many nodes ought to run the ${what}.`),
      availableNumber: count(`On how many nodes the ${what} has done its work and is up.`),
    },
    { description: `How far the ${what} has come.` },
  );

/** Source: k8s.io/apimachinery/pkg/apis/meta/v1, Condition, with its validation. */
const conditionSchema: TUnsafe<Condition> = Type.Unsafe<Condition>(
  Type.Object(
    {
      type: Type.String({ description: 'Ready, Progressing or Degraded.', maxLength: 316 }),
      status: Type.String({ description: 'True, False or Unknown.', enum: ['True', 'False', 'Unknown'] }),
      observedGeneration: Type.Optional(
        Type.Integer({
          description: 'The metadata.generation this was said of.',
          minimum: 0,
          format: 'int64',
        }),
      ),
      lastTransitionTime: Type.String({
        description: 'When status last changed from one value to another.',
        format: 'date-time',
      }),
      reason: Type.String({
        description: 'The cause in one word; docs/reference/conditions.md lists them all with what to do.',
        maxLength: 1024,
        minLength: 1,
      }),
      message: Type.String({
        description: 'The first cause in a sentence, and how many more there are.',
        maxLength: 32_768,
      }),
    },
    { description: 'One condition.' },
  ),
);

const buildStatusSchema = Type.Object(
  {
    key: Type.String({ description: 'Hash of what the build was asked for: the same text is never built twice.' }),
    phase: Type.String({
      description: 'Queued, Starting, Building, Signing, Pushing, Pushed or Failed.',
    }),
    since: Type.Optional(Type.String({ description: 'Since when it is in this phase.', format: 'date-time' })),
    pod: Type.Optional(Type.String({ description: 'The pod that builds; its log tells the rest.' })),
    attempts: Type.Optional(Type.Integer({ description: 'How often it was tried.', minimum: 0, format: 'int32' })),
    terms: Type.Optional(
      Type.String({
        description: 'Hash of where a failed build ran and how long it might take: it is tried anew when these change.',
      }),
    ),
    image: Type.Optional(Type.String({ description: 'What loaders run: the repository and the digest of the image.' })),
    reference: Type.Optional(Type.String({ description: 'The reference under which the image was found or pushed.' })),
    commit: Type.Optional(Type.String({ description: 'The commit of the Git source.' })),
    retryAt: Type.Optional(Type.String({ description: 'When a failed build is tried again.', format: 'date-time' })),
    message: Type.Optional(Type.String({ description: 'What it waits for, or why it failed.' })),
  },
  { description: 'The image that is built in the cluster for this kernel.' },
);

const kernelStatusSchema = Type.Object(
  {
    kernelVersion: Type.String({ description: 'The kernel release, as the nodes report it.' }),
    architecture: Type.String({ description: 'The architecture, as the nodes report it: amd64, arm64, ...' }),
    image: Type.Optional(Type.String({ description: 'The image for this kernel; absent where no mapping matches.' })),
    imageDigest: Type.Optional(Type.String({ description: 'The digest of the image that nodes run.' })),
    nodes: Type.Integer({ description: 'How many selected nodes run this kernel.', minimum: 0, format: 'int32' }),
    loaded: Type.Integer({ description: 'On how many of them the module is loaded.', minimum: 0, format: 'int32' }),
    state: Type.String({ description: 'What is going on with this kernel, in one word.' }),
    since: Type.Optional(Type.String({ description: 'Since when it is in this state.', format: 'date-time' })),
    message: Type.Optional(Type.String({ description: 'Why it is in this state, and what to do.' })),
    build: Type.Optional(buildStatusSchema),
  },
  { description: 'How far one kernel has come.' },
);

export const statusSchema = Type.Object(
  {
    observedGeneration: Type.Optional(
      Type.Integer({
        description: 'The metadata.generation that this status is about.',
        minimum: 0,
        format: 'int64',
      }),
    ),
    conditions: Type.Optional(
      Type.Array(conditionSchema, {
        description: 'Ready, Progressing and Degraded, each with its reason.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
    ),
    moduleLoader: Type.Optional(daemonSetStatus('module loader')),
    devicePlugin: Type.Optional(daemonSetStatus('device plugin')),
    loaded: Type.Optional(
      Type.String({ description: 'On how many nodes the module is loaded, of how many where it ought to be: n/m.' }),
    ),
    kernelsNumber: count('How many different kernels and architectures the selected nodes run.'),
    kernels: Type.Optional(
      Type.Array(kernelStatusSchema, {
        description:
          'Each kernel that the selected nodes run. At most 200 are listed; kernelsOmitted counts the others.',
        maxItems: 200,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    kernelsOmitted: count('How many kernels are not listed in kernels.'),
    dra: Type.Optional(daemonSetStatus('DRA driver of a Module in the modprobe form')),
    imageRebuildTriggerGeneration: Type.Optional(
      Type.Integer({ description: 'Written by KMM 2.x; kept, not written in this release.' }),
    ),
  },
  { description: 'What was found: written by the operator, never by users.' },
);

export type ModuleStatusFields = Static<typeof statusSchema>;
