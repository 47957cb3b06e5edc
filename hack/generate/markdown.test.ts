import { describe, expect, it } from 'vitest';
import { table } from './markdown.ts';

describe('a table', () => {
  it('has a column for each key, in order, and says its words apart', () => {
    expect(
      table([
        { reason: 'A', nextStep: 'Wait.' },
        { reason: 'B', values: ['x', 'y'] },
      ]),
    ).toBe(
      ['| Reason | Next step | Values |', '| --- | --- | --- |', '| A | Wait. |  |', '| B |  | x, y |'].join('\n'),
    );
  });

  it('is not broken by a bar or a line break in a cell', () => {
    expect(table([{ a: 'x | y\nz' }])).toContain('| x \\| y z |');
  });
});
