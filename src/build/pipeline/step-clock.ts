import type { Step } from './failure.ts';
import type { Durations } from './report.ts';

/** Milliseconds of each step, and the lines that say so. */
export class StepClock {
  readonly #print: (line: string) => void;
  #durations: Durations = {};
  #current: Step = 'check';

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** The step that runs, or that ran last. */
  get current(): Step {
    return this.#current;
  }

  get durations(): Durations {
    return this.#durations;
  }

  /** Those of the stages before; where a step was here too, its own time stays. */
  add(durations: Durations): void {
    this.#durations = { ...durations, ...this.#durations };
  }

  async time<T>(step: Step, act: () => Promise<T>): Promise<T> {
    this.#print(`${step}: begins`);
    this.#current = step;
    const started = performance.now();
    try {
      return await act();
    } finally {
      const took = Math.round(performance.now() - started);
      this.#durations = { ...this.#durations, [step]: took };
      this.#print(`${step}: took ${(took / 1000).toFixed(1)} s`);
    }
  }
}
