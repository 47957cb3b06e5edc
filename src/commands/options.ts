import { Command, CommanderError, Option } from 'commander';
import { parseDuration } from '../api/duration.ts';
import { imageReferenceProblem, registryOfRepository } from '../kernel/image-reference.ts';
import { parseListenAddress } from '../runtime/listen-address.ts';

/** What a text must be to be an option's value; `read` gives undefined for a text that is not. */
export interface ValueKind<T> {
  /** Stands in `--flag <...>`. */
  readonly placeholder: string;
  /** Completes the sentence `"x" is not ...`. */
  readonly expected: string;
  readonly read: (text: string) => T | undefined;
}

export interface OptionDefinition<T> {
  /** Without the dashes, e.g. `leader-elect`; the environment variable follows from it. */
  readonly flag: string;
  readonly kind: ValueKind<T>;
  /** As a user would write it; absent: the option may be left out. */
  readonly default?: string;
  /** What the flag means when it stands without a value; absent: it needs one. A boolean means true. */
  readonly alone?: string;
  readonly description: string;
}

/** The options of a command by the name of the configuration's field. */
export type OptionDefinitions<C> = { readonly [K in keyof C]: OptionDefinition<C[K]> };

/** Where a value came from, and the name it stood under there. */
export interface Source {
  readonly from: 'flag' | 'env' | 'service-account' | 'default';
  /** `--flag`, the environment variable, or the file. */
  readonly name: string;
}

export interface FlagReference {
  readonly flag: string;
  readonly env: string;
  readonly default: string;
  readonly description: string;
}

const text: ValueKind<string> = { placeholder: 'text', expected: 'a text', read: (value) => value };

export const filePath: ValueKind<string> = {
  placeholder: 'file',
  expected: 'the path of a file',
  read: (value) => (value === '' ? undefined : value),
};

export const duration: ValueKind<number> = {
  placeholder: 'duration',
  expected: 'a duration; write it as Go does, for example 10m, 1h30m or 250ms',
  read: parseDuration,
};

export const boolean: ValueKind<boolean> = {
  placeholder: 'bool',
  expected: 'true or false',
  read: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
};

export const listenAddress: ValueKind<string> = {
  placeholder: 'address',
  expected: 'an address to listen on; write :8080, 127.0.0.1:8080 or [::1]:8080, or 0 to listen nowhere',
  read: (value) => (parseListenAddress(value) === undefined ? undefined : value),
};

/** RFC 1123 label: what the name of a namespace must be. */
export const dnsLabel: ValueKind<string> = {
  placeholder: 'name',
  expected: 'a name; use at most 63 lower-case letters, digits and dashes',
  read: (value) => (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value) ? value : undefined),
};

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** RFC 1123 subdomain: what the name of most objects must be. */
export const dnsSubdomain: ValueKind<string> = {
  placeholder: 'name',
  expected: "an object's name; use at most 253 lower-case letters, digits, dashes and dots",
  read: (value) => (value.length <= 253 && SUBDOMAIN.test(value) ? value : undefined),
};

/** As `dnsSubdomain`, or empty for none. */
export const optionalDnsSubdomain: ValueKind<string> = {
  ...dnsSubdomain,
  expected: `${dnsSubdomain.expected}, or nothing for none`,
  read: (value) => (value === '' ? '' : dnsSubdomain.read(value)),
};

/** Names of namespaces with commas between them; each once, empty for none. */
export const namespaceList: ValueKind<readonly string[]> = {
  placeholder: 'names',
  expected: 'a list of namespaces; write their names with commas between them, or nothing for all',
  read: (value) => {
    const names = value === '' ? [] : value.split(',').map((name) => name.trim());
    return names.every((name) => dnsLabel.read(name) !== undefined) ? [...new Set(names)] : undefined;
  },
};

export const imageReference: ValueKind<string> = {
  placeholder: 'image',
  expected: 'an image reference; write [registry/]repository:tag or @digest',
  read: (value) => (imageReferenceProblem(value) === undefined ? value : undefined),
};

export const optionalRegistryHost: ValueKind<string> = {
  placeholder: 'host',
  expected: 'the host of a registry; write name.of.host, host:port or localhost, or nothing for none',
  read: (value) =>
    value === '' || (registryOfRepository(`${value}/x`) === value && imageReferenceProblem(`${value}/x`) === undefined)
      ? value
      : undefined,
};

/** Source: k8s.io/api/core/v1, SeccompProfile.localhostProfile: a descending path. */
export const seccompProfile: ValueKind<string> = {
  placeholder: 'path',
  expected: "a path below the kubelet's seccomp folder, without .., or nothing for none",
  read: (value) => (value.startsWith('/') || value.split('/').includes('..') ? undefined : value),
};

/** Of every command that talks to a cluster. */
export const kubeconfigContext: OptionDefinition<string> = {
  flag: 'context',
  kind: text,
  description: "The kubeconfig's context, instead of its current one.",
};

export function integer(least: number, most: number): ValueKind<number> {
  return {
    placeholder: 'number',
    expected: `a whole number from ${least} to ${most}`,
    read: (value) => {
      const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
      return number >= least && number <= most ? number : undefined;
    },
  };
}

export function oneOf<T extends string>(values: readonly T[]): ValueKind<T> {
  return {
    placeholder: values.join('|'),
    expected: `one of ${values.join(', ')}`,
    read: (value) => values.find((each) => each === value),
  };
}

/** `leader-elect` is read from KMM_LEADER_ELECT. */
export function envName(flag: string): string {
  return `KMM_${flag.toUpperCase().replaceAll('-', '_')}`;
}

export interface RawValues {
  /** Texts given on the command line, by flag without dashes. */
  readonly values: ReadonlyMap<string, string>;
  readonly errors: readonly string[];
  readonly helpWanted: boolean;
}

/** Splits a command line into texts by flag. Every flag that does not exist and every stray word is one error. */
export function readCommandLine(
  name: string,
  definitions: readonly OptionDefinition<unknown>[],
  argv: readonly string[],
): RawValues {
  const command = commandOf(name, definitions, 'flags');
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { values: new Map(), errors: [], helpWanted: true };
    return { values: new Map(), errors: [sentenceOf(error)], helpWanted: false };
  }
  const values = new Map<string, string>();
  const options = command.opts<Record<string, unknown>>();
  for (const option of command.options) {
    const value = options[option.attributeName()];
    if (typeof value === 'string') values.set(option.name(), value);
  }
  const known = definitions.map(({ flag }) => `--${flag}`);
  const errors = command.args.filter((argument) => argument !== '--').map((argument) => strayWord(argument, known));
  return { values, errors, helpWanted: false };
}

/** Gives each option's value, of its flag or its default. A text that cannot be read is a sentence in `errors`, and no value. */
export function valueReader<C>(
  definitions: OptionDefinitions<C>,
  values: ReadonlyMap<string, string>,
): { readonly value: <K extends keyof C>(field: K) => C[K] | undefined; readonly errors: readonly string[] } {
  const errors: string[] = [];
  const value = <K extends keyof C>(field: K): C[K] | undefined => {
    const { flag, kind, default: preset } = definitions[field];
    const text = values.get(flag) ?? preset;
    const given = text === undefined ? undefined : kind.read(text);
    if (text !== undefined && given === undefined) errors.push(`--${flag}: "${text}" is not ${kind.expected}.`);
    return given;
  };
  return { value, errors };
}

/** @param source whether the command reads the environment beside its flags */
export function helpText(
  name: string,
  definitions: readonly OptionDefinition<unknown>[],
  source: 'flags' | 'flags and environment',
): string {
  return commandOf(name, definitions, source).helpInformation();
}

function commandOf(
  name: string,
  definitions: readonly OptionDefinition<unknown>[],
  source: 'flags' | 'flags and environment',
): Command {
  const silent = { writeOut: () => undefined, writeErr: () => undefined };
  const command = new Command(name)
    .exitOverride()
    .configureOutput(silent)
    // Descriptions say their default themselves; commander would add what a flag without a value means.
    .configureHelp({ optionDescription: ({ description }) => description })
    .allowUnknownOption()
    .allowExcessArguments();
  for (const { flag, kind, default: preset, description, ...rest } of definitions) {
    const alone = rest.alone ?? (kind.placeholder === boolean.placeholder ? 'true' : undefined);
    const value = alone === undefined ? `<${kind.placeholder}>` : `[${kind.placeholder}]`;
    const remarks = [
      ...(preset === undefined || preset === '' ? [] : [`default ${preset}`]),
      ...(source === 'flags' ? [] : [`env ${envName(flag)}`]),
    ];
    const inHelp = remarks.length === 0 ? description : `${description} (${remarks.join(', ')})`;
    const option = new Option(`--${flag} ${value}`, inHelp);
    command.addOption(alone === undefined ? option : option.preset(alone));
  }
  return command;
}

function sentenceOf(error: CommanderError): string {
  const flag = /'--([a-z-]+)/.exec(error.message)?.[1];
  return error.code === 'commander.optionMissingArgument' && flag !== undefined
    ? `--${flag} needs a value.`
    : `${error.message.replace(/^error: /, '')}.`;
}

function strayWord(argument: string, known: readonly string[]): string {
  if (!argument.startsWith('-')) return `"${argument}" is not an option; options begin with two dashes.`;
  const flag = argument.split('=', 1)[0] ?? argument;
  return `${flag} is not a known flag${suggestion(flag, known)}.`;
}

/** Gives `; did you mean X?` without its full stop, for the known name that differs least, or nothing when none is near. */
export function suggestion(name: string, known: readonly string[]): string {
  const [nearest] = known
    .map((each) => ({ each, distance: editDistance(name, each) }))
    .sort((a, b) => a.distance - b.distance);
  return nearest !== undefined && nearest.distance <= Math.max(2, name.length / 4)
    ? `; did you mean ${nearest.each}`
    : '; --help lists them all';
}

/** Levenshtein's: how many letters must be added, taken or changed to turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? Math.max(a.length, b.length);
}
