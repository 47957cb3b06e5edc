import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import {
  complaints,
  findInFolder,
  findInObjects,
  findInRegistry,
  findInText,
  readRecords,
  SCANNED,
  type StoredVersion,
  scanText,
} from './secret-scan.ts';
import { recordSecret, SCAN_FOLDER_VARIABLE, secretPatterns, testSecret } from './test-secrets.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmm-scan-'));
  vi.stubEnv(SCAN_FOLDER_VARIABLE, folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const SECRET = testSecret('planted');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function plant(path: string, content: string | Buffer): Promise<string> {
  const file = join(folder, 'planted', path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, content);
  return file;
}

describe('a secret of a test is found', () => {
  it.each([
    ['as it is', SECRET],
    ['in the address of a repository', `https://alice:${encodeURIComponent(SECRET)}@git.test/`],
    ['in JSON', JSON.stringify({ auth: { password: `${SECRET}"` } })],
    ['in base64', base64(SECRET)],
    ['in the base64 of a user and a password', base64(`ab:${SECRET}`)],
    ['in the base64 of something longer', base64(`abcd:${SECRET}:x`)],
  ])('%s', (_how, text) => {
    expect(findInText(`x ${text} y`, 'a log', secretPatterns(folder))).toHaveLength(1);
    expect(findInText('x y', 'a log', secretPatterns(folder))).toEqual([]);
  });

  it('in a private key, of which a line is known', () => {
    const body = Array.from({ length: 5 }, (_, line) => `${line}`.repeat(64));
    const key = `-----BEGIN PRIVATE KEY-----\n${body.join('\n')}\n-----END PRIVATE KEY-----\n`;
    recordSecret('the key', key);
    const found = [{ secret: 'the key', place: 'a log' }];
    for (const text of [key, base64(key), `key: ${body[2]}`])
      expect(findInText(text, 'a log', secretPatterns(folder))).toEqual(found);
    expect(findInText('-----BEGIN PRIVATE KEY-----', 'a log', secretPatterns(folder))).toEqual([]);
  });

  it('in a layer, in a configuration with its history, and in nothing else of a registry', async () => {
    const layer = await plant('blobs/sha256/aa/data', gzipSync(Buffer.from(`${'x'.repeat(300_000)}${SECRET}\0`)));
    const history = await plant('blobs/sha256/bb/data', JSON.stringify({ history: [{ created_by: SECRET }] }));
    await plant('blobs/sha256/cc/data', gzipSync(Buffer.from('x'.repeat(300_000))));
    const found = await findInRegistry(join(folder, 'planted'), secretPatterns(folder));
    expect(found.map(({ place }) => place).sort()).toEqual([layer, history]);
  });

  it('in any file of a work folder but those that are exempt', async () => {
    const storage = await plant('storage/overlay/diff/etc/a file', `\0\0${SECRET}`);
    await plant('private/auth.json', SECRET);
    await plant('kubeconfig-a', SECRET);
    const found = await findInFolder(join(folder, 'planted'), secretPatterns(folder), ['private', '*kubeconfig*']);
    expect(found).toEqual([{ secret: 'a test secret', place: storage }]);
  });

  it('in any object but a Secret', async () => {
    async function* versions(): AsyncGenerator<StoredVersion> {
      yield { key: '/registry/secrets/a/b', value: Buffer.from(SECRET) };
      yield { key: '/registry/events/a/b', value: Buffer.from(`k8s\0\n${SECRET}`) };
    }
    expect(await findInObjects(versions(), secretPatterns(folder))).toEqual([
      { secret: 'a test secret', place: '/registry/events/a/b' },
    ]);
  });
});

describe('the verdict', () => {
  it('names the secret and the place, and never the value', async () => {
    scanText('build logs', 'the log of a build', `+ cat ${SECRET}`);
    scanText('build logs', 'the log of another', '+ cat ***');
    const found = complaints(await readRecords(folder), { whole: false });
    expect(found).toEqual(['a test secret is in the log of a build']);
  });

  it('of a whole run wants each kind of place to have been scanned', async () => {
    scanText('build logs', 'the log of a build', '');
    expect(complaints(await readRecords(folder), { whole: true })).toHaveLength(SCANNED.length - 1);
    expect(complaints(await readRecords(folder), { whole: false })).toEqual([]);
  });
});
