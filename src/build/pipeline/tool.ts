import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface ToolOptions {
  /** The whole environment: nothing of this process's own is passed on. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called for each line that the tool prints on standard error, and on standard output unless that is wanted as a result. */
  readonly onLine?: (line: string) => void;
  /** Whether standard output is shown with the lines (a build's), or only given back (an answer). */
  readonly stdout?: 'shown' | 'answer';
  readonly signal: AbortSignal;
}

/** A program that ended badly, or that could not be started. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
  readonly tool: string;
  /** Undefined where it was not started or was ended by a signal. */
  readonly exitCode: number | undefined;
  /** What it printed last, without what `redact` takes away; at most 60 lines. */
  readonly lines: readonly string[];

  constructor(tool: string, exitCode: number | undefined, lines: readonly string[], cause?: unknown) {
    super(`${tool} ${exitCode === undefined ? 'did not end by itself' : `ended with exit code ${exitCode}`}`, {
      cause,
    });
    this.tool = tool;
    this.exitCode = exitCode;
    this.lines = lines;
  }
}

const MOST_LINES = 60;
const LONGEST_LINE = 2_000;
/** Answers are manifests and file lists; more than this is none of them. */
const LONGEST_ANSWER = 64 * 1024 * 1024;

export type Redact = (text: string) => string;

/**
 * Runs a program with these arguments, never through a shell, and gives its standard output (where that is the answer).
 *
 * When `signal` aborts, its whole process group is told to end and, 5 s later, made to. Whatever is kept or shown of its lines went
 * through `redact` first.
 *
 * @throws ToolError when the exit code is not 0; the signal's reason when it was aborted
 */
export async function runTool(
  tool: string,
  args: readonly string[],
  options: ToolOptions,
  redact: Redact = (text) => text,
): Promise<string> {
  const { env, cwd, onLine, signal } = options;
  signal.throwIfAborted();
  // A group of its own: buildah and git start programs that must end with them.
  const child = spawn(tool, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const lines: string[] = [];
  const keep = (text: string): void => {
    const line = redact(text).slice(0, LONGEST_LINE);
    lines.push(line);
    if (lines.length > MOST_LINES) lines.shift();
    onLine?.(line);
  };
  const answer: Buffer[] = [];
  let answerBytes = 0;
  if (options.stdout === 'shown') createInterface({ input: child.stdout }).on('line', keep);
  else {
    child.stdout.on('data', (chunk: Buffer) => {
      answerBytes += chunk.length;
      if (answerBytes <= LONGEST_ANSWER) answer.push(chunk);
    });
  }
  createInterface({ input: child.stderr }).on('line', keep);

  const killGroup = (name: NodeJS.Signals): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, name);
    } catch {
      // It has ended.
    }
  };
  let force: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    killGroup('SIGTERM');
    force = setTimeout(() => killGroup('SIGKILL'), 5_000);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    signal.throwIfAborted();
    if (exitCode !== 0) throw new ToolError(tool, exitCode, lines);
    if (answerBytes > LONGEST_ANSWER) throw new ToolError(tool, exitCode, ['it answered more than can be kept']);
    return Buffer.concat(answer).toString('utf8');
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    throw new ToolError(tool, undefined, [error instanceof Error ? redact(error.message) : ''], error);
  } finally {
    clearTimeout(force);
    signal.removeEventListener('abort', onAbort);
  }
}
