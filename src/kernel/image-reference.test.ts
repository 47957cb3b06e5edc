import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imageReferenceProblem } from './image-reference.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('imageReferenceProblem', () => {
  it.each([
    'some-image',
    'some-image:tag',
    'quay.io/vendor/module-sample:fedora-5.16.11-200.fc35.x86_64',
    'localhost:5000/a/b:c',
    'localhost/a',
    'registry:5000/a',
    '[fd00::1]:5000/a:b',
    'Registry.Example.COM/a',
    'a/b__c--d.e_f',
    `quay.io/vendor/module@${DIGEST}`,
    `quay.io/vendor/module:tag@${DIGEST}`,
    `a:${'t'.repeat(128)}`,
    'a:_Tag.9-x',
  ])('has nothing against %s', (reference) => {
    expect(imageReferenceProblem(reference)).toBeUndefined();
  });

  it.each([
    ['', 'is empty'],
    ['a b:c', 'no white space'],
    ['a:b\n', 'no white space'],
    ['https://quay.io/a:b', 'begins with a scheme'],
    ['docker://quay.io/a:b', 'begins with a scheme'],
    [`a:${'t'.repeat(129)}`, 'at most 128 characters, and that of'],
    ['a:', '"" is not a tag'],
    ['a:-b', '"-b" is not a tag'],
    ['a:.b', '".b" is not a tag'],
    ['a:b+c', '"b+c" is not a tag'],
    ['quay.io/Vendor/module:1', '"Vendor" in "quay.io/Vendor/module:1" is not'],
    ['Image:1', 'lower case'],
    ['quay.io//a:1', 'is empty'],
    ['quay.io/a/:1', 'is empty'],
    ['/a', 'is empty'],
    [':tag', 'is empty'],
    ['quay.io/a..b:1', '"a..b"'],
    ['quay.io/-a:1', '"-a"'],
    ['quay_io:x/a', '"quay_io:x"'],
    ['a@sha256:123', '"sha256:123" is not a digest'],
    ['a@', '"" is not a digest'],
    [`${'a'.repeat(256)}:1`, 'at most 255 characters'],
  ])('says of %j that it %s', (reference, words) => {
    expect(imageReferenceProblem(reference)).toContain(words);
  });

  it('says little about the longest reference', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (reference) => {
        expect(imageReferenceProblem(`a${reference}`)?.length ?? 0).toBeLessThan(480);
      }),
    );
  });

  it('has nothing against whatever the grammar makes', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}$/);
    fc.assert(
      fc.property(
        fc.array(component, { minLength: 1, maxLength: 4 }),
        fc.stringMatching(/^\w[\w.-]{0,20}$/),
        (path, tag) => {
          expect(imageReferenceProblem(`registry.io/${path.join('/')}:${tag}`)).toBeUndefined();
        },
      ),
    );
  });
});
