import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

import { eventually } from '../../harness/eventually.ts';

export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [key: string]: unknown;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One of our programs as a process of its own, and what it logs. It is killed when the test is over. */
export class Program {
  readonly lines: LogLine[] = [];
  /** Settles when the process has ended and all it wrote has been read. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  #stderr = '';
  readonly #gone = new AbortController();

  /** @param fixture a file under fixtures/ */
  constructor(fixture: string, env: Readonly<Record<string, string>>) {
    const file = fileURLToPath(new URL(`./fixtures/${fixture}`, import.meta.url));
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => this.lines.push(JSON.parse(line)));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (this.#stderr += chunk));
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#gone.abort();
        resolve({ code, signal });
      });
    });
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await this.ended;
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  get messages(): readonly string[] {
    return this.lines.map(({ msg }) => msg);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /**
   * The first line with this message, once it is there.
   * @throws Error with what the process did say, as soon as it has ended without that line.
   */
  async line(msg: string, timeoutMs = 30_000): Promise<LogLine> {
    const find = (): LogLine | undefined => this.lines.find((each) => each.msg === msg);
    const said = (): string => `it said ${JSON.stringify(this.messages)} ${this.#stderr}`;
    try {
      return await eventually(
        () => {
          const line = find();
          if (line === undefined) throw new Error(said());
          return line;
        },
        { what: `"${msg}" in the log of a process`, timeoutMs, intervalMs: 20, signal: this.#gone.signal },
      );
    } catch (error) {
      const line = find();
      if (line !== undefined) return line;
      if (!this.#gone.signal.aborted) throw error;
      throw new Error(`the process ended and never said "${msg}"; ${said()}`, { cause: error });
    }
  }
}
