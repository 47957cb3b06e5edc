import type { KernelMapping } from './mapping.ts';
import type { TemplateSubject } from './template.ts';

export interface BuildVariables {
  /** Build arguments by name, the operator's first. */
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Names the user gave a value of their own that does not count, because the operator sets them. */
  readonly ignored: readonly string[];
}

/**
 * The build arguments of one kernel: the user's, and KERNEL_FULL_VERSION, KERNEL_VERSION, MOD_NAME and MOD_NAMESPACE, which tell what the
 * node really runs and which nobody can override. Unlike in image references the release stands as it is, with every character.
 *
 * There is no ARCH among them: Dockerfiles of out-of-tree modules have an `ARG ARCH` for make, which wants x86_64 where Go says amd64.
 */
export function buildVariables({
  kernel,
  module,
  mapping,
}: TemplateSubject & { readonly mapping: KernelMapping }): BuildVariables {
  const own = new Map([
    ['KERNEL_FULL_VERSION', kernel],
    ['KERNEL_VERSION', kernel],
    ['MOD_NAME', module.name],
    ['MOD_NAMESPACE', module.namespace],
  ]);
  const users = userArgs(mapping.build);
  return {
    buildArgs: Object.fromEntries([...own, ...users.filter(([name]) => !own.has(name))]),
    ignored: users.map(([name]) => name).filter((name) => own.has(name)),
  };
}

/** What a build is, kernel/ does not know; admission has seen to it that its arguments are names and values. */
function userArgs(build: unknown): [string, string][] {
  if (!isRecord(build) || !Array.isArray(build.buildArgs)) return [];
  const args: readonly unknown[] = build.buildArgs;
  return args.flatMap((arg): [string, string][] =>
    isRecord(arg) && typeof arg.name === 'string' && typeof arg.value === 'string' ? [[arg.name, arg.value]] : [],
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
