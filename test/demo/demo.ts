/** `make demo`: argv -> the story, told where the output goes; the exit code says how it ended. */
import { parseArgs } from 'node:util';

import { formatTally } from '../../hack/tally.ts';
import type { Material } from '../e2e/bed/bed.ts';
import { demoInNamespace, readMaterial } from './real-node.ts';
import { runDemo, stopKept } from './run.ts';
import { isPlain, LiveScreen, PlainScreen } from './screen.ts';

const USAGE = `Usage: make demo                               tell the story; nothing stays behind
       make demo KEEP=1                        leave the cluster and the operator running
       make demo REAL=1                        with one node that is a virtual machine with a kernel of its own
       make demo ARGS='--stop DIRECTORY'       end a cluster that was left running
`;

/** Exit code of a program that a signal ends: 128 and the signal's number. */
const INTERRUPTIONS = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 } as const;

type Interruption = keyof typeof INTERRUPTIONS;

async function main(): Promise<number> {
  let options: { keep?: boolean; real?: boolean; 'real-node'?: string; stop?: string; help?: boolean };
  try {
    options = parseArgs({
      options: {
        keep: { type: 'boolean' },
        real: { type: 'boolean' },
        // What `--real` starts in a network namespace: a file that says what a real node is made of.
        'real-node': { type: 'string' },
        stop: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
  if (options.help === true) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.stop !== undefined) return stop(options.stop);
  const keep = options.keep === true;
  if (options.real === true) return demoInNamespace(keep);
  const file = options['real-node'];
  return demo(keep, file === undefined ? undefined : await readMaterial(file));
}

async function demo(keep: boolean, realNode: Material | undefined): Promise<number> {
  const interrupted = new AbortController();
  let by: Interruption | undefined;
  const interrupt = (signal: Interruption): void => {
    by ??= signal;
    interrupted.abort(new Error(`interrupted by ${signal}`));
  };
  // A second signal while the cluster is being removed changes nothing: it must not stay half removed.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt(signal));
  // Whoever read us has gone, as head does.
  process.stdout.on('error', () => interrupt('SIGPIPE'));

  const screen = isPlain(process.stdout, process.env)
    ? new PlainScreen(process.stdout)
    : new LiveScreen(process.stdout);
  try {
    const tally = await runDemo({
      screen,
      keep,
      ...(realNode === undefined ? {} : { realNode }),
      signal: interrupted.signal,
    });
    screen.close();
    process.stdout.write(`${formatTally(tally)}\n`);
    return tally.failed === 0 ? 0 : 1;
  } catch (error) {
    screen.close();
    if (by === undefined) throw error;
    process.stderr.write(`Interrupted by ${by}: the cluster and all that ran in it are gone.\n`);
    return INTERRUPTIONS[by];
  }
}

async function stop(directory: string): Promise<number> {
  try {
    await stopKept(directory);
    process.stdout.write(`The cluster in ${directory} is gone.\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

// The operator of a cluster that is kept is a child of this process, which would wait for it.
process.exit(await main());
