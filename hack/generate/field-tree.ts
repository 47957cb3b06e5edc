import type { CrdSchema } from '../../src/api/crd.ts';
import type { FieldTree } from '../../src/api/served-schema.ts';

/** The fields of a schema; those of a list or a map are those of what it holds. */
export function fieldTree(schema: CrdSchema): FieldTree {
  if (schema.items !== undefined) return fieldTree(schema.items);
  if (schema.additionalProperties !== undefined) return fieldTree(schema.additionalProperties);
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([field, each]) => {
      const fields = fieldTree(each);
      return [field, Object.keys(fields).length === 0 ? null : fields];
    }),
  );
}
