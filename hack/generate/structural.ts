/**
 * Turns a type of the API server's OpenAPI v3 document into a structural schema that a CRD can embed.
 *
 * Source of the rules: Kubernetes documentation, "Specifying a structural schema", and
 * k8s.io/apiextensions-apiserver/pkg/apiserver/schema (no $ref; a type everywhere; defaults only where they are pruned and valid).
 */
export interface OpenApiSchema {
  readonly $ref?: string;
  readonly allOf?: readonly OpenApiSchema[];
  readonly description?: string;
  readonly type?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, OpenApiSchema>>;
  readonly items?: OpenApiSchema;
  readonly additionalProperties?: OpenApiSchema;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: string;
}

export interface OpenApiDocument {
  readonly components: { readonly schemas: Readonly<Record<string, OpenApiSchema>> };
}

/** A structural schema; the keys that this project's generators read and write. */
export interface StructuralSchema {
  description?: string;
  type?: string;
  format?: string;
  pattern?: string;
  default?: unknown;
  enum?: readonly unknown[];
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  anyOf?: readonly { readonly type: string }[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: readonly string[];
  'x-kubernetes-map-type'?: string;
}

const SCHEMAS = '#/components/schemas/';
const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** Source: k8s.io/apimachinery/pkg/api/resource, the syntax in Quantity's documentation. */
const QUANTITY_PATTERN =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$';

/**
 * Gives the type `name` (as in `io.k8s.api.core.v1.Container`) with every reference inlined.
 *
 * @throws Error when the document does not have the type, or when the type contains itself (a structural schema cannot)
 */
export function structuralSchema(document: OpenApiDocument, name: string): StructuralSchema {
  return inline(document, { $ref: `${SCHEMAS}${name}` }, []);
}

function inline(document: OpenApiDocument, schema: OpenApiSchema, inside: readonly string[]): StructuralSchema {
  const reference = schema.$ref ?? schema.allOf?.find(({ $ref }) => $ref !== undefined)?.$ref;
  if (reference === undefined) return convert(document, schema, inside);
  const name = reference.slice(SCHEMAS.length);
  if (inside.includes(name)) throw new Error(`cannot inline ${name}: it contains itself (${inside.join(' > ')})`);
  const target = document.components.schemas[name];
  if (target === undefined) throw new Error(`the API server's OpenAPI document has no type ${name}`);
  const inlined = wellKnown(name, target) ?? convert(document, target, [...inside, name]);
  // What the field says of itself is closer to the reader than what the type says.
  const description = schema.description === undefined ? inlined.description : shortened(schema.description);
  return description === undefined ? inlined : { ...inlined, description };
}

function wellKnown(name: string, target: OpenApiSchema): StructuralSchema | undefined {
  switch (name) {
    case INT_OR_STRING:
      return { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true };
    case QUANTITY:
      return {
        anyOf: [{ type: 'integer' }, { type: 'string' }],
        pattern: QUANTITY_PATTERN,
        'x-kubernetes-int-or-string': true,
      };
    case OBJECT_META:
      return templateMetadata(target);
    default:
      return undefined;
  }
}

/** In a template of an object (the claim of an ephemeral volume) only labels and annotations mean anything. */
function templateMetadata({ properties }: OpenApiSchema): StructuralSchema {
  const kept: Record<string, StructuralSchema> = {};
  for (const key of ['annotations', 'labels']) {
    kept[key] = {
      description: properties?.[key]?.description ?? key,
      type: 'object',
      additionalProperties: { type: 'string' },
    };
  }
  return {
    description: 'Labels and annotations of the object that is made from this template.',
    type: 'object',
    properties: kept,
  };
}

function convert(document: OpenApiDocument, schema: OpenApiSchema, inside: readonly string[]): StructuralSchema {
  const result: StructuralSchema = {};
  if (schema.description !== undefined) result.description = shortened(schema.description);
  if (schema.type !== undefined) result.type = schema.type;
  if (schema.format !== undefined) result.format = schema.format;
  if (schema.enum !== undefined) result.enum = schema.enum;
  if (schema.required !== undefined) result.required = [...schema.required];
  if (schema['x-kubernetes-map-type'] !== undefined) result['x-kubernetes-map-type'] = schema['x-kubernetes-map-type'];
  if (schema['x-kubernetes-list-type'] !== undefined) {
    result['x-kubernetes-list-type'] = schema['x-kubernetes-list-type'];
  }
  if (schema.properties !== undefined) {
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([key, property]) => [key, inline(document, property, inside)]),
    );
  }
  if (schema.additionalProperties !== undefined) {
    result.additionalProperties = inline(document, schema.additionalProperties, inside);
  }
  if (schema.items !== undefined) {
    const keys = schema['x-kubernetes-list-map-keys'] ?? [];
    const items = inline(document, schema.items, inside);
    result.items = withKeyDefaults(items, keys, itemDefaults(document, schema.items));
    if (keys.length > 0) result['x-kubernetes-list-map-keys'] = keys;
  }
  return result;
}

/**
 * The key of a list-map must be required or have a default; all other defaults of the built-in types are left to the server that
 * defaults the pod, because a default here would be written into the user's Module.
 */
function withKeyDefaults(
  items: StructuralSchema,
  keys: readonly string[],
  defaults: Readonly<Record<string, unknown>>,
): StructuralSchema {
  const properties = { ...items.properties };
  for (const key of keys) {
    const property = properties[key];
    if (property === undefined || items.required?.includes(key) === true || defaults[key] === undefined) continue;
    properties[key] = { ...property, default: defaults[key] };
  }
  return keys.length === 0 ? items : { ...items, properties };
}

function itemDefaults(document: OpenApiDocument, items: OpenApiSchema): Readonly<Record<string, unknown>> {
  const reference = items.$ref ?? items.allOf?.find(({ $ref }) => $ref !== undefined)?.$ref;
  const target = reference === undefined ? items : document.components.schemas[reference.slice(SCHEMAS.length)];
  return Object.fromEntries(Object.entries(target?.properties ?? {}).map(([key, property]) => [key, property.default]));
}

const LONGEST_DESCRIPTION = 240;

/**
 * The first sentences of a description, as many as fit: three copies of every word of the built-in types would make a CRD that is
 * slow to send and to read.
 */
function shortened(description: string): string {
  const sentences = description
    .replace(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.!?]) (?=[A-Z`"])/);
  let result = sentences[0] ?? '';
  for (const sentence of sentences.slice(1)) {
    if (result.length + 1 + sentence.length > LONGEST_DESCRIPTION) break;
    result += ` ${sentence}`;
  }
  return result;
}
