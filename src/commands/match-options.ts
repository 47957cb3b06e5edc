import { Command, CommanderError, Option } from 'commander';
import { suggestion } from './options.ts';

export interface MatchOptions {
  /** Standard input where it is `-` or undefined. */
  readonly file: string | undefined;
  /** At least one. */
  readonly kernels: readonly string[];
  readonly arch: string;
  /** Undefined: the Module's own. */
  readonly namespace: string | undefined;
  readonly output: Output;
  /** The cluster's registry as nodes know it; undefined: there is none. */
  readonly registryPullHost: string | undefined;
}

export type MatchCommandLine =
  | { readonly kind: 'run'; readonly options: MatchOptions }
  | { readonly kind: 'help'; readonly text: string }
  /** One sentence per mistake. */
  | { readonly kind: 'refused'; readonly errors: readonly string[] };

const OUTPUTS = ['text', 'json'] as const;
type Output = (typeof OUTPUTS)[number];

/** What kubelets report as status.nodeInfo.architecture. Source: Go's GOARCH of the platforms that Kubernetes is released for. */
const ARCHITECTURES = ['amd64', 'arm64', 'ppc64le', 's390x', 'riscv64', 'loong64', 'arm', '386'];

const EPILOGUE = `
A file with several objects is read too, if one of them is a Module. In text and in JSON alike the answers come in the order of --kernel;
-o json prints an array of {kernel, matched, mappingIndex, image, build, buildArgs}, with error instead of image where resolving fails.

Exit code: 0 when every kernel has an image; 1 when the command line or the Module cannot be read; 2 when a kernel matches no mapping or
its image cannot be resolved.

Examples:
  kmm match -f module.yaml --kernel "$(uname -r)"
  kubectl get module my-module -o yaml | kmm match --kernel 5.4.0-1054-gke --kernel 6.1.0-13-amd64 -o json`;

/** @param argv the words behind `kmm match` */
export function readMatchCommandLine(argv: readonly string[]): MatchCommandLine {
  const command = matchCommand();
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: helpOf(command) };
    return { kind: 'refused', errors: [sentenceOf(error)] };
  }
  const given = command.opts<Record<string, unknown>>();
  const kernels = textsOf(given.kernel);
  const arch = textOf(given.arch) ?? 'amd64';
  const wantedOutput = textOf(given.output) ?? 'text';
  const output = OUTPUTS.find((each) => each === wantedOutput);
  const errors = command.args.map((word) => strayWord(word, command));
  if (kernels.length === 0) errors.push('No kernel is given; write --kernel and a release as uname -r prints it.');
  if (kernels.includes('')) errors.push('--kernel: "" is not a kernel release; write it as uname -r prints it.');
  if (!ARCHITECTURES.includes(arch)) errors.push(unknownArchitecture(arch));
  if (output === undefined) errors.push(`--output: "${wantedOutput}" is not one of ${OUTPUTS.join(', ')}.`);
  if (errors.length > 0 || output === undefined) return { kind: 'refused', errors };
  const file = textOf(given.file);
  const namespace = textOf(given.namespace);
  return {
    kind: 'run',
    options: { file, kernels, arch, namespace, output, registryPullHost: textOf(given.registryPullHost) },
  };
}

function matchCommand(): Command {
  const silent = { writeOut: () => undefined, writeErr: () => undefined };
  return new Command('kmm match')
    .description(
      "Prints which of a Module's mappings wins for a kernel, and the image and the build arguments it gives. Needs no cluster.",
    )
    .helpOption('-h, --help', 'Show this text.')
    .exitOverride()
    .configureOutput(silent)
    .allowUnknownOption()
    .allowExcessArguments()
    .addOption(
      new Option('-f, --file <file>', 'A Module in YAML or JSON. Without it, or as -, standard input is read.'),
    )
    .addOption(
      new Option(
        '-k, --kernel <release>',
        'A kernel release, as uname -r prints it. May be given many times.',
      ).argParser((release: string, before: unknown) => [...textsOf(before), release]),
    )
    .addOption(new Option('-a, --arch <arch>', "The nodes' architecture, as Kubernetes calls it (default amd64)."))
    .addOption(new Option('-n, --namespace <name>', "MOD_NAMESPACE (default the Module's namespace, else default)."))
    .addOption(
      new Option(
        '--registry-pull-host <host>',
        "The operator's flag of that name: where images are that a mapping does not name.",
      ),
    )
    .addOption(new Option('-o, --output <format>', 'text or json (default text).'));
}

function helpOf(command: Command): string {
  return `${command.helpInformation()}${EPILOGUE}\n`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function sentenceOf(error: CommanderError): string {
  const flag = /(--[a-z-]+)/.exec(error.message)?.[1];
  return error.code === 'commander.optionMissingArgument' && flag !== undefined
    ? `${flag} needs a value.`
    : `${error.message.replace(/^error: /, '')}.`;
}

function strayWord(word: string, command: Command): string {
  if (!word.startsWith('-')) return `"${word}" is not an option; the Module is given as -f ${word}.`;
  const flag = word.split('=', 1)[0] ?? word;
  const known = command.options.flatMap(({ long }) => long ?? []);
  return `${flag} is not a known flag${suggestion(flag, known)}.`;
}

function unknownArchitecture(arch: string): string {
  const kernelsOwn: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64', i386: '386', i686: '386' };
  const meant = Object.hasOwn(kernelsOwn, arch) ? kernelsOwn[arch] : undefined;
  const hint = meant === undefined ? '' : `; Kubernetes calls it ${meant}`;
  return `--arch: "${arch}" is not one of ${ARCHITECTURES.join(', ')}${hint}.`;
}
