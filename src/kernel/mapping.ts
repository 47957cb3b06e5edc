import { compilePattern } from './pattern.ts';

/** One of a Module's mappings, as far as choosing among them needs it. */
export interface KernelMapping {
  /** The whole kernel release. */
  readonly literal?: string;
  /** An RE2 pattern, found anywhere in the kernel release. */
  readonly regexp?: string;
  readonly containerImage?: string;
  readonly build?: unknown;
  readonly sign?: unknown;
}

export type MappingChoice<M extends KernelMapping = KernelMapping> =
  | { readonly kind: 'no-match' }
  | { readonly kind: 'match'; readonly mapping: M; readonly mappingIndex: number }
  /** A mapping that cannot be read stands before any that matches, so which one wins is not known. */
  | { readonly kind: 'error'; readonly message: string; readonly mappingIndex: number };

/** The path of a mapping's field, as the API server writes it in its own messages. */
export function mappingField(mappingIndex: number, field?: 'regexp' | 'containerImage'): string {
  return `spec.kernelMappings[${mappingIndex}]${field === undefined ? '' : `.${field}`}`;
}

/** The first mapping, in list order, that names the kernel: by `literal` exactly, or by `regexp` anywhere in it. */
export function chooseMapping<M extends KernelMapping>(mappings: readonly M[], kernel: string): MappingChoice<M> {
  for (const [mappingIndex, mapping] of mappings.entries()) {
    const answer = names(mapping, kernel, mappingIndex);
    if (typeof answer === 'string') return { kind: 'error', message: answer, mappingIndex };
    if (answer) return { kind: 'match', mapping, mappingIndex };
  }
  return { kind: 'no-match' };
}

/** Whether the mapping names the kernel; a sentence where that cannot be said. */
function names({ literal, regexp }: KernelMapping, kernel: string, index: number): boolean | string {
  if (literal !== undefined && regexp === undefined) return literal === kernel;
  if (literal !== undefined || regexp === undefined) {
    return `${mappingField(index)}: a mapping needs exactly one of literal and regexp`;
  }
  const pattern = compilePattern(regexp);
  return pattern.ok ? pattern.found(kernel) : `${mappingField(index, 'regexp')}: ${pattern.problem}`;
}
