import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashOfInputs } from './identity.ts';

/** The same value with the keys of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [key, reversed(inner)]);
  return Object.fromEntries(entries.reverse());
}

describe('the hash of the inputs of a user', () => {
  it('is sixteen hexadecimal digits', () => {
    expect(hashOfInputs({ image: 'x' })).toMatch(/^[0-9a-f]{16}$/);
  });

  it('does not depend on the order of keys, at any depth', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(hashOfInputs(reversed(value))).toBe(hashOfInputs(value));
      }),
    );
  });

  it('depends on the order of a list: the order of arguments or of mounts means something', () => {
    expect(hashOfInputs(['a', 'b'])).not.toBe(hashOfInputs(['b', 'a']));
  });

  it.each<[unknown, unknown]>([
    [{ a: 1 }, { a: '1' }],
    [{ a: 1 }, { b: 1 }],
    [{ a: { b: 1 } }, { a: 1, b: 1 }],
    [{ a: [] }, { a: {} }],
    [{ a: null }, {}],
  ])('tells %j from %j', (a, b) => {
    expect(hashOfInputs(a)).not.toBe(hashOfInputs(b));
  });

  it('takes a field that is undefined for one that is not there', () => {
    expect(hashOfInputs({ a: 1, b: undefined })).toBe(hashOfInputs({ a: 1 }));
  });

  it('is the same in every version of this operator: another value would replace the pods of every user', () => {
    const inputs = {
      image: 'registry.test/m:1',
      moduleLoader: { env: [{ name: 'A', value: 'b' }], image: undefined },
      additionalVolumes: [{ name: 'v', emptyDir: {} }],
      imageRepoSecret: undefined,
    };
    expect(hashOfInputs(inputs)).toBe('691a00f16139bff7');
  });
});
