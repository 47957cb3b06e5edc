import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passwordOf, wishOf } from './request-policy.ts';

const DIGEST = `sha256:${'0'.repeat(64)}`;
const UPLOAD = 'c9b5a1a0-6f1f-4b1e-9d43-0f7a3f6b2f9e';

describe('a request to the registry', () => {
  it.each([
    ['GET', '/v2/', 'ping'],
    ['HEAD', '/v2', 'ping'],
    ['GET', '/v2/ns/kmod/manifests/6.1.0-13-amd64', 'read'],
    ['HEAD', `/v2/ns/a/b/manifests/${DIGEST}`, 'read'],
    ['GET', `/v2/ns/kmod/blobs/${DIGEST}`, 'read'],
    ['GET', '/v2/kmod/tags/list?n=5', 'read'],
    ['GET', `/v2/ns/kmod/referrers/${DIGEST}`, 'read'],
    ['POST', '/v2/ns/kmod/blobs/uploads/', 'write'],
    ['POST', `/v2/ns/kmod/blobs/uploads/?mount=${DIGEST}&from=other/base`, 'write'],
    ['PATCH', `/v2/ns/kmod/blobs/uploads/${UPLOAD}?_state=x_-=`, 'write'],
    ['PUT', `/v2/ns/kmod/blobs/uploads/${UPLOAD}?digest=${DIGEST}`, 'write'],
    // The state of an upload is its owner's.
    ['GET', `/v2/ns/kmod/blobs/uploads/${UPLOAD}`, 'write'],
    ['PUT', '/v2/ns/kmod/manifests/latest', 'write'],
  ])('%s %s is a %s', (method, target, kind) => {
    expect(wishOf(method, target)).toMatchObject({ kind });
  });

  it.each([
    ['POST', '/v2/', 405],
    ['DELETE', '/v2/ns/kmod/manifests/1', 405],
    ['DELETE', `/v2/ns/kmod/blobs/uploads/${UPLOAD}`, 405],
    ['POST', '/v2/ns/kmod/manifests/1', 405],
    ['PUT', '/v2/ns/kmod/blobs/uploads/', 405],
    ['OPTIONS', '/v2/ns/kmod/tags/list', 405],
    ['GET', '/v2/_catalog', 404],
    ['GET', '/v1/search', 404],
    ['GET', '/', 404],
    ['POST', '/v2/ns/../other/kmod/blobs/uploads/', 404],
    ['POST', '/v2/ns/./kmod/blobs/uploads/', 404],
    ['POST', '/v2/ns%2fkmod/blobs/uploads/', 404],
    ['POST', '/v2/ns/%2e%2e/kmod/blobs/uploads/', 404],
    ['POST', '/v2//ns/kmod/blobs/uploads/', 404],
    ['POST', '/v2/ns//kmod/blobs/uploads/', 404],
    ['POST', '/v2/Ns/kmod/blobs/uploads/', 404],
    ['POST', '//v2/ns/kmod/blobs/uploads/', 404],
    ['POST', 'http://elsewhere/v2/ns/kmod/blobs/uploads/', 404],
    ['POST', '/v2/ns/kmod/blobs/uploads/#/x', 404],
    ['POST', '/v2/ns/kmod\\blobs/uploads/', 404],
    ['PUT', '/v2/ns/kmod/manifests/a/b', 404],
    ['GET', `/v2/${'a/'.repeat(200)}b/tags/list`, 404],
    ['POST', '/v2/kmod/blobs/uploads/', 403],
    ['POST', '/v2/ns/kmod/blobs/uploads/?mount=x&from=../other', 400],
    ['POST', '/v2/ns/kmod/blobs/uploads/?from=a/b&from=%2e%2e', 400],
  ])('%s %s is refused with %i', (method, target, status) => {
    expect(wishOf(method, target)).toMatchObject({ kind: 'refused', refusal: { status } });
  });

  it('writes only below the namespace that its path begins with, whatever it is made of', () => {
    const piece = fc.constantFrom('v2', 'ns', 'other', '..', '.', '', '%2f', 'blobs', 'uploads', 'manifests', 'A', 'x');
    fc.assert(
      fc.property(
        fc.constantFrom('POST', 'PUT', 'PATCH', 'GET'),
        fc.array(piece, { maxLength: 9 }).map((pieces) => `/v2/${pieces.join('/')}`),
        (method, target) => {
          const wish = wishOf(method, target);
          if (wish.kind !== 'write') return;
          expect(target.startsWith(`/v2/${wish.namespace}/`)).toBe(true);
          expect(new URL(target, 'http://h').pathname).toBe(target);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('the password of a request', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

  it.each([
    [basic('token:a:b'), 'a:b'],
    [basic('token:x').replace('Basic', 'basic '), 'x'],
    [basic(':'), undefined],
    [basic('token:'), undefined],
    [basic('token'), undefined],
    ['Bearer abc', undefined],
    ['Basic !!', undefined],
    [undefined, undefined],
  ])('of %j is %j', (header, password) => {
    expect(passwordOf(header)).toBe(password);
  });
});
