import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { digestOf } from './cache-digest.ts';

const objects = fc.uniqueArray(
  fc.record({ uid: fc.uuid(), resourceVersion: fc.nat().map(String) }).map((metadata) => ({ metadata })),
  { minLength: 1, selector: ({ metadata }) => metadata.uid },
);

describe('the digest of a cache', () => {
  it('does not depend on the order in which objects came', () => {
    fc.assert(
      fc.property(
        objects.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          expect(digestOf(shuffled)).toEqual(digestOf(all));
        },
      ),
    );
  });

  it('is another where one object is of another version, or missing', () => {
    fc.assert(
      fc.property(objects, ([first, ...others]) => {
        expect.assert(first !== undefined);
        const { digest } = digestOf([first, ...others]);
        const newer = { metadata: { ...first.metadata, resourceVersion: `${first.metadata.resourceVersion}0` } };
        expect(digestOf([newer, ...others]).digest).not.toBe(digest);
        expect(digestOf(others).digest).not.toBe(digest);
      }),
    );
  });
});
