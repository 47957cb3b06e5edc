import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES, REAL_RELEASES } from '../../test/harness/real-releases.ts';
import { labelSafe, objectName, shortHash } from './names.ts';

/** Source: k8s.io/apimachinery/pkg/util/validation, IsValidLabelValue. */
const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** Source: the same, IsDNS1123Label. */
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Any text, often one that is nearly a label value, nearly too long, or nearly what a conversion gives. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.stringMatching(/^[-A-Za-z0-9_.+~ ]{0,8}$/),
  fc.stringMatching(/^[a-z][-a-z0-9_.+]{50,70}$/),
  fc.stringMatching(/^[a-z]{0,3}[+_]?_[0-9a-f]{8}$/),
  fc.constantFrom(...ALL_RELEASES),
);

describe('shortHash', () => {
  it("is the front of the text's SHA-256", () => {
    expect(shortHash('')).toBe('e3b0c442');
    expect(shortHash('abc')).toBe('ba7816bf');
  });
});

describe('labelSafe', () => {
  const valid = ALL_RELEASES.filter((release) => LABEL_VALUE.test(release));

  it('leaves the releases of all distributions as they are, where a label can hold them', () => {
    expect(valid.length).toBeGreaterThan(25);
    for (const release of valid) expect(labelSafe(release)).toBe(release);
  });

  it.each(ALL_RELEASES.filter((release) => !LABEL_VALUE.test(release)))(
    'keeps what it can of %s, and a hash',
    (release) => {
      expect(labelSafe(release)).toMatch(LABEL_VALUE);
      expect(labelSafe(release)).toMatch(/_[0-9a-f]{8}$/);
      const readable = /^[A-Za-z0-9.-]*[A-Za-z0-9]/.exec(release)?.[0] ?? '';
      expect(labelSafe(release).startsWith(readable)).toBe(true);
    },
  );

  it.each([
    ['6.1.0+', `6.1.0_${shortHash('6.1.0+')}`],
    ['6.5.0-local~1', `6.5.0-local_1_${shortHash('6.5.0-local~1')}`],
    ['my kernel 6', `my_kernel_6_${shortHash('my kernel 6')}`],
    ['', ''],
    ['+', `x_${shortHash('+')}`],
    ['日本語', `x_${shortHash('日本語')}`],
    ['a'.repeat(200), `${'a'.repeat(54)}_${shortHash('a'.repeat(200))}`],
    ['a'.repeat(63), 'a'.repeat(63)],
  ])('makes of "%s" "%s"', (text, value) => {
    expect(labelSafe(text)).toBe(value);
  });

  it('tells a kernel with local changes from the one without', () => {
    expect(labelSafe('6.1.0+')).not.toBe(labelSafe('6.1.0'));
    expect(labelSafe('6.1.0+')).not.toBe(labelSafe('6.1.0~'));
    expect(labelSafe('6.1.0+')).not.toBe(labelSafe('6.1.0_'));
  });

  it('always gives a valid value', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(labelSafe(text)).toMatch(LABEL_VALUE);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never gives one value to two texts', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        fc.pre(a !== b);
        expect(labelSafe(a)).not.toBe(labelSafe(b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('never gives the value of one kernel to another that is called just that', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const value = labelSafe(text);
        fc.pre(value !== text);
        expect(labelSafe(value)).not.toBe(value);
      }),
    );
  });

  it('gives different values to all real releases', () => {
    expect(new Set(ALL_RELEASES.map(labelSafe)).size).toBe(Object.values(REAL_RELEASES).flat().length);
  });
});

describe('objectName', () => {
  const hash = '0123abcd';

  it.each([
    [['my-module', '5.16.11-200.fc35.x86_64'], 'my-module-5-16-11-200-fc35-x86-64-0123abcd'],
    [['My.Module', '6.1.0+'], 'my-module-6-1-0-0123abcd'],
    [['', 'device-plugin'], 'device-plugin-0123abcd'],
    [['日本語'], 'kmm-0123abcd'],
    [[], 'kmm-0123abcd'],
    // The short part stays whole, the long one is cut.
    [['m'.repeat(63), '5.4.0-1054-gke'], `${'m'.repeat(33)}-5-4-0-1054-gke-0123abcd`],
    [Array.from({ length: 40 }, () => 'p'), `${'p-'.repeat(23)}p-0123abcd`],
    [['m'.repeat(63), 'k'.repeat(63)], `${'m'.repeat(23)}-${'k'.repeat(23)}-0123abcd`],
  ])('makes of %j %s', (parts, name) => {
    expect(objectName({ parts, hash })).toBe(name);
  });

  it('is always a DNS label of at most 57 characters that ends in the hash', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 40 }), (parts) => {
        const name = objectName({ parts, hash });
        expect(name).toMatch(DNS_LABEL);
        expect(name.length).toBeLessThanOrEqual(57);
        expect(name.endsWith(`-${hash}`)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('uses the room there is', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{20,60}$/), { minLength: 3, maxLength: 5 }), (parts) => {
        expect(objectName({ parts, hash }).length).toBeGreaterThan(57 - parts.length);
      }),
    );
  });
});
