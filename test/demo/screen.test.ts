import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Line, span } from './paint.ts';
import { isPlain, LiveScreen, PlainScreen } from './screen.ts';

const ESCAPE = '\u001b';

class FakeTerminal extends EventEmitter {
  isTTY = true;
  columns = 20;
  rows = 10;
  text = '';

  write(text: string): void {
    this.text += text;
  }

  /** What was written since the last call. */
  take(): string {
    const { text } = this;
    this.text = '';
    return text;
  }
}

const lines = (...texts: readonly string[]): readonly Line[] => texts.map((text) => [span(text)]);

describe('a plain screen', () => {
  it('writes lines without an escape code and shows no view', () => {
    const output = new FakeTerminal();
    const screen = new PlainScreen(output);
    screen.print([span('✓', 'good'), span(' done')]);
    screen.show();
    screen.refresh();
    screen.close();
    expect(output.text).toBe('✓ done\n');
  });

  it.each<[string, boolean | undefined, Record<string, string>, boolean]>([
    ['a terminal', true, { TERM: 'xterm' }, false],
    ['no terminal', undefined, {}, true],
    ['a terminal and NO_COLOR', true, { NO_COLOR: '1' }, true],
    ['a terminal and an empty NO_COLOR', true, { NO_COLOR: '' }, false],
    ['a terminal and CI', true, { CI: 'true' }, true],
    ['a dumb terminal', true, { TERM: 'dumb' }, true],
  ])('is used, or not, with %s', (_what, isTTY, env, plain) => {
    expect(isPlain(Object.assign(new FakeTerminal(), { isTTY }), env)).toBe(plain);
  });
});

describe('a live screen', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('draws the view, and draws it again in its place when it has changed', () => {
    const output = new FakeTerminal();
    const screen = new LiveScreen(output);
    let world = 'one';
    screen.show(() => lines('title', world));
    expect(output.take()).toBe(`${ESCAPE}[?25ltitle\none`);
    screen.refresh();
    vi.advanceTimersByTime(50);
    expect(output.take()).toBe('');
    world = 'two';
    screen.refresh();
    screen.refresh();
    vi.advanceTimersByTime(50);
    expect(output.take()).toBe(`${ESCAPE}[?25l\r${ESCAPE}[1A${ESCAPE}[Jtitle\ntwo`);
    screen.close();
  });

  it('prints above the view', () => {
    const output = new FakeTerminal();
    const screen = new LiveScreen(output);
    screen.show(() => lines('view'));
    output.take();
    screen.print([span('a story')]);
    expect(output.take()).toBe(`\r${ESCAPE}[Ja story\n${ESCAPE}[?25lview`);
    screen.close();
  });

  it('takes the view away and shows the cursor when it closes, and then nothing more is drawn', () => {
    const output = new FakeTerminal();
    const screen = new LiveScreen(output);
    screen.show(() => lines('a', 'b', 'c'));
    screen.refresh();
    output.take();
    screen.close();
    expect(output.take()).toBe(`${ESCAPE}[?25l\r${ESCAPE}[2A${ESCAPE}[J${ESCAPE}[?25h`);
    vi.advanceTimersByTime(1_000);
    output.emit('resize');
    expect(output.take()).toBe('');
  });

  it('erases also the rows into which a terminal that became narrower has wrapped the view', () => {
    const output = new FakeTerminal();
    const screen = new LiveScreen(output);
    screen.show(() => lines('a line of 18 chars', 'b'));
    output.take();
    output.columns = 10;
    output.emit('resize');
    expect(output.take()).toBe(
      `\r${ESCAPE}[2A${ESCAPE}[J${ESCAPE}[?25la line o…\nb`.replace('a line o…', `a line o${ESCAPE}[2m…${ESCAPE}[0m`),
    );
    screen.close();
  });

  it('never draws more rows than the terminal has, nor fills its last column', () => {
    const output = new FakeTerminal();
    const screen = new LiveScreen(output);
    screen.show(({ columns, rows = 0 }) => {
      expect(columns).toBe(19);
      return lines(...Array.from({ length: rows + 5 }, (_, index) => `${index} ${'x'.repeat(30)}`));
    });
    const drawn = output
      .take()
      .replaceAll(new RegExp(`${ESCAPE}\\[[?0-9]*[a-zA-Z]`, 'g'), '')
      .split('\n');
    expect(drawn.length).toBeLessThan(output.rows);
    for (const line of drawn) expect(line.length).toBeLessThanOrEqual(19);
    screen.close();
  });
});
