import { Command, CommanderError, Option } from 'commander';
import { pushTargetProblem } from './image-mirror.ts';
import { suggestion } from './options.ts';

export type ImagesCommandLine =
  | { readonly kind: 'list'; readonly output: Output }
  /** `target` is `HOST[:PORT][/PREFIX]`. */
  | { readonly kind: 'mirror'; readonly target: string }
  | { readonly kind: 'help'; readonly text: string }
  /** One sentence per mistake. */
  | { readonly kind: 'refused'; readonly errors: readonly string[] };

const OUTPUTS = ['text', 'json'] as const;
type Output = (typeof OUTPUTS)[number];

const EPILOGUE = `
Example, for a cluster that reaches no public registry:
  kmm images --mirror-to registry.example.com/kmm > mirror.sh`;

/** @param argv the words behind `kmm images` */
export function readImagesCommandLine(argv: readonly string[]): ImagesCommandLine {
  const command = imagesCommand();
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed')
      return { kind: 'help', text: `${command.helpInformation()}${EPILOGUE}\n` };
    return { kind: 'refused', errors: [`${error.message.replace(/^error: /, '')}.`] };
  }
  const { output: given = 'text', mirrorTo } = command.opts<Record<string, string | undefined>>();
  const output = OUTPUTS.find((each) => each === given);
  const known = command.options.flatMap(({ long }) => long ?? []);
  const errors = command.args.map((word) =>
    word.startsWith('-') ? `${word} is not a known flag${suggestion(word, known)}.` : `"${word}" is not an option.`,
  );
  if (output === undefined) errors.push(`--output: "${given}" is not one of ${OUTPUTS.join(', ')}.`);
  const target = mirrorTo?.replace(/\/+$/, '');
  const problem = target === undefined ? undefined : pushTargetProblem(target);
  if (problem !== undefined) errors.push(`--mirror-to: ${problem}.`);
  if (output === 'json' && target !== undefined) errors.push('--mirror-to prints a script, and no JSON.');
  if (errors.length > 0 || output === undefined) return { kind: 'refused', errors };
  return target === undefined ? { kind: 'list', output } : { kind: 'mirror', target };
}

function imagesCommand(): Command {
  const silent = { writeOut: () => undefined, writeErr: () => undefined };
  return new Command('kmm images')
    .description('Prints the images that KMM can start, or a script that copies them to a registry of yours.')
    .helpOption('-h, --help', 'Show this text.')
    .exitOverride()
    .configureOutput(silent)
    .allowUnknownOption()
    .allowExcessArguments()
    .addOption(new Option('-o, --output <format>', 'text or json (default text).'))
    .addOption(new Option('--mirror-to <registry>', 'HOST[:PORT][/PREFIX] that they are to be copied to.'));
}
