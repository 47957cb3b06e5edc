import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Aborts when this program is told to end, by Ctrl-C or by whoever started it: what it has started ends then too. A second time ends it at once. */
export function interruption(): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
  return interrupted.signal;
}

export interface InterruptibleOptions extends Pick<SpawnOptions, 'env' | 'stdio'> {
  /** Ends the program. It is waited for all the same: what it started may take a while to end with it. */
  readonly interrupted: AbortSignal;
  readonly onStart?: (child: ChildProcess) => void;
}

/**
 * Runs a program of the libraries that `make setup` installs, and gives its exit code: as in a shell 128 and its number where a signal ended it.
 *
 * @throws Error where there is no such program
 */
export function runInterruptible(
  [program, ...args]: readonly [string, ...string[]],
  { interrupted, onStart, ...options }: InterruptibleOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, signal: interrupted });
    onStart?.(child);
    child.once('error', (cause) => {
      // One that is told to end says so here, and closes when it has ended.
      if (!interrupted.aborted) reject(new Error(`cannot run ${program}: run \`make setup\` first`, { cause }));
    });
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
