import fc from 'fast-check';
import { expect, test } from 'vitest';
import { imageReferenceProblem } from '../../kernel/image-reference.ts';
import { byDigest, imageNames, ownReference, registryOf, unsignedReference } from './tags.ts';

const KEY = 'deadbeef'.repeat(8);

test.each([
  ['quay.io/org/kmod:v1', 'quay.io', 'quay.io/org/kmod', 'quay.io/org/kmod:v1'],
  ['localhost:5000/kmod', 'localhost:5000', 'localhost:5000/kmod', 'localhost:5000/kmod:latest'],
  ['org/kmod:v1', 'docker.io', 'org/kmod', 'org/kmod:v1'],
  ['kmod', 'docker.io', 'kmod', 'kmod:latest'],
])('%s lies in the registry %s, in the repository %s, and means %s', (reference, registry, repository, users) => {
  expect(imageNames(reference)).toEqual({ registry, repository, users });
  expect(registryOf(reference)).toBe(registry);
});

test('a reference by digest names an image that is there already, so none is made for it', () => {
  expect(imageNames(`quay.io/kmod@sha256:${'0'.repeat(64)}`)).toBeUndefined();
});

test.each([
  ['r.io/kmod:gke', '5.4.0-1054-gke', 'r.io/kmod:gke-5.4.0-1054-gke-amd64-deadbeef'],
  ['r.io/kmod', '6.1.0-13-amd64', 'r.io/kmod:latest-6.1.0-13-amd64-amd64-deadbeef'],
  ['r.io/kmod:v1', '6.6.0+deb12', 'r.io/kmod:v1-6.6.0_deb12-amd64-deadbeef'],
])('of %s the kernel %s has its own %s', (reference, kernel, expected) => {
  expect(ownReference(reference, { kernel, arch: 'amd64' }, KEY)).toBe(expected);
});

test('a tag of its own is legal whatever the kernel is called, and ends with the key', () => {
  const property = fc.property(
    fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/),
    fc.string({ minLength: 1, maxLength: 256 }),
    (tag, kernel) => {
      const reference = ownReference(`r.io/kmod:${tag}`, { kernel, arch: 'amd64' }, KEY);
      expect(imageReferenceProblem(reference)).toBeUndefined();
      expect(reference).toMatch(/-deadbeef$/);
    },
  );
  fc.assert(property);
});

test('of a tag that is too long the kernel stays', () => {
  expect(ownReference(`r.io/kmod:${'x'.repeat(128)}`, { kernel: '6.1.0-13', arch: 'arm64' }, KEY)).toMatch(
    /^r\.io\/kmod:x{100,}-6\.1\.0-13-arm64-deadbeef$/,
  );
});

test('what waits for its signature has a legal name that no finished image has, however long the tag (I8)', () => {
  for (const tag of ['v1', 'x'.repeat(128)]) {
    const unsigned = unsignedReference(`r.io/kmod:${tag}`, { kernel: '6.1.0-13', arch: 'arm64' }, 'deadbeef12345678');
    expect(unsigned).toMatch(/-6\.1\.0-13-arm64-deadbeef-unsigned$/);
    expect(imageReferenceProblem(unsigned)).toBeUndefined();
  }
});

test('an image by its digest keeps its repository', () => {
  expect(byDigest('r.io:5000/kmod:v1', 'sha256:00')).toBe('r.io:5000/kmod@sha256:00');
});
