import { expect, test } from 'vitest';
import { buildArguments, cacheOptions, insecureHosts } from './build.ts';
import type { BuildRequest } from './request.ts';

const LOOSE = { insecure: true, insecureSkipTLSVerify: false };
const STRICT = { insecure: false, insecureSkipTLSVerify: false };
const REQUEST: BuildRequest = {
  image: 'r.example/kmods/kmod:v1',
  shared: false,
  kernel: '6.1.0-13-amd64',
  arch: 'amd64',
  module: { name: 'kmod', namespace: 'default' },
  source: { kind: 'inline', dockerfile: 'FROM scratch' },
  buildArgs: {},
  secrets: [],
  pull: STRICT,
  push: STRICT,
  cache: true,
};
const PATHS = { authFile: '/auth', idFile: '/id', cache: ['--layers'], secrets: [] };

test('whatever a build argument is, it is the value of an option', () => {
  const buildArgs = { A: '--privileged', B: '', 'C D': '$(reboot)\n"' };
  expect(buildArguments({ ...REQUEST, buildArgs }, PATHS)).toEqual([
    'build',
    '--isolation=chroot',
    '--format=oci',
    '--force-rm',
    '--authfile=/auth',
    '--iidfile=/id',
    '--build-arg=A=--privileged',
    '--build-arg=B=',
    '--build-arg=C D=$(reboot)\n"',
    '--layers',
  ]);
});

test.each<[string, Partial<BuildRequest>, boolean, string[]]>([
  [
    'kept and taken beside the image',
    {},
    true,
    ['--layers', '--cache-from=r.example/kmods/kmod', '--cache-to=r.example/kmods/kmod'],
  ],
  ['only taken by who may not push', {}, false, ['--layers', '--cache-from=r.example/kmods/kmod']],
  ['only taken where the image is to be signed', { sign: {} }, true, ['--layers', '--cache-from=r.example/kmods/kmod']],
  ['only kept where the trigger was pulled', { trigger: 2 }, true, ['--layers', '--cache-to=r.example/kmods/kmod']],
  ['neither where the user wants none', { cache: false }, true, ['--layers']],
])('layers are %s', (_, changes, mayPush, expected) => {
  expect(cacheOptions({ ...REQUEST, ...changes }, mayPush)).toEqual(expected);
});

test.each<[string, Partial<BuildRequest>, string[]]>([
  ['none', {}, []],
  ['that of the image where pushing may', { push: LOOSE }, ['r.example']],
  [
    'those of FROM lines where pulling may',
    { pull: { insecure: false, insecureSkipTLSVerify: true } },
    ['base.example:5000', 'docker.io'],
  ],
])('of the registries may be asked without a good certificate: %s', (_, changes, expected) => {
  const dockerfile = 'FROM base.example:5000/x:1 AS a\nFROM debian\nCOPY --from=a /x /x';
  expect(insecureHosts({ ...REQUEST, ...changes }, dockerfile)).toEqual(expected);
});
