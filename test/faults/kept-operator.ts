/** An operator that is started again whenever it ends, as a kubelet does it. */
import { readFile } from 'node:fs/promises';

import type { ControlPlane } from '../harness/control-plane.ts';
import { eventually } from '../harness/eventually.ts';
import { type OperatorProcess, operatorKubeconfig, spawnOperator } from '../harness/operator.ts';

export interface KeptOperatorOptions {
  /** The way to the API server; directly unless told. */
  readonly server?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class KeptOperator {
  readonly #controlPlane: ControlPlane;
  readonly #options: KeptOperatorOptions;
  readonly #lives: Promise<void>;
  #operator: OperatorProcess | undefined;
  #stopped = false;
  #between: (() => Promise<void>) | undefined;
  /** Where the log of each life is. */
  readonly logFiles: string[] = [];
  /** How each life ended: an exit code, or a signal. */
  readonly ends: (number | NodeJS.Signals)[] = [];

  constructor(controlPlane: ControlPlane, options: KeptOperatorOptions = {}) {
    this.#controlPlane = controlPlane;
    this.#options = options;
    this.#lives = this.#live();
    // Whoever stops it hears of a failure to start.
    this.#lives.catch(() => undefined);
  }

  /** The present life. Throws before the first has begun. */
  get process(): OperatorProcess {
    if (this.#operator === undefined) throw new Error('no operator has been started yet');
    return this.#operator;
  }

  /** The last line of each life's log: why one ended that nobody killed. */
  async lastWords(): Promise<readonly string[]> {
    const texts = await Promise.all(this.logFiles.map((file) => readFile(file, 'utf8')));
    return texts.map((text) => text.trim().split('\n').at(-1) ?? '');
  }

  /** SIGKILL. The next life begins at once. */
  async kill(): Promise<void> {
    await this.#operator?.kill();
  }

  /**
   * SIGKILL, and the next life.
   *
   * @param between is done while there is none
   */
  async replace(between?: () => Promise<void>): Promise<OperatorProcess> {
    const lives = this.ends.length;
    this.#between = between;
    await this.kill();
    return eventually(
      () => {
        if (this.ends.length === lives || this.process.hasEnded) throw new Error('it has not been replaced');
        return this.process;
      },
      { what: 'the next life of the operator' },
    );
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#operator?.kill();
    await this.#lives;
  }

  async #live(): Promise<void> {
    const { server, flags = [], env } = this.#options;
    const kubeconfig = await operatorKubeconfig(this.#controlPlane, server);
    while (!this.#stopped) {
      this.#operator = await spawnOperator(this.#controlPlane, { kubeconfig, flags, env });
      this.logFiles.push(this.#operator.logFile);
      const end = await this.#operator.exited;
      const between = this.#between;
      this.#between = undefined;
      await between?.();
      this.ends.push(end);
    }
  }
}
