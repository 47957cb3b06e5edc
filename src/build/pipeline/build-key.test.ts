import { expect, test } from 'vitest';
import { buildKey, type KeySource, requestHash } from './build-key.ts';
import type { BuildRequest } from './request.ts';

const REQUEST: BuildRequest = {
  image: 'r.io/kmod:v1',
  shared: false,
  kernel: '6.1.0-13-amd64',
  arch: 'amd64',
  module: { name: 'kmod', namespace: 'default' },
  source: { kind: 'inline', dockerfile: 'FROM scratch' },
  buildArgs: { KERNEL_VERSION: '6.1.0-13-amd64', A: 'b' },
  secrets: ['one', 'two'],
  pull: { insecure: false, insecureSkipTLSVerify: false },
  push: { insecure: false, insecureSkipTLSVerify: false },
  sign: { filesToSign: ['/opt/*.ko'] },
  cache: true,
  trigger: 1,
};
const SOURCE: KeySource = { kind: 'dockerfile', text: 'FROM scratch' };
const KEY = buildKey(REQUEST, SOURCE, 'aa');
const { trigger: _trigger, ...WITHOUT_TRIGGER } = REQUEST;
const { sign: _sign, ...WITHOUT_SIGN } = REQUEST;

test.each<[string, BuildRequest, KeySource, string | undefined]>([
  ['the text of the Dockerfile', REQUEST, { kind: 'dockerfile', text: 'FROM x' }, 'aa'],
  ['the commit', REQUEST, { kind: 'git', commit: 'c', contextDir: '', dockerfile: 'Dockerfile' }, 'aa'],
  ['the unsigned image', REQUEST, { kind: 'image', reference: 'r.io/unsigned:1' }, 'aa'],
  ['the value of a build argument', { ...REQUEST, buildArgs: { ...REQUEST.buildArgs, A: 'c' } }, SOURCE, 'aa'],
  ['a build argument more', { ...REQUEST, buildArgs: { ...REQUEST.buildArgs, B: '' } }, SOURCE, 'aa'],
  ['the kernel', { ...REQUEST, kernel: '6.1.0-14-amd64' }, SOURCE, 'aa'],
  ['the architecture', { ...REQUEST, arch: 'arm64' }, SOURCE, 'aa'],
  ['the certificate', REQUEST, SOURCE, 'bb'],
  ['the files to sign', { ...REQUEST, sign: {} }, SOURCE, 'aa'],
  ['no signing', WITHOUT_SIGN, SOURCE, undefined],
  ['the names of its secrets', { ...REQUEST, secrets: ['one'] }, SOURCE, 'aa'],
  ['the trigger', { ...REQUEST, trigger: 2 }, SOURCE, 'aa'],
  ['no trigger', WITHOUT_TRIGGER, SOURCE, 'aa'],
])('another key comes of %s', (_, request, source, certificate) => {
  expect(buildKey(request, source, certificate)).not.toBe(KEY);
});

test.each<[string, BuildRequest]>([
  ['the order in which arguments stand', { ...REQUEST, buildArgs: { A: 'b', KERNEL_VERSION: '6.1.0-13-amd64' } }],
  ['the order in which secrets stand', { ...REQUEST, secrets: ['two', 'one'] }],
  ['where the image goes', { ...REQUEST, image: 'other.io/kmod:v2', shared: true }],
  ['how registries are reached', { ...REQUEST, push: { insecure: true, insecureSkipTLSVerify: true } }],
  ['whether layers are kept', { ...REQUEST, cache: false }],
])('the same key comes whatever %s is', (_, request) => {
  expect(buildKey(request, SOURCE, 'aa')).toBe(KEY);
});

test('a key is a sha256 in hex, and this one stays as it is: another would have every image of every cluster built anew', () => {
  expect(KEY).toBe('c76c20c3a4dc284fcda44e8f19ef625f4eb0728f89e3a848df970a9f07a3c471');
});

test('any change of a request, also one that leaves the key, makes it another request', () => {
  expect(requestHash(REQUEST)).toMatch(/^[0-9a-f]{64}$/);
  expect(requestHash({ ...REQUEST, cache: false })).not.toBe(requestHash(REQUEST));
  expect(requestHash({ ...REQUEST })).toBe(requestHash(REQUEST));
});
