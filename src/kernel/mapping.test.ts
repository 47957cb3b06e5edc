import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES } from '../../test/harness/real-releases.ts';
import { chooseMapping, type KernelMapping } from './mapping.ts';

describe('chooseMapping', () => {
  const sample: readonly KernelMapping[] = [
    { literal: '5.16.11-200.fc35.x86_64', containerImage: 'fedora' },
    { literal: '5.4.0-1054-gke', containerImage: 'ubuntu' },
    { regexp: '^.*\\-gke$', containerImage: 'gke' },
  ];

  it.each([
    ['5.16.11-200.fc35.x86_64', 0],
    ['5.4.0-1054-gke', 1],
    ['5.4.0-1055-gke', 2],
  ])('of the sample gives to %s number %d', (kernel, mappingIndex) => {
    expect(chooseMapping(sample, kernel)).toEqual({ kind: 'match', mapping: sample[mappingIndex], mappingIndex });
  });

  it.each(['5.16.11-200.fc35.x86_64+debug', '5.16.11', '', '5.4.0-1054-GKE', '5.4.0-1054-gke '])(
    'of the sample gives nothing to "%s"',
    (kernel) => {
      expect(chooseMapping(sample, kernel)).toEqual({ kind: 'no-match' });
    },
  );

  it('lets an earlier regexp win over a later literal', () => {
    const choice = chooseMapping([{ regexp: '5' }, { literal: '5.4.0' }], '5.4.0');
    expect(choice).toMatchObject({ kind: 'match', mappingIndex: 0 });
  });

  it('takes the first of two equal ones', () => {
    expect(chooseMapping([{ literal: 'a' }, { literal: 'a' }], 'a')).toMatchObject({ mappingIndex: 0 });
  });

  it('takes nothing in a literal for a pattern', () => {
    expect(chooseMapping([{ literal: '6.1.0+' }], '6.1.00')).toEqual({ kind: 'no-match' });
    expect(chooseMapping([{ literal: '.*' }], '6.1.0')).toEqual({ kind: 'no-match' });
  });

  it('tells a kernel with local changes from the one without', () => {
    expect(chooseMapping([{ literal: '6.1.0' }], '6.1.0+')).toEqual({ kind: 'no-match' });
  });

  it('names the field of a pattern that cannot be read, if nothing before it matches', () => {
    const mappings = [{ literal: 'a' }, { regexp: 'a(b' }, { literal: 'c' }];
    expect(chooseMapping(mappings, 'c')).toEqual({
      kind: 'error',
      mappingIndex: 1,
      message: 'spec.kernelMappings[1].regexp: error parsing regexp: missing closing ): `a(b`',
    });
    expect(chooseMapping(mappings, 'a')).toMatchObject({ kind: 'match', mappingIndex: 0 });
  });

  it.each([[{}], [{ literal: 'a', regexp: 'a' }]])('reports a mapping that is neither or both: %j', (mapping) => {
    expect(chooseMapping([mapping], 'a')).toEqual({
      kind: 'error',
      mappingIndex: 0,
      message: 'spec.kernelMappings[0]: a mapping needs exactly one of literal and regexp',
    });
  });

  it('chooses as the plainest model does', () => {
    const kernel = fc.constantFrom('5.4.0', '5.4.1', '5.10.0', '6.1.0+', 'x5.4.0');
    // Patterns that mean the same in JavaScript.
    const regexp = fc.constantFrom('5', '^5', '0$', '^5\\.4\\.\\d$', '\\+', '[46]\\.1', '^$', '.*');
    const mapping: fc.Arbitrary<KernelMapping> = fc.oneof(
      kernel.map((literal) => ({ literal })),
      regexp.map((pattern) => ({ regexp: pattern })),
    );
    fc.assert(
      fc.property(fc.array(mapping, { maxLength: 6 }), kernel, (mappings, release) => {
        const expected = mappings.findIndex(({ literal, regexp: pattern }) =>
          literal === undefined ? new RegExp(pattern ?? '').test(release) : literal === release,
        );
        const choice = chooseMapping(mappings, release);
        expect(choice.kind === 'match' ? choice.mappingIndex : -1).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('finds each real release by a literal of its own among 256 mappings', () => {
    const filler = Array.from({ length: 256 - ALL_RELEASES.length }, (_, index) => ({ regexp: `^no-${index}$` }));
    const mappings = [...filler, ...ALL_RELEASES.map((literal) => ({ literal }))];
    for (const [index, release] of ALL_RELEASES.entries()) {
      expect(chooseMapping(mappings, release)).toMatchObject({ mappingIndex: filler.length + index });
    }
  });
});
