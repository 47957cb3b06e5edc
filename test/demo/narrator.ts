/** Tells the story step by step, with its checks and how long each took, and counts them. */
import type { Tally } from '../../hack/tally.ts';
import type { Found } from './expectations.ts';
import { cell, type Line, span } from './paint.ts';
import type { Screen } from './screen.ts';

/** A check has failed, has been told and counted, and what follows makes no sense without it. */
export class StoryEnded extends Error {
  override readonly name = 'StoryEnded';
}

export interface NarratorOptions {
  readonly screen: Screen;
  /** The last lines of the operator's log, told beside a failure; empty when it has none yet. */
  readonly operatorLog: () => Promise<readonly string[]>;
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number;
}

export class Narrator {
  readonly #screen: Screen;
  readonly #operatorLog: () => Promise<readonly string[]>;
  readonly #now: () => number;
  #step = 0;
  #passed = 0;
  #failed = 0;
  #waiting: { readonly what: string; readonly since: number } | undefined;

  constructor({ screen, operatorLog, now = () => performance.now() }: NarratorOptions) {
    this.#screen = screen;
    this.#operatorLog = operatorLog;
    this.#now = now;
  }

  get tally(): Tally {
    return { passed: this.#passed, failed: this.#failed };
  }

  /** What is awaited now, for the live view. */
  get waitingLine(): Line {
    if (this.#waiting === undefined) return [];
    const { what, since } = this.#waiting;
    return [span(`    … ${((this.#now() - since) / 1000).toFixed(1)} s  `, 'busy'), span(what)];
  }

  step(title: string): void {
    this.#step += 1;
    this.#screen.print([]);
    this.#screen.print([span(`${String(this.#step).padStart(2)}. ${title}`, 'strong')]);
  }

  /** Something that happens, in the words of a story. */
  say(text: string): void {
    this.#screen.print([span(`    ${text}`)]);
  }

  /** What a person would type to have the same done. */
  command(text: string): void {
    this.#screen.print([span(`    $ ${text}`, 'busy')]);
  }

  /** What a program said. */
  quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#screen.print([span(`      ${line}`, 'quiet')]);
  }

  table(lines: readonly Line[]): void {
    for (const line of lines) this.#screen.print([span('      '), ...line]);
  }

  /**
   * Waits for what is expected, and tells how long it took. `wait` gives what was found instead, or undefined.
   *
   * @throws StoryEnded when it did not come true; by then that is told and counted
   */
  async expect(expected: string, wait: () => Promise<Found>): Promise<void> {
    const since = this.#now();
    this.#waiting = { what: expected, since };
    this.#screen.refresh();
    let found: Found;
    try {
      found = await wait();
    } finally {
      this.#waiting = undefined;
    }
    await this.#conclude(expected, found, seconds(this.#now() - since));
    if (found !== undefined) throw new StoryEnded(expected);
  }

  /** Tells whether what is expected is so; the story goes on in any case. */
  async fact(expected: string, found: Found): Promise<void> {
    await this.#conclude(expected, found);
  }

  /** Tells and counts something that went wrong where nothing was being checked. */
  async broken(what: string): Promise<void> {
    await this.#conclude('the story can be told to its end', what);
  }

  async #conclude(expected: string, found: Found, took?: string): Promise<void> {
    const time = took === undefined ? '' : ` (${took})`;
    if (found === undefined) {
      this.#passed += 1;
      this.#screen.print([span('    ✓', 'good'), span(` ${expected}`), span(time, 'quiet')]);
      return;
    }
    this.#failed += 1;
    this.#screen.print([span('    ✗', 'bad'), span(` ${expected}`), span(time, 'quiet')]);
    this.#screen.print([span(`      ${cell('expected:', 10)}${expected}`)]);
    for (const [index, line] of found.trimEnd().split('\n').entries()) {
      this.#screen.print([span(`      ${cell(index === 0 ? 'found:' : '', 10)}${line}`, 'bad')]);
    }
    const log = await this.#operatorLog();
    if (log.length === 0) return;
    this.#screen.print([span("      the operator's last words:")]);
    for (const line of log) this.#screen.print([span(`        ${line}`, 'quiet')]);
  }
}

/** `at once`, `0.24 s`, `12.3 s`. */
export function seconds(milliseconds: number): string {
  if (milliseconds < 10) return 'at once';
  const value = milliseconds / 1000;
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}
