import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IMAGE_TEMPLATE_RULES } from '../api/validation.ts';
import type { KernelMapping } from '../kernel/mapping.ts';
import { compilePattern } from '../kernel/pattern.ts';
import { expandTemplate, templateValues } from '../kernel/template.ts';
import { formatReport, ignoredArguments, matchReport } from './match-report.ts';

const module = { name: 'mod', namespace: 'ns' };
const mappings: readonly KernelMapping[] = [
  { literal: '5.4.0-1054-gke', containerImage: 'a:${KERNEL_X}' },
  { regexp: '-gke$', containerImage: 'a:gke', build: { buildArgs: [{ name: 'KEY', value: 'a\nb' }] }, sign: {} },
  { literal: 'odd', containerImage: 'a:${KERNEL_X}' },
  { regexp: '(', containerImage: 'a' },
];

const report = (kernel: string) => matchReport({ mappings, kernel, arch: 'amd64', module });
const args = (kernel: string) => ({
  KERNEL_FULL_VERSION: kernel,
  KERNEL_VERSION: kernel,
  MOD_NAME: 'mod',
  MOD_NAMESPACE: 'ns',
  ARCH: 'amd64',
});

describe('matchReport', () => {
  it('has the image of the mapping that wins', () => {
    expect(report('5.4.0-1054-gke')).toEqual({
      kernel: '5.4.0-1054-gke',
      matched: true,
      mappingIndex: 0,
      image: 'a:5',
      build: false,
      buildArgs: args('5.4.0-1054-gke'),
    });
  });

  it("has the user's build arguments, and says that there is a build", () => {
    expect(report('5.4.0-9-gke')).toMatchObject({ build: true, buildArgs: { ...args('5.4.0-9-gke'), KEY: 'a\nb' } });
  });

  it('has an error instead of an image where the image cannot be resolved', () => {
    expect(report('odd')).toEqual({
      kernel: 'odd',
      matched: true,
      mappingIndex: 2,
      error: expect.stringMatching(/^spec\.kernelMappings\[2\]\.containerImage: kernel "odd" has no KERNEL_X/),
      build: false,
      buildArgs: args('odd'),
    });
  });

  it('has an error, and nothing that matched, where a mapping cannot be read', () => {
    expect(report('6.1.0')).toEqual({
      kernel: '6.1.0',
      matched: false,
      mappingIndex: 3,
      error: 'spec.kernelMappings[3].regexp: error parsing regexp: missing closing ): `(`',
      build: false,
      buildArgs: {},
    });
  });

  it('has nulls where no mapping matches', () => {
    const none = matchReport({ mappings: mappings.slice(0, 3), kernel: '6.1.0', arch: 'amd64', module });
    expect(none).toEqual({
      kernel: '6.1.0',
      matched: false,
      mappingIndex: null,
      image: null,
      build: false,
      buildArgs: {},
    });
  });
});

describe('formatReport', () => {
  it('names the mapping, the image and the build arguments, each on a line of its own', () => {
    expect(formatReport(report('5.4.0-9-gke'), mappings)).toBe(`5.4.0-9-gke
  mapping     spec.kernelMappings[1] (regexp -gke$)
  image       a:gke
  build       spec.kernelMappings[1].build
  sign        spec.kernelMappings[1].sign
  build args  KERNEL_FULL_VERSION=5.4.0-9-gke
              KERNEL_VERSION=5.4.0-9-gke
              MOD_NAME=mod
              MOD_NAMESPACE=ns
              ARCH=amd64
              "KEY=a\\nb"
`);
  });

  it('says what a kernel without a mapping gets, and what is wrong with one', () => {
    const none = matchReport({ mappings: [], kernel: '6.1.0', arch: 'amd64', module });
    expect(formatReport(none, [])).toBe('6.1.0\n  mapping     none matches: a node with this kernel gets nothing\n');
    expect(formatReport(report('6.1.0'), mappings)).toContain(
      '  mapping     spec.kernelMappings[3] cannot be read\n  error ',
    );
  });
});

describe('ignoredArguments', () => {
  it('says which arguments are written in vain, and where', () => {
    const vain = [{ literal: 'a' }, { literal: 'b', build: { buildArgs: [{ name: 'MOD_NAME', value: 'x' }] } }];
    expect(ignoredArguments({ kernel: 'c', arch: 'amd64', module }, vain)).toEqual([
      'spec.kernelMappings[1].build.buildArgs: MOD_NAME is ignored, because the operator sets it.',
    ]);
  });
});

describe('what admission says of an image', () => {
  /** The patterns of the CRD's rules about variables: the first finds one that is not closed, the last is what all images must be. */
  const [unclosed = '', understood = ''] = IMAGE_TEMPLATE_RULES.slice(0, 2).map(
    ({ rule }) => [...rule.matchAll(/matches\('([^']*)'\)/g)].at(-1)?.[1] ?? '',
  );

  function found(source: string, text: string): boolean {
    const pattern = compilePattern(source);
    if (!pattern.ok) throw new Error(pattern.problem);
    return pattern.found(text);
  }

  it('is what becomes of it here', () => {
    const values = templateValues({ kernel: '6.1.0', arch: 'amd64', module });
    const piece = fc.constantFrom(
      '${',
      '}',
      '$',
      ':-',
      ':',
      '-',
      'KERNEL_X',
      'KERNEL_XYZ',
      'ARCH',
      '${ARCH}',
      'a',
      '\n',
      '{',
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 10 }).map((all) => all.join('')),
        (template) => {
          const accepted = !found(unclosed, template) && found(understood, template);
          expect(expandTemplate(template, values).ok).toBe(accepted);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
