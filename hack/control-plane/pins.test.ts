import { appendFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { BINARIES } from './binaries.ts';
import { buildFlags, cacheDirectory, PINNED_MODULES, pinnedVersion, pinsHash } from './pins.ts';

const scratch: string[] = [];
afterEach(async () => {
  for (const directory of scratch.splice(0)) await rm(directory, { recursive: true });
});

async function copyOfPins(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'kmm-pins-'));
  scratch.push(directory);
  for (const { folder } of PINNED_MODULES) {
    await cp(join(import.meta.dirname, folder), join(directory, folder), { recursive: true });
  }
  return directory;
}

test('every program of the control plane is built from exactly one pinned module', () => {
  const built = PINNED_MODULES.flatMap((module) => Object.keys(module.packages));
  expect(built.toSorted()).toEqual([...BINARIES].toSorted());
});

test('the hash of the pins is the same in another folder', async () => {
  expect(await pinsHash(await copyOfPins())).toBe(await pinsHash());
});

test.each(PINNED_MODULES.flatMap(({ folder }) => [`${folder}/go.mod`, `${folder}/go.sum`]))(
  'the hash of the pins changes with %s',
  async (file) => {
    const copy = await copyOfPins();
    await appendFile(join(copy, file), '\n');
    expect(await pinsHash(copy)).not.toBe(await pinsHash());
  },
);

test('the Kubernetes binaries are told their version', async () => {
  const kubernetes = PINNED_MODULES.find(({ folder }) => folder === 'kubernetes');
  expect.assert(kubernetes !== undefined);
  const version = await pinnedVersion(kubernetes);
  expect(version).toMatch(/^v1\.\d+\.\d+$/);
  expect(buildFlags(kubernetes, 'v1.36.3').join(' ')).toContain(
    'gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36',
  );
});

test('the cache lies under XDG_CACHE_HOME where that is set', async () => {
  expect(await cacheDirectory({ XDG_CACHE_HOME: '/elsewhere' })).toBe(
    `/elsewhere/kmm/control-plane/${await pinsHash()}`,
  );
});
