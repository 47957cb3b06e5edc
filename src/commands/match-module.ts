import { parseAllDocuments } from 'yaml';
import { GROUP } from '../api/labels.ts';
import type { Module } from '../api/module.ts';
import { type NormalizedMapping, normalize } from '../api/normalize.ts';

/** What matching needs of a Module. */
export interface MatchedModule {
  readonly name: string;
  /** Undefined where the file leaves it to whoever applies it. */
  readonly namespace: string | undefined;
  readonly mappings: readonly NormalizedMapping[];
}

export type ModuleReading =
  | { readonly ok: true; readonly module: MatchedModule }
  /** One sentence without a full stop. */
  | { readonly ok: false; readonly problem: string };

type Fields = Readonly<Record<string, unknown>>;

/** Takes the one Module out of YAML or JSON text: alone, in a List, or among other documents. Never throws. */
export function readModule(text: string): ModuleReading {
  const parsed = parseObjects(text);
  if (!parsed.ok) return parsed;
  const modules = parsed.objects.filter(({ kind }) => kind === 'Module');
  const [module] = modules;
  if (module === undefined) return { ok: false, problem: `there is no Module, only ${kindsOf(parsed.objects)}` };
  if (modules.length > 1) {
    return { ok: false, problem: `there are ${modules.length} Modules, and one can be matched at a time: leave one` };
  }
  const problem = shapeProblem(module);
  return problem === undefined && isModule(module) ? mappingsOf(module) : { ok: false, problem: problem ?? '' };
}

function mappingsOf(module: Module): ModuleReading {
  const normalization = normalize(module);
  if (!normalization.supported) return { ok: false, problem: normalization.message };
  const { name = '', namespace } = module.metadata;
  return { ok: true, module: { name, namespace, mappings: normalization.spec.kernelMappings } };
}

type Parsed =
  | { readonly ok: true; readonly objects: readonly Fields[] }
  | { readonly ok: false; readonly problem: string };

function parseObjects(text: string): Parsed {
  try {
    const documents = [...parseAllDocuments(text, { logLevel: 'error' })];
    const error = documents.flatMap(({ errors }) => errors)[0];
    if (error !== undefined) return { ok: false, problem: `not valid YAML: ${firstLine(error.message)}` };
    // An empty document between two --- is none.
    const values = documents.map((document): unknown => document.toJS()).filter((value) => value !== null);
    const objects = values.flatMap((value) => (isList(value) ? value.items : [value])).filter(isFields);
    if (values.length === 0) return { ok: false, problem: 'it is empty: write a Module' };
    if (objects.length === 0) return { ok: false, problem: 'it holds no Kubernetes object: write a Module' };
    return { ok: true, objects };
  } catch (error) {
    // Aliases that are missing, or that multiply without end, show only now.
    return {
      ok: false,
      problem: `not valid YAML: ${firstLine(error instanceof Error ? error.message : String(error))}`,
    };
  }
}

function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').replace(/:$/, '');
}

function kindsOf(objects: readonly Fields[]): string {
  const kinds = new Set(
    objects.map(({ kind }) => (typeof kind === 'string' && kind !== '' ? kind : 'an object without kind')),
  );
  return [...kinds].slice(0, 5).join(', ');
}

/** Checks just what is read later on; the API server checks the rest. */
function shapeProblem({ apiVersion, metadata, spec }: Fields): string | undefined {
  if (typeof apiVersion !== 'string' || !apiVersion.startsWith(`${GROUP}/`)) {
    return `apiVersion must be ${GROUP}/v1beta1`;
  }
  if (!isFields(metadata) || typeof metadata.name !== 'string') return 'metadata.name is missing';
  if (metadata.namespace !== undefined && typeof metadata.namespace !== 'string')
    return 'metadata.namespace must be a text';
  if (!isFields(spec)) return 'spec is missing';
  const wrong = ['moduleLoader', 'devicePlugin', 'imageRepoSecret', 'upgradePolicy'].find(
    (field) => spec[field] !== undefined && !isFields(spec[field]),
  );
  if (wrong !== undefined) return `spec.${wrong} must be an object`;
  if (spec.kernelMappings === undefined) return undefined;
  if (!Array.isArray(spec.kernelMappings)) return 'spec.kernelMappings must be a list';
  const mappings: readonly unknown[] = spec.kernelMappings;
  return mappings.map(mappingProblem).find((problem) => problem !== undefined);
}

function mappingProblem(mapping: unknown, index: number): string | undefined {
  const path = `spec.kernelMappings[${index}]`;
  if (!isFields(mapping)) return `${path} must be an object`;
  for (const field of ['literal', 'regexp', 'containerImage']) {
    const value = mapping[field];
    if (value !== undefined && typeof value !== 'string') return `${path}.${field} must be a text: put it in quotes`;
  }
  for (const field of ['build', 'sign']) {
    if (mapping[field] !== undefined && !isFields(mapping[field])) return `${path}.${field} must be an object`;
  }
  return undefined;
}

function isModule(value: Fields): value is Fields & Module {
  return shapeProblem(value) === undefined;
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  return isFields(value) && typeof value.kind === 'string' && value.kind.endsWith('List') && Array.isArray(value.items);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
