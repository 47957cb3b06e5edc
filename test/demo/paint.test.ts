import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { cell, colouredText, fitLine, type Line, plainText, span, widthOf, wrapLine } from './paint.ts';

const line: Line = [span('one ', 'good'), span('two '), span('three', 'bad')];

describe('a line', () => {
  it('is plain text without a code, however coloured it is', () => {
    expect(plainText([...line, span('   ')])).toBe('one two three');
  });

  it('is coloured span by span, and each colour ends where its span does', () => {
    expect(colouredText(line)).toBe('\u001b[32mone \u001b[0mtwo \u001b[31mthree\u001b[0m');
  });

  it('that fits stays as it is', () => {
    expect(fitLine(line, 13)).toBe(line);
  });

  it('that does not fit ends with an ellipsis', () => {
    expect(plainText(fitLine(line, 9))).toBe('one two …');
    expect(plainText(fitLine(line, 1))).toBe('…');
    expect(fitLine(line, 0)).toEqual([]);
  });

  it('is wrapped between words, with what follows indented', () => {
    const wrapped = wrapLine([span('  ✓ ', 'good'), span('a node is cordoned (1.23 s)')], 16);
    expect(wrapped.map(plainText)).toEqual(['  ✓ a node is', '    cordoned', '    (1.23 s)']);
  });

  it('with a word too long for a line is broken in the word', () => {
    expect(wrapLine([span('abcdefghij')], 6).map(plainText)).toEqual(['abcdef', '  ghij']);
  });
});

const anyLine = fc.array(
  fc.record({ text: fc.stringMatching(/^[a-z ✓…]{0,30}$/), tone: fc.constantFrom(undefined, 'good', 'bad') }),
  { maxLength: 5 },
);

it('no line that was fitted or wrapped is wider than the terminal, and wrapping loses no letter', () => {
  fc.assert(
    fc.property(anyLine, fc.integer({ min: 2, max: 60 }), (spans, columns) => {
      const wrapped = wrapLine(spans, columns);
      expect(widthOf(fitLine(spans, columns))).toBeLessThanOrEqual(columns);
      for (const part of wrapped) expect(widthOf(part)).toBeLessThanOrEqual(columns);
      const letters = (lines: readonly Line[]) => lines.map(plainText).join('').replaceAll(' ', '');
      expect(letters(wrapped)).toBe(letters([spans]));
    }),
  );
});

describe('a cell', () => {
  it.each([
    ['node-1', 8, 'node-1  '],
    ['node-1', 6, 'node-1'],
    ['fedora-5.16.11-v2', 11, 'fedor…11-v2'],
    ['node-1', 2, 'no'],
    ['node-1', 0, ''],
  ])('of %s in %i columns is %j', (text, columns, expected) => {
    expect(cell(text, columns)).toBe(expected);
  });
});
