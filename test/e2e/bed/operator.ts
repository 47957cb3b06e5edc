/** The operator of the bed, behind an interface: how it runs is not the scenarios' business. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { installOperator, startOperator } from '../../harness/operator.ts';
import { commandLine, signalProcess } from '../../harness/processes.ts';

export interface BedOperator {
  /** How it runs, as the end of the sentence `the operator runs ...`. */
  readonly manner: string;
  /** Installs what it needs; once. */
  install(): Promise<void>;
  /** Returns when its caches are synced. */
  start(): Promise<void>;
  /** Ends it as a crash of its node would, with no word to anybody, and returns when nothing of it runs. */
  kill(): Promise<void>;
  /**
   * Another one takes its place, as in an upgrade, and gives what it makes from now on this priority class: it renders what the one before
   * rendered otherwise. Returns when it has taken over.
   */
  upgrade(priorityClassName: string): Promise<void>;
  /** The last lines of its log. */
  log(): Promise<string>;
}

/** A process beside the control plane, with the rights of its ServiceAccount. */
export class ProcessOperator implements BedOperator {
  readonly manner = 'as a process beside the control plane';
  readonly #controlPlane: ControlPlane;

  constructor(controlPlane: ControlPlane) {
    this.#controlPlane = controlPlane;
  }

  install(): Promise<void> {
    return installOperator(this.#controlPlane);
  }

  start(): Promise<void> {
    return this.#start([]);
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async upgrade(priorityClassName: string): Promise<void> {
    await this.#end('SIGTERM');
    await this.#start([`--priority-class-name=${priorityClassName}`]);
  }

  async #start(flags: readonly string[]): Promise<void> {
    const operator = await startOperator(this.#controlPlane, { flags });
    operator.detach();
    const { pid, logFile } = operator;
    await writeFile(this.#record, JSON.stringify({ pid, logFile }));
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const { pid } = await this.#read();
    signalProcess(pid, signal);
    await eventually(
      async () => {
        if ((await commandLine(pid)).length > 0) throw new Error(`pid ${pid} still runs`);
      },
      { what: 'the end of the operator' },
    );
  }

  async log(): Promise<string> {
    const { logFile } = await this.#read();
    return (await readFile(logFile, 'utf8')).split('\n').slice(-60).join('\n');
  }

  /** Another process of this machine may go on with it. */
  get #record(): string {
    return join(this.#controlPlane.directory, 'operator.json');
  }

  async #read(): Promise<{ readonly pid: number; readonly logFile: string }> {
    return JSON.parse(await readFile(this.#record, 'utf8'));
  }
}
