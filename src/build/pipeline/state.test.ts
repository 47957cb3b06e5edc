import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BuildRequest } from './request.ts';
import { readState, type State, writeState } from './state.ts';

const REQUEST: BuildRequest = {
  image: 'r.io/kmod:v1',
  shared: false,
  kernel: '6.1.0-13-amd64',
  arch: 'amd64',
  module: { name: 'kmod', namespace: 'default' },
  source: { kind: 'inline', dockerfile: 'FROM scratch' },
  buildArgs: {},
  secrets: [],
  pull: { insecure: false, insecureSkipTLSVerify: false },
  push: { insecure: false, insecureSkipTLSVerify: false },
  cache: true,
};
const STATE: State = {
  stage: 'build',
  outcome: { kind: 'made', imageId: 'abc', buildKey: 'key', cached: false, isSigned: false },
  durations: { check: 12 },
};

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'kmm-state-'));
});
afterEach(() => rm(work, { recursive: true }));

test('the next stage reads what a stage has left', async () => {
  expect(await readState(work, REQUEST)).toBeUndefined();
  await writeState(work, REQUEST, STATE);
  expect(await readState(work, REQUEST)).toMatchObject(STATE);
});

test('what another request has left is thrown away', async () => {
  await writeState(work, REQUEST, STATE);
  expect(await readState(work, { ...REQUEST, trigger: 1 })).toBeUndefined();
  expect(await readdir(work)).toEqual([]);
  expect(await readState(work, REQUEST)).toBeUndefined();
});

test.each(['', '{"version":1', '{"version":2,"outcome":{}}', 'null'])(
  'a file that says %j is thrown away',
  async (text) => {
    await writeFile(join(work, 'state.json'), text);
    expect(await readState(work, REQUEST)).toBeUndefined();
    expect(await readdir(work)).toEqual([]);
  },
);
