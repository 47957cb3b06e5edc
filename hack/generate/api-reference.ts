import type { CrdSchema, CustomResourceDefinition } from '../../src/api/crd.ts';
import type { CelRule } from '../../src/api/embedded.ts';
import { type GeneratedFile, markdownFile } from './files.ts';
import { type Row, table } from './markdown.ts';

/** Fields whose own fields are those of a built-in type: they are described once, by Kubernetes. */
const BUILT_IN: Readonly<Record<string, string>> = {
  'spec.additionalVolumes[]': 'Volume',
  'spec.kernelMappings[].build.resources': 'ResourceRequirements',
};

export interface ApiReferenceInput {
  readonly crd: CustomResourceDefinition;
  /** Fields of a Container, which stand directly in moduleLoader and devicePlugin. */
  readonly containerFields: readonly string[];
}

/** docs/reference/api.md: every field of ours with its type, limits, description and the sentences it can be refused with. */
export function apiReference({ crd, containerFields }: ApiReferenceInput): GeneratedFile {
  const [version] = crd.spec.versions;
  if (version === undefined) throw new Error(`${crd.metadata.name} has no version to document`);
  const { properties = {} } = version.schema.openAPIV3Schema;
  const pages = ['spec', 'status'].flatMap((root) => {
    const schema = properties[root];
    if (schema === undefined) return [];
    const rows: Row[] = [];
    const refusals: Row[] = [];
    walk(root, schema, new Set(containerFields), rows, refusals);
    return [
      `## ${root}\n\n${schema.description ?? ''}\n\n${table(rows)}`,
      ...(refusals.length === 0
        ? []
        : [
            '## What is refused\n\nThe API server refuses a Module with these sentences, each after the path of its field. ' +
              `Types, lengths and duplicate keys of lists are refused in the server's own words.\n\n${table(refusals)}`,
          ]),
    ];
  });
  return markdownFile(
    'docs/reference/api.md',
    `# Module, ${crd.spec.group}/${version.name}\n\n` +
      `${version.schema.openAPIV3Schema.description ?? ''} ` +
      '`kubectl explain module.spec` shows the same on your cluster.\n\n' +
      `Where a field is a Kubernetes type, all of that type's fields are allowed.\n\n${pages.join('\n\n')}`,
  );
}

function walk(
  path: string,
  schema: CrdSchema,
  containerFields: ReadonlySet<string>,
  rows: Row[],
  refusals: Row[],
): void {
  refusals.push(...refusalsOf(path, schema));
  const { items, additionalProperties } = schema;
  if (BUILT_IN[path] !== undefined) {
    refusals.push(...refusalsOf(`${path}.name`, schema.properties?.['name']));
    return;
  }
  if (additionalProperties !== undefined) walk(`${path}.*`, additionalProperties, containerFields, rows, refusals);
  if (items !== undefined) walk(`${path}[]`, items, containerFields, rows, refusals);
  const isContainer = path === 'spec.moduleLoader' || path === 'spec.devicePlugin';
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const field = `${path}.${key}`;
    if (isContainer && containerFields.has(key)) {
      refusals.push(...refusalsOf(`${field}[].mountPath`, property.items?.properties?.['mountPath']));
      continue;
    }
    rows.push({
      field: `\`${field}\``,
      type: typeName(field, property),
      required: schema.required?.includes(key) === true ? 'yes' : '',
      description: property.description,
    });
    walk(field, property, containerFields, rows, refusals);
  }
}

function typeName(path: string, schema: CrdSchema): string {
  if (path === 'spec.moduleLoader' || path === 'spec.devicePlugin') return 'Container, with the fields below';
  const builtIn = BUILT_IN[path];
  if (builtIn !== undefined) return builtIn;
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return 'anything';
  if (schema.items !== undefined) {
    const most = typeof schema['maxItems'] === 'number' ? `, at most ${schema['maxItems']}` : '';
    return `list of ${typeName(`${path}[]`, schema.items)}${most}`;
  }
  if (schema.additionalProperties !== undefined) return 'map of strings';
  return typeof schema['format'] === 'string' && schema['format'].includes('date') ? 'time' : (schema.type ?? '');
}

function refusalsOf(path: string, schema: CrdSchema | undefined): readonly Row[] {
  const rules = schema?.['x-kubernetes-validations'];
  if (!Array.isArray(rules)) return [];
  return rules.map(({ message, fieldPath = '' }: CelRule) => ({ field: `\`${path}${fieldPath}\``, sentence: message }));
}
