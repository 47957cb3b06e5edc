import type { KubeObject } from '../kube/objects.ts';
import { GROUP } from './labels.ts';
import { MODULES } from './module.ts';
import { moduleSchema } from './module-schema.ts';

/** A JSON schema as it stands in a CRD. */
export interface CrdSchema {
  readonly description?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, CrdSchema>>;
  readonly items?: CrdSchema;
  readonly additionalProperties?: CrdSchema;
  readonly required?: readonly string[];
  readonly [keyword: string]: unknown;
}

/** apiextensions.k8s.io/v1 CustomResourceDefinition, the fields that we write. */
export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: Readonly<Record<string, unknown>>;
    readonly scope: 'Namespaced' | 'Cluster';
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: CrdSchema };
      readonly subresources: { readonly status: object };
      readonly additionalPrinterColumns: readonly {
        readonly name: string;
        readonly type: string;
        readonly jsonPath: string;
        readonly description?: string;
        readonly priority?: number;
      }[];
    }[];
  };
}

/** The CustomResourceDefinition of Module. Install it with server-side apply: it is too long for an annotation. */
export function moduleCrd(): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${MODULES.plural}.${GROUP}`,
      labels: { 'app.kubernetes.io/name': 'kmm', 'app.kubernetes.io/part-of': 'kmm' },
    },
    spec: {
      group: GROUP,
      names: {
        kind: MODULES.kind,
        listKind: `${MODULES.kind}List`,
        plural: MODULES.plural,
        singular: 'module',
        categories: ['kmm'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: MODULES.version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            {
              name: 'Ready',
              type: 'string',
              jsonPath: '.status.conditions[?(@.type=="Ready")].status',
              description: 'Whether the module is loaded wherever it ought to be.',
            },
            {
              name: 'Loaded',
              type: 'string',
              jsonPath: '.status.loaded',
              description: 'On how many nodes the module is loaded, of how many where it ought to be.',
            },
            {
              name: 'Kernels',
              type: 'integer',
              jsonPath: '.status.kernelsNumber',
              description: 'How many different kernels the selected nodes run.',
            },
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
            {
              name: 'Reason',
              type: 'string',
              jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
              description: 'Why it is ready, or why not.',
              priority: 1,
            },
          ],
          schema: { openAPIV3Schema: openApiSchema() },
        },
      ],
    },
  };
}

/** TypeBox puts symbols and hidden keys beside the JSON schema; what is left after JSON is the schema alone. */
function openApiSchema(): CrdSchema {
  const { properties, ...rest } = plain(moduleSchema);
  return {
    ...rest,
    properties: {
      apiVersion: { type: 'string', description: 'kmm.sigs.x-k8s.io/v1beta1.' },
      kind: { type: 'string', description: 'Module.' },
      metadata: { type: 'object' },
      ...properties,
    },
  };
}

function plain(schema: object): CrdSchema {
  const parsed: CrdSchema = JSON.parse(JSON.stringify(schema));
  return parsed;
}
