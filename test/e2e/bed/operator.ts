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
  /** Starts that of this checkout where a test that failed has left none, or the earlier one. */
  ensure(): Promise<void>;
  /** Ends it as a crash of its node would, with no word to anybody, and returns when nothing of it runs. */
  kill(): Promise<void>;
  /** Whether there is one of an earlier commit. */
  readonly hasEarlier: boolean;
  /** That of the earlier commit takes its place. Returns when it has taken over. */
  startEarlier(): Promise<void>;
  /** That of this checkout takes the place of the earlier one, as when a user upgrades. Returns when it has taken over. */
  upgrade(): Promise<void>;
  /** The last lines of its log. */
  log(): Promise<string>;
}

/** A process beside the control plane, with the rights of its ServiceAccount. */
export class ProcessOperator implements BedOperator {
  readonly manner = 'as a process beside the control plane';
  readonly #controlPlane: ControlPlane;
  readonly #earlier: string | undefined;

  /** @param earlier path of the program of an earlier commit */
  constructor(controlPlane: ControlPlane, earlier: string | undefined) {
    this.#controlPlane = controlPlane;
    this.#earlier = earlier;
  }

  install(): Promise<void> {
    return installOperator(this.#controlPlane);
  }

  start(): Promise<void> {
    return this.#start();
  }

  async ensure(): Promise<void> {
    const { pid, program } = await this.#read();
    if ((await commandLine(pid)).length === 0) return this.start();
    if (program !== undefined) await this.upgrade();
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  get hasEarlier(): boolean {
    return this.#earlier !== undefined;
  }

  async startEarlier(): Promise<void> {
    if (this.#earlier === undefined) throw new Error('there is no earlier operator');
    await this.#end('SIGTERM');
    await this.#start(this.#earlier);
  }

  async upgrade(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#start();
  }

  async #start(program?: string): Promise<void> {
    const operator = await startOperator(this.#controlPlane, program === undefined ? {} : { program });
    operator.detach();
    const { pid, logFile } = operator;
    await writeFile(this.#record, JSON.stringify({ pid, logFile, program }));
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

  async #read(): Promise<{ readonly pid: number; readonly logFile: string; readonly program?: string }> {
    return JSON.parse(await readFile(this.#record, 'utf8'));
  }
}
