/** The one binary, `kmm`: finds the command that the first word names and hands it the others. A command loads nothing of another's. */
interface Command {
  readonly summary: string;
  readonly run: (argv: readonly string[]) => Promise<void> | void;
}

const COMMANDS = new Map<string, Command>(
  Object.entries({
    manager: {
      summary: 'Run the operator.',
      run: async (argv) => (await import('./commands/manager.ts')).runManager(argv),
    },
    match: {
      summary: "Print which of a Module's mappings wins for a kernel, and its image. Needs no cluster.",
      run: async (argv) => (await import('./commands/match.ts')).runMatch(argv),
    },
    'build-image': {
      summary: "Build, sign and push a module's image; what runs in a build pod.",
      run: async (argv) => (await import('./commands/build-image.ts')).runBuildImage(argv),
    },
    'registry-front': {
      summary: "Stand before the cluster's own registry, or on a node pass on what reads it.",
      run: async (argv) => (await import('./commands/registry-front.ts')).runRegistryFront(argv),
    },
    purge: {
      summary: 'Take everything of KMM off a cluster whose operator is gone.',
      run: async (argv) => (await import('./commands/purge.ts')).runPurge(argv),
    },
    images: {
      summary: 'Print the images that KMM can start, or a script that copies them to a registry of yours.',
      run: async (argv) => (await import('./commands/images.ts')).runImages(argv),
    },
    'support-bundle': {
      summary: 'Collect what explains how the operator and its Modules are into one archive, without secrets.',
      run: async (argv) => (await import('./commands/support-bundle.ts')).runSupportBundle(argv),
    },
    version: {
      summary: 'Print the version.',
      run: async () => {
        process.stdout.write(`kmm ${(await import('./commands/version.ts')).VERSION}\n`);
      },
    },
    help: {
      summary: 'Show this text, or what a command takes: kmm help COMMAND.',
      run: ([command]) => (command === undefined ? showHelp() : run([command, '--help'])),
    },
  }),
);

const ALIASES = new Map([
  ['--help', 'help'],
  ['-h', 'help'],
  ['--version', 'version'],
]);

function showHelp(): void {
  const lines = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(16)}${summary}`);
  process.stdout.write(`Kernel Module Management.\n\nUsage: kmm COMMAND [options]\n\n${lines.join('\n')}\n`);
}

async function run([word = 'help', ...argv]: readonly string[]): Promise<void> {
  const command = COMMANDS.get(ALIASES.get(word) ?? word);
  if (command !== undefined) return command.run(argv);
  process.stderr.write(`kmm: "${word}" is not a command; kmm help lists them all.\n`);
  process.exitCode = 1;
}

// Whoever reads us may stop early, as head does: what is left to say is then for nobody, and that is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

await run(process.argv.slice(2));
