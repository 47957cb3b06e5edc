import { describe, expect, it } from 'vitest';
import { compilePattern } from './pattern.ts';

function found(source: string, text: string): boolean {
  const pattern = compilePattern(source);
  if (!pattern.ok) throw new Error(pattern.problem);
  return pattern.found(text);
}

describe('compilePattern', () => {
  it.each([
    ['gke', '5.4.0-1054-gke', true],
    ['^.*\\-gke$', '5.4.0-1054-gke', true],
    ['^.*\\-gke$', '5.4.0-1054-gke-x', false],
    ['gke$', '5.4.0-1054-gke\n', false],
    ['^5\\.', '15.5.0', false],
    ['.', '', false],
    ['', 'anything', true],
    ['^$', '', true],
    ['(?i)FC35', '5.16.11-200.fc35.x86_64', true],
    ['el8(_\\d+)?\\.x86_64', '4.18.0-553.el8_10.x86_64', true],
    ['(?P<major>\\d+)\\.1', '5.16.11', true],
    ['\\Q6.1.0+\\E', '6.1.0+', true],
    ['6.1.0+$', '6.1.0+', false],
    ['[[:digit:]]+-generic', '5.15.0-91-generic', true],
  ])('finds /%s/ in %j: %s, as Go does', (source, text, expected) => {
    expect(found(source, text)).toBe(expected);
  });

  it.each([
    ['a(b', 'error parsing regexp: missing closing ): `a(b`'],
    ['(?=a)', 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
    ['(a)\\1', 'error parsing regexp: invalid escape sequence: `\\1`'],
    ['a{1001}', 'error parsing regexp: invalid repeat count: `{1001}`'],
    ['[z-a]', 'error parsing regexp: invalid character class range: `z-a`'],
    ['*', 'error parsing regexp: missing argument to repetition operator: `*`'],
  ])("refuses /%s/ in RE2's words, the second time too", (source, problem) => {
    expect(compilePattern(source)).toEqual({ ok: false, problem });
    expect(compilePattern(source)).toEqual({ ok: false, problem });
  });

  it.each([
    `(?:${'()'.repeat(450)}){1000}`,
    `(?:${'.?'.repeat(500)}){1000}`,
    '((a{100}){100}){100}',
    'a{1000}'.repeat(140),
  ])('refuses /%.40s/ for its size before RE2 makes it, which would take hundreds of megabytes', (source) => {
    const before = process.memoryUsage().heapUsed;
    expect(compilePattern(source)).toEqual({ ok: false, problem: expect.stringContaining('too large') });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20 * 1024 * 1024);
  });

  it('compiles a pattern once, for as long as it is used', () => {
    const pattern = compilePattern('once');
    for (let index = 0; index < 3_000; index++) {
      compilePattern(`pattern ${index}`);
      expect(compilePattern('once')).toBe(pattern);
    }
    const unused = compilePattern('pattern 0');
    for (let index = 1; index < 3_000; index++) compilePattern(`pattern ${index}`);
    expect(compilePattern('pattern 0')).not.toBe(unused);
  });

  // A backtracking engine does not come to an end on these; the runner's time limit is what fails then.
  it.each(['^(a+)+$', '^(a|a)*$', '(a*)*b', '(.*)*(.*)*(.*)*!'])(
    'is done with 64 KB for the hostile /%s/',
    (source) => {
      expect(found(source, `${'a'.repeat(65_536)}?`)).toBe(false);
    },
  );
});
