import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES } from '../../test/harness/real-releases.ts';
import type { KernelMapping } from './mapping.ts';
import { resolveKernel } from './resolve.ts';

const subject = { kernel: '6.1.0-18-amd64', arch: 'arm64', module: { name: 'mod', namespace: 'ns' } };

function resolve(mapping: KernelMapping, kernel = subject.kernel) {
  return resolveKernel({ ...subject, kernel, mappings: [{ literal: 'none', containerImage: 'none' }, mapping] });
}

describe('resolveKernel', () => {
  it('fills in the image of the mapping that wins', () => {
    const image = 'quay.io/${MOD_NAMESPACE}/${MOD_NAME}:${KERNEL_FULL_VERSION}-${ARCH}';
    expect(resolve({ regexp: '^6', containerImage: image })).toEqual({
      kind: 'image',
      image: 'quay.io/ns/mod:6.1.0-18-amd64-arm64',
      mappingIndex: 1,
      needsBuild: false,
    });
  });

  it('gives nothing where none matches, which is no error', () => {
    expect(resolve({ literal: '5.4.0', containerImage: 'a' })).toEqual({ kind: 'no-match' });
    expect(resolveKernel({ ...subject, mappings: [] })).toEqual({ kind: 'no-match' });
  });

  it.each([[{ build: {} }], [{ sign: {} }], [{ build: {}, sign: {} }]])('says that %j makes an image first', (how) => {
    expect(resolve({ regexp: '', containerImage: 'a', ...how })).toMatchObject({ kind: 'image', needsBuild: true });
  });

  it.each([
    ['a:${FOO}', 'unknown variable ${FOO}: write one of KERNEL_FULL_VERSION'],
    ['a:${KERNEL_X', '"${KERNEL_X" is not closed'],
    ['A/${MOD_NAME}:1 ', 'no white space'],
    ['quay.io/${KERNEL_FULL_VERSION:-x}/M:1', 'lower case'],
    ['', 'the image reference is empty'],
    ['${ARCH:-}:', '"" is not a tag'],
    [undefined, 'write the image'],
  ])('begins with the field what it says of the image %s', (containerImage, words) => {
    const resolution = resolve({ regexp: '', containerImage });
    expect(resolution).toMatchObject({ kind: 'error', mappingIndex: 1 });
    expect(resolution).toHaveProperty('message', expect.stringMatching(/^spec\.kernelMappings\[1\]\.containerImage: /));
    expect(resolution).toHaveProperty('message', expect.stringContaining(words));
  });

  it('says of a release of 200 characters that it makes no tag', () => {
    const resolution = resolve({ regexp: '^k+$', containerImage: 'a:${KERNEL_VERSION}' }, 'k'.repeat(200));
    expect(resolution).toHaveProperty('message', expect.stringContaining('at most 128 characters'));
  });

  it('passes on what is wrong with a pattern', () => {
    const resolution = resolve({ regexp: '[', containerImage: 'a' });
    expect(resolution).toEqual({
      kind: 'error',
      mappingIndex: 1,
      message: 'spec.kernelMappings[1].regexp: error parsing regexp: missing closing ]: `[`',
    });
  });

  it('gives every real release an image', () => {
    for (const kernel of ALL_RELEASES) {
      expect(resolve({ regexp: '', containerImage: 'quay.io/a/b:${KERNEL_FULL_VERSION}' }, kernel)).toHaveProperty(
        'image',
        `quay.io/a/b:${kernel.replaceAll(/[^\w.-]/g, '_')}`,
      );
    }
  });

  it('never throws, whatever a Module older than the CRD says', () => {
    const text = fc.option(fc.oneof(fc.string(), fc.constantFrom('(', '${', '${ARCH}', 'a')), { nil: undefined });
    const mapping = fc.record({ literal: text, regexp: text, containerImage: text });
    fc.assert(
      fc.property(fc.array(mapping, { maxLength: 5 }), fc.string({ unit: 'binary' }), (mappings, kernel) => {
        expect(['no-match', 'error', 'image']).toContain(resolveKernel({ ...subject, kernel, mappings }).kind);
      }),
      { numRuns: 500 },
    );
  });
});
