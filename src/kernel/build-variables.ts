import { isRecord } from './json-record.ts';
import type { KernelMapping } from './mapping.ts';
import type { TemplateSubject } from './template.ts';

export interface BuildVariables {
  /** Build arguments by name, the operator's first. */
  readonly buildArgs: Readonly<Record<string, string>>;
  /** Names the user gave a value of their own that does not count, because the operator sets them. */
  readonly ignored: readonly string[];
}

/**
 * The build arguments of one kernel: the user's, and KERNEL_FULL_VERSION, KERNEL_VERSION, MOD_NAME, MOD_NAMESPACE and ARCH, which tell what
 * the node really runs and which nobody can override. Unlike in image references the release stands as it is, with every character.
 *
 * ARCH is Go's word (amd64), as in image references. A Dockerfile whose make wants another (x86_64) must not pass it on as it is.
 */
export function buildVariables({
  kernel,
  arch,
  module,
  mapping,
}: TemplateSubject & { readonly mapping: KernelMapping }): BuildVariables {
  const own = new Map([
    ['KERNEL_FULL_VERSION', kernel],
    ['KERNEL_VERSION', kernel],
    ['MOD_NAME', module.name],
    ['MOD_NAMESPACE', module.namespace],
    ['ARCH', arch],
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
