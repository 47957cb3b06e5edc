import { expect, test } from 'vitest';

import { BINARIES, type Binary } from './binaries.ts';
import { perBinary, resolveControlPlane, type Surroundings } from './resolve.ts';

const WANTED = perBinary((binary) => (binary === 'etcd' ? '3.6.16' : binary.startsWith('kwok') ? '0.8.0' : '1.36.3'));

/** A machine where the folders hold complete sets, but for what `without` and `versions` say (both by path). */
function machine(options: {
  folders?: readonly string[];
  without?: readonly string[];
  versions?: Readonly<Record<string, string>>;
  environment?: NodeJS.ProcessEnv;
}): Surroundings {
  const files = (options.folders ?? []).flatMap((folder) => BINARIES.map((binary) => `${folder}/${binary}`));
  const present = new Set(files.filter((file) => options.without?.includes(file) !== true));
  return {
    environment: options.environment ?? {},
    cache: '/cache',
    isExecutable: async (file) => present.has(file),
    versionOf: async (binary: Binary, file) => options.versions?.[file] ?? WANTED[binary],
    wanted: WANTED,
  };
}

const EVERYWHERE = { KUBEBUILDER_ASSETS: '/assets', PATH: '/usr/bin:/opt/bin' };

test.each([
  { name: 'KUBEBUILDER_ASSETS comes first', folders: ['/assets', '/usr/bin', '/cache'], etcd: '/assets/etcd' },
  { name: 'PATH comes before the cache', folders: ['/usr/bin', '/cache'], etcd: '/usr/bin/etcd' },
  { name: 'the cache comes last', folders: ['/cache'], etcd: '/cache/etcd' },
  { name: 'nothing is found where there is nothing', folders: [], etcd: undefined },
])('$name', async ({ folders, etcd }) => {
  const { found } = await resolveControlPlane(machine({ folders, environment: EVERYWHERE }));
  expect(found?.binaries.etcd).toBe(etcd);
});

test('programs of another minor version are passed over, and it is said which', async () => {
  const versions = { '/usr/bin/kubectl': '1.20.2' };
  const world = machine({ folders: ['/usr/bin', '/cache'], versions, environment: { PATH: '/usr/bin' } });
  const { found, notes } = await resolveControlPlane(world);
  expect(found?.binaries.kubectl).toBe('/cache/kubectl');
  expect(notes).toEqual(['PATH is not used: kubectl is 1.20.2, not 1.36.3.']);
});

test('another patch version is taken', async () => {
  const versions = { '/usr/bin/kubectl': '1.36.0' };
  const world = machine({ folders: ['/usr/bin'], versions, environment: { PATH: '/usr/bin' } });
  expect((await resolveControlPlane(world)).found?.source).toBe('PATH');
});

test('a KUBEBUILDER_ASSETS that is not complete is passed over, and it is said what it lacks', async () => {
  const without = ['/assets/kwok', '/assets/kwokctl'];
  const world = machine({ folders: ['/assets', '/cache'], without, environment: { KUBEBUILDER_ASSETS: '/assets' } });
  const { found, notes } = await resolveControlPlane(world);
  expect(found?.source).toBe('the cache (/cache)');
  expect(notes).toEqual(['KUBEBUILDER_ASSETS (/assets) is not used: it has no kwok, kwokctl.']);
});

test('programs may lie in different folders of PATH', async () => {
  const without = ['/usr/bin/etcd', '/opt/bin/kwok'];
  const world = machine({ folders: ['/usr/bin', '/opt/bin'], without, environment: { PATH: '/usr/bin:/opt/bin' } });
  const { found } = await resolveControlPlane(world);
  expect([found?.binaries.etcd, found?.binaries.kwok]).toEqual(['/opt/bin/etcd', '/usr/bin/kwok']);
});

test('a set that lacks one program in the cache is not a control plane', async () => {
  const { found } = await resolveControlPlane(machine({ folders: ['/cache'], without: ['/cache/kubectl'] }));
  expect(found).toBeUndefined();
});
