/** Where progress goes: process.stderr, or a test's own. */
export interface Sink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/**
 * Says what long work is doing and about how long it takes. On a terminal one line lives and counts; elsewhere (CI)
 * there is a line at each step, and one every half minute so that nobody thinks it hangs.
 */
export class Progress {
  readonly #sink: Sink;
  readonly #now: () => number;
  #step: { readonly text: string; readonly startedAt: number; readonly timer: NodeJS.Timeout } | undefined;

  constructor(sink: Sink = process.stderr, now: () => number = () => performance.now()) {
    this.#sink = sink;
    this.#now = now;
  }

  /** Begins a step; the one before it is done. */
  start(text: string): void {
    this.done();
    const timer = setInterval(() => this.tick(), this.#live ? 200 : 30_000);
    timer.unref();
    this.#step = { text, startedAt: this.#now(), timer };
    if (this.#live) this.tick();
    else this.#sink.write(`${text} ...\n`);
  }

  /** Draws the running step again. */
  tick(): void {
    if (this.#step === undefined) return;
    const elapsed = duration(this.#now() - this.#step.startedAt);
    if (this.#live) {
      const line = `${this.#step.text} ... ${elapsed}`;
      this.#sink.write(`\r\u001b[K${line.slice(0, (this.#sink.columns ?? 80) - 1)}`);
    } else {
      this.#sink.write(`${this.#step.text}: still at it after ${elapsed}\n`);
    }
  }

  /** Ends the running step with the time it took. */
  done(): void {
    const step = this.#clear();
    if (step === undefined) return;
    const elapsed = duration(this.#now() - step.startedAt);
    this.#sink.write(this.#live ? `\r\u001b[K${step.text}: ${elapsed}\n` : `${step.text}: done in ${elapsed}\n`);
  }

  /** Ends the running step without a word, as when it failed: what failed is told by the error. */
  abandon(): void {
    if (this.#clear() !== undefined && this.#live) this.#sink.write('\n');
  }

  say(text: string): void {
    this.#sink.write(this.#live && this.#step !== undefined ? `\r\u001b[K${text}\n` : `${text}\n`);
  }

  get #live(): boolean {
    return this.#sink.isTTY === true;
  }

  #clear() {
    const step = this.#step;
    if (step !== undefined) clearInterval(step.timer);
    this.#step = undefined;
    return step;
  }
}

/** `45 s`, `6 min 5 s`. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
