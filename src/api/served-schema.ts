/**
 * Whether the CRD on a cluster knows every field that this program knows: an API server drops the others without a word.
 */
import { isRecord } from '../kernel/json-record.ts';
import { GROUP } from './labels.ts';
import { MODULES } from './module.ts';

/** The fields of a schema by their names; lists and maps are passed through, as `kubectl explain` does. null is one without fields of its own. */
export interface FieldTree {
  readonly [field: string]: FieldTree | null;
}

type Schema = Readonly<Record<string, unknown>>;

/**
 * The schema of Module in an OpenAPI v3 document of our group and version; undefined when it is not in it.
 *
 * Source: `/openapi/v3/apis/<group>/<version>`, which every ServiceAccount may read (ClusterRole system:discovery).
 */
export function servedModuleSchema(document: unknown): Schema | undefined {
  const components = isRecord(document) ? document['components'] : undefined;
  const schemas = isRecord(components) ? components['schemas'] : undefined;
  if (!isRecord(schemas)) return undefined;
  return Object.values(schemas).filter(isRecord).find(isOfModule);
}

function isOfModule(schema: Schema): boolean {
  const kinds = schema['x-kubernetes-group-version-kind'];
  if (!Array.isArray(kinds)) return false;
  return kinds.some(
    (kind) =>
      isRecord(kind) && kind['group'] === GROUP && kind['version'] === MODULES.version && kind['kind'] === MODULES.kind,
  );
}

/** Paths of the fields that are known here and not there, as `spec.kernelMappings.sign`; of a whole subtree only its root. */
export function missingFields(known: FieldTree, served: Schema, path = ''): readonly string[] {
  const there = contentOf(served);
  // Whoever keeps unknown fields drops none.
  if (there['x-kubernetes-preserve-unknown-fields'] === true) return [];
  const properties = isRecord(there['properties']) ? there['properties'] : {};
  return Object.entries(known).flatMap(([field, fields]) => {
    const at = path === '' ? field : `${path}.${field}`;
    const schema = properties[field];
    if (!isRecord(schema)) return [at];
    return fields === null ? [] : missingFields(fields, schema, at);
  });
}

/** What a list or a map holds, of one in another too. */
function contentOf(schema: Schema): Schema {
  for (const content of [schema['items'], schema['additionalProperties']]) {
    if (isRecord(content)) return contentOf(content);
  }
  return schema;
}
