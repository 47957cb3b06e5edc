/**
 * The built-in types that a Module embeds, as the real API server describes them.
 *
 * `embedded.gen.json` is written by hack/generate.ts from the server's OpenAPI v3: never copied by hand, never edited.
 */
import { type Static, type TObject, type TUnsafe, Type } from 'typebox';
import type { Toleration, Volume, VolumeMount } from '../kube/core.ts';
import embedded from './embedded.gen.json' with { type: 'json' };

/** A Container as users write one here: the operator gives it its name, so `name` may be missing. */
export interface ContainerFields {
  name?: string;
  image?: string;
  volumeMounts?: VolumeMount[];
  securityContext?: Record<string, unknown>;
  [field: string]: unknown;
}

/** A field's keywords beside its type: description, limits, CEL rules. */
type Keywords = Readonly<Record<string, unknown>>;

const { required: _nameIsOptionalHere, ...containerSchema } = embedded.Container;

/** Names of every field of a Container. */
export const CONTAINER_FIELDS: readonly string[] = Object.keys(containerSchema.properties);

/**
 * An object schema with the fields of a Container beside `own` ones.
 *
 * @param mountRules keywords for `volumeMounts[].mountPath`
 */
export function containerWith<T extends TObject>(
  own: T,
  keywords: Keywords & { readonly mountPathRules: readonly CelRule[] },
): TUnsafe<ContainerFields & Static<T>> {
  const { mountPathRules, ...rest } = keywords;
  const { volumeMounts } = containerSchema.properties;
  return Type.Unsafe<ContainerFields & Static<T>>({
    ...containerSchema,
    ...rest,
    properties: {
      ...containerSchema.properties,
      volumeMounts: {
        ...volumeMounts,
        maxItems: MAX_VOLUMES,
        items: {
          ...volumeMounts.items,
          properties: {
            ...volumeMounts.items.properties,
            name: { ...volumeMounts.items.properties.name, maxLength: 63 },
            mountPath: {
              ...volumeMounts.items.properties.mountPath,
              maxLength: 1024,
              'x-kubernetes-validations': mountPathRules,
            },
          },
        },
      },
      ...own.properties,
    },
  });
}

/** CEL walks volumes and mounts against each other, and its cost limits need a bound on both. */
const MAX_VOLUMES = 64;

/** One validation rule of a CRD. Source: apiextensions.k8s.io/v1 ValidationRule. */
export interface CelRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly fieldPath?: string;
}

/** A list of volumes that a user adds to our pods. */
export function volumes(keywords: Keywords & { readonly nameRules: readonly CelRule[] }): TUnsafe<Volume[]> {
  const { nameRules, ...rest } = keywords;
  const { Volume: volume } = embedded;
  return Type.Unsafe<Volume[]>({
    type: 'array',
    maxItems: MAX_VOLUMES,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    ...rest,
    items: {
      ...volume,
      properties: {
        ...volume.properties,
        name: { ...volume.properties.name, maxLength: 63, 'x-kubernetes-validations': nameRules },
      },
    },
  });
}

/** @param keywords `itemRules` are CEL rules of each toleration */
export function tolerations(keywords: Keywords & { readonly itemRules: readonly CelRule[] }): TUnsafe<Toleration[]> {
  const { itemRules, ...rest } = keywords;
  const { properties, ...toleration } = embedded.Toleration;
  return Type.Unsafe<Toleration[]>({
    type: 'array',
    maxItems: 64,
    'x-kubernetes-list-type': 'atomic',
    ...rest,
    items: {
      ...toleration,
      properties: {
        ...properties,
        key: { ...properties.key, maxLength: LONGEST_LABEL_KEY },
        // Lt and Gt are for taints with numbers, which kube/taints.ts does not compare.
        operator: {
          ...properties.operator,
          description: "How the taint's value is compared: Equal (the default), or Exists, which takes any value.",
          enum: ['Equal', 'Exists'],
        },
      },
      'x-kubernetes-validations': itemRules,
    },
  });
}

/** A DNS subdomain, a slash and a name. Source: k8s.io/apimachinery/pkg/util/validation, IsQualifiedName. */
const LONGEST_LABEL_KEY = 253 + 1 + 63;

export interface LocalObjectReference {
  name?: string;
}

/** The name of an object in the Module's namespace. */
export function localReference(keywords: Keywords): TUnsafe<LocalObjectReference> {
  const { properties, ...rest } = embedded.LocalObjectReference;
  const name = { ...properties.name, description: "The object's name; it is in the Module's namespace." };
  return Type.Unsafe<LocalObjectReference>({ ...rest, ...keywords, properties: { name } });
}

export function resourceRequirements(keywords: Keywords): TUnsafe<Record<string, unknown>> {
  return Type.Unsafe<Record<string, unknown>>({ ...embedded.ResourceRequirements, ...keywords });
}

/** An object that is stored whole, whatever is in it. */
export function storedWhole(keywords: Keywords): TUnsafe<Record<string, unknown>> {
  return Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    ...keywords,
  });
}

/** A map of strings, in the form a CRD has for it (TypeBox's Record makes patternProperties, which a CRD refuses). */
export function stringMap(keywords: Keywords & { readonly value?: Keywords }): TUnsafe<Record<string, string>> {
  const { value, ...rest } = keywords;
  return Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string', ...value },
    ...rest,
  });
}

export function intOrString(keywords: Keywords): TUnsafe<number | string> {
  return Type.Unsafe<number | string>({
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    'x-kubernetes-int-or-string': true,
    ...keywords,
  });
}
