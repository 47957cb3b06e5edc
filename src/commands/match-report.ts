import { type BuildVariables, buildVariables } from '../kernel/build-variables.ts';
import { chooseMapping, type KernelMapping, mappingField } from '../kernel/mapping.ts';
import { resolveKernel } from '../kernel/resolve.ts';
import type { TemplateSubject } from '../kernel/template.ts';

/** What one kernel gets; `-o json` prints an array of them. */
export interface MatchReport {
  readonly kernel: string;
  readonly matched: boolean;
  /** The mapping that wins, or that cannot be read; null where none matches. */
  readonly mappingIndex: number | null;
  /** Null where no mapping matches; absent where there is an error. */
  readonly image?: string | null;
  readonly error?: string;
  /** Whether the mapping says how to build the image. */
  readonly build: boolean;
  /** Empty where no mapping matches. */
  readonly buildArgs: BuildVariables['buildArgs'];
}

interface Question extends TemplateSubject {
  readonly mappings: readonly KernelMapping[];
  /** Template of the image where a mapping that builds names none. */
  readonly defaultImage?: string | undefined;
}

export function matchReport(question: Question): MatchReport {
  const { mappings, kernel } = question;
  const choice = chooseMapping(mappings, kernel);
  if (choice.kind === 'no-match') {
    return { kernel, matched: false, mappingIndex: null, image: null, build: false, buildArgs: {} };
  }
  if (choice.kind === 'error') {
    const { message: error, mappingIndex } = choice;
    return { kernel, matched: false, mappingIndex, error, build: false, buildArgs: {} };
  }
  const { mapping, mappingIndex } = choice;
  const resolution = resolveKernel(question);
  return {
    kernel,
    matched: true,
    mappingIndex,
    ...(resolution.kind === 'image' ? { image: resolution.image } : {}),
    ...(resolution.kind === 'error' ? { error: resolution.message } : {}),
    build: mapping.build !== undefined,
    buildArgs: buildVariables({ ...question, mapping }).buildArgs,
  };
}

/** Whether the kernel has an image. */
export function hasImage({ image }: MatchReport): boolean {
  return typeof image === 'string';
}

/** Names of build arguments in any mapping that is written in vain, each as a sentence. */
export function ignoredArguments(subject: TemplateSubject, mappings: readonly KernelMapping[]): string[] {
  return mappings.flatMap((mapping, index) =>
    buildVariables({ ...subject, mapping }).ignored.map(
      (name) => `${mappingField(index)}.build.buildArgs: ${name} is ignored, because the operator sets it.`,
    ),
  );
}

/** The report for a person, with a line break at its end. */
export function formatReport(report: MatchReport, mappings: readonly KernelMapping[]): string {
  const { kernel, mappingIndex, image, error, buildArgs } = report;
  const lines: [string, string][] = [['mapping', describeMapping(report, mappings)]];
  if (error !== undefined) lines.push(['error', error]);
  if (typeof image === 'string') lines.push(['image', image]);
  const mapping = mappingIndex === null ? undefined : mappings[mappingIndex];
  for (const field of ['build', 'sign'] as const) {
    if (report.matched && mappingIndex !== null && mapping?.[field] !== undefined) {
      lines.push([field, `${mappingField(mappingIndex)}.${field}`]);
    }
  }
  const args = Object.entries(buildArgs).map(([name, value]) => `${name}=${value}`);
  lines.push(...args.map((arg, index): [string, string] => [index === 0 ? 'build args' : '', arg]));
  return [onOneLine(kernel), ...lines.map(([name, text]) => `  ${name.padEnd(12)}${onOneLine(text)}`), ''].join('\n');
}

function describeMapping({ matched, mappingIndex }: MatchReport, mappings: readonly KernelMapping[]): string {
  if (mappingIndex === null) return 'none matches: a node with this kernel gets nothing';
  if (!matched) return `${mappingField(mappingIndex)} cannot be read`;
  const { literal, regexp } = mappings[mappingIndex] ?? {};
  return `${mappingField(mappingIndex)} (${literal === undefined ? `regexp ${regexp}` : `literal ${literal}`})`;
}

/** Line breaks and terminal controls out of somebody's file must not look like lines of ours. */
function onOneLine(text: string): string {
  return /\p{Cc}/u.test(text) ? JSON.stringify(text) : text;
}
