import { kernelNumbers } from './release.ts';

/** Variables of image references, in the order in which documents list them. The CRD's validation accepts the same and no other. */
export const TEMPLATE_VARIABLES = [
  'KERNEL_FULL_VERSION',
  'KERNEL_VERSION',
  'KERNEL_XYZ',
  'KERNEL_X',
  'KERNEL_Y',
  'KERNEL_Z',
  'MOD_NAME',
  'MOD_NAMESPACE',
  'ARCH',
] as const;

type TemplateVariable = (typeof TEMPLATE_VARIABLES)[number];

/** Undefined is what this kernel does not have: the numbers, where its release does not begin with any. */
export type TemplateValues = ReadonlyMap<string, string | undefined>;

export interface TemplateSubject {
  /** As `uname -r` prints it. */
  readonly kernel: string;
  /** As the kubelet reports it, in Go's words: amd64, arm64. */
  readonly arch: string;
  readonly module: { readonly name: string; readonly namespace: string };
}

export type Expansion =
  | { readonly ok: true; readonly text: string }
  /** What is wrong and what to do, as a sentence without a full stop. */
  | { readonly ok: false; readonly problem: string };

/** The variables of one kernel. KERNEL_VERSION is the whole release too, as it is in KMM 2.x. */
export function templateValues({ kernel, arch, module }: TemplateSubject): TemplateValues {
  const numbers = kernelNumbers(kernel);
  const values: Readonly<Record<TemplateVariable, string | undefined>> = {
    KERNEL_FULL_VERSION: kernel,
    KERNEL_VERSION: kernel,
    KERNEL_XYZ: numbers?.xyz,
    KERNEL_X: numbers?.x,
    KERNEL_Y: numbers?.y,
    KERNEL_Z: numbers?.z,
    MOD_NAME: module.name,
    MOD_NAMESPACE: module.namespace,
    ARCH: arch,
  };
  return new Map(Object.entries(values));
}

/**
 * Replaces `${NAME}` and `${NAME:-default}`; a `$` before anything else stands for itself. As in a shell the default counts where the
 * value is missing or empty; unlike in a shell it is a plain text, up to the next `}`.
 *
 * Characters that a tag cannot hold become `_` in what is substituted, wherever it stands. A default is the author's own and stays.
 *
 * @param convert what becomes of a value where the text is no image reference: paths keep every character
 */
export function expandTemplate(
  template: string,
  values: TemplateValues,
  convert: (value: string) => string = tagSafe,
): Expansion {
  let text = '';
  let from = 0;
  for (;;) {
    const start = template.indexOf('${', from);
    if (start < 0) return { ok: true, text: text + template.slice(from) };
    const end = template.indexOf('}', start);
    if (end < 0) return { ok: false, problem: `"${template.slice(start)}" is not closed: every \${ needs a }` };
    const value = valueOf(template.slice(start + 2, end), values, convert);
    if (!value.ok) return value;
    text += template.slice(from, start) + value.text;
    from = end + 1;
  }
}

/** @param inside what stands between the braces */
function valueOf(inside: string, values: TemplateValues, convert: (value: string) => string): Expansion {
  const separator = inside.indexOf(':-');
  const name = separator < 0 ? inside : inside.slice(0, separator);
  if (!values.has(name)) {
    return { ok: false, problem: `unknown variable \${${name}}: write one of ${TEMPLATE_VARIABLES.join(', ')}` };
  }
  const value = values.get(name) ?? '';
  if (value !== '') return { ok: true, text: convert(value) };
  if (separator >= 0) return { ok: true, text: inside.slice(separator + 2) };
  return {
    ok: false,
    problem:
      `kernel "${values.get('KERNEL_FULL_VERSION') ?? ''}" has no ${name}: ` +
      `write a default, as in \${${name}:-0}, or use \${KERNEL_FULL_VERSION}`,
  };
}

/** With `_` for each character that a tag cannot hold. Source: OCI distribution specification, the grammar of <reference>. */
export function tagSafe(value: string): string {
  return value.replaceAll(/[^A-Za-z0-9_.-]/gu, '_');
}

/** Whether every kernel release gets an image of its own from this template. Numbers alone do not tell two builds of one release apart. */
export function namesKernel(template: string): boolean {
  return /[$][{]KERNEL_(FULL_)?VERSION[}:]/.test(template);
}
