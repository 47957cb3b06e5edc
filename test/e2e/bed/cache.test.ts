import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Progress } from '../../../hack/control-plane/progress.ts';
import { made, type Recipe } from './cache.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmm-cache-test-'));
  vi.stubEnv('XDG_CACHE_HOME', folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const making = { progress: new Progress({ write: () => undefined }), signal: new AbortController().signal };

function recipe(texts: readonly string[], make: Recipe['make']): Recipe {
  return { name: 'thing', recipe: texts, what: 'Making a thing', make };
}

test('a thing is made once, and again when its recipe changes', async () => {
  let count = 0;
  const make = async (path: string): Promise<void> => writeFile(path, `number ${++count}`);
  const first = await made(recipe(['a', 'b'], make), making);
  expect(await made(recipe(['a', 'b'], make), making)).toBe(first);
  // The parts of a recipe are told apart: these two hold the same letters.
  const second = await made(recipe(['ab'], make), making);
  expect([await readFile(first, 'utf8'), await readFile(second, 'utf8')]).toEqual(['number 1', 'number 2']);
});

test('two who want the same thing at once make it once', async () => {
  let count = 0;
  const make = async (path: string): Promise<void> => writeFile(path, `number ${++count}`);
  const [one, two] = await Promise.all([made(recipe(['a'], make), making), made(recipe(['a'], make), making)]);
  expect([one, count]).toEqual([two, 1]);
});

test('a making that fails leaves nothing, and the next one begins anew', async () => {
  const broken = recipe(['a'], async (path) => {
    await writeFile(path, 'half');
    throw new Error('no space left');
  });
  await expect(made(broken, making)).rejects.toThrow('no space left');
  expect(await readdir(join(folder, 'kmm', 'e2e'))).toEqual([]);
  const path = await made(
    recipe(['a'], (path) => writeFile(path, 'whole')),
    making,
  );
  expect(await readFile(path, 'utf8')).toBe('whole');
});
