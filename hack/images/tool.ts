import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LAST_LINES = 30;

/** Runs a program with these words and gives what it printed. */
export type Tool = (...args: readonly string[]) => Promise<string>;

/** @throws Error with what it said last, when it cannot be started or ends badly; the signal's reason when that has aborted */
export async function tool(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
  cwd?: string,
): Promise<string> {
  try {
    const { stdout } = await run(program, [...args], { signal, cwd, maxBuffer: 256 * 1024 * 1024 });
    return stdout;
  } catch (cause) {
    signal.throwIfAborted();
    const code = isFailure(cause) ? cause.code : undefined;
    if (code === 'ENOENT') throw new Error(`${program} is not installed: make setup installs it`, { cause });
    const said = isFailure(cause) ? `${cause.stdout ?? ''}${cause.stderr ?? ''}` : '';
    const lines = said.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
    throw new Error(`${program} ended with ${code ?? 'a signal'}:\n${lines}`, { cause });
  }
}

interface Failure extends Error {
  readonly code?: string | number;
  readonly stdout?: string;
  readonly stderr?: string;
}

function isFailure(error: unknown): error is Failure {
  return error instanceof Error;
}
