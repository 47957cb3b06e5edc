import fc from 'fast-check';
import { RE2JS, RE2JSException } from 're2js';
import { describe, expect, it } from 'vitest';
import { programSizeOf } from './pattern-size.ts';

describe('programSizeOf', () => {
  it.each([
    ['(?:()()){1000}', 4_000],
    ['(?:(?:a{10}){10}){10}', 1_000],
    ['[^]a{3}(){1000}', 1_000],
    ['[[:digit:]({9}]{2}x{500}', 500],
    ['\\Q(((\\E{1000}', 1_000],
    ['(?:.?){1000}', 2_000],
    ['(?:a{1000})(?i)\\Q\\E{1000}', 1_000_000],
    ['\\pL{1000}', 1_000],
    ['\\p{Greek}{1000}', 1_000],
  ])('sees that /%s/ is at least %d instructions', (source, least) => {
    expect(programSizeOf(source)).toBeGreaterThanOrEqual(least);
  });

  it.each(['^(\\d+)\\.(\\d+)\\.\\d+-.*\\.el9_\\d{1,3}\\.x86_64$', '^5\\.(4|10|15)\\.0-[0-9]{4}-(gke|aws|azure)$'])(
    'is not alarmed by /%s/',
    (source) => {
      expect(programSizeOf(source)).toBeLessThan(200);
    },
  );

  // It must not itself be what a hostile pattern holds up: where each letter may be read in two ways, these do not come to an end.
  it.each(['[\\\\', '[\\]', '[:', '[[:', '[[:a:]', '[^]', '\\p{', '\\Q', '(?a', '{1', '{1,', '((', 'a{9}'])(
    'is done with the longest pattern that is %s again and again',
    (part) => {
      const source = part.repeat(1_024 / part.length);
      expect(programSizeOf(source)).toBeGreaterThan(0);
      expect(programSizeOf(`[${source}`)).toBeGreaterThan(0);
      expect(programSizeOf(`${source}]`)).toBeGreaterThan(0);
    },
  );

  it('is never less than what RE2 makes of a pattern', () => {
    const letters = fc.constantFrom(
      'a',
      '.',
      '[a-z]',
      '[^]x]',
      '[]a]',
      '[[:alpha:]_]',
      '\\d',
      '\\pL',
      '\\p{Greek}',
      '\\x{61}',
      '\\(',
      '\\Qa(b{2}\\E',
      '^',
      '\\b',
      '|',
      '()',
      '{',
      '}',
      ']',
      'é',
      '😀',
      '(?i)',
      '(?s-i)',
      '\\Q\\E',
    );
    const counts = fc.constantFrom('', '', '', '*', '+', '?', '*?', '{3}', '{0,7}', '{2,}', '{5,9}?', '{,3}');
    const { pattern } = fc.letrec<{ pattern: string; part: string; group: string }>((tie) => ({
      group: fc
        .tuple(fc.constantFrom('(', '(?:', '(?i:', '(?P<n>'), tie('pattern'))
        .map(([open, inner]) => `${open}${inner})`),
      part: fc
        .tuple(fc.oneof({ depthSize: 'small' }, letters, tie('group')), counts)
        .map(([atom, count]) => atom + count),
      pattern: fc.array(tie('part'), { maxLength: 5 }).map((parts) => parts.join('')),
    }));
    let compiled = 0;
    fc.assert(
      fc.property(pattern, (source) => {
        let size: number;
        try {
          size = RE2JS.compile(source).programSize();
        } catch (error) {
          if (error instanceof RE2JSException) return;
          throw error;
        }
        compiled += 1;
        expect(programSizeOf(source)).toBeGreaterThanOrEqual(size);
      }),
      { numRuns: 2_000 },
    );
    expect(compiled).toBeGreaterThan(200);
  });
});
