import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { weigh } from './layout.ts';
import { sizeTable } from './table.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** An OCI layout with one image of one layer. */
async function aLayout(layer: Buffer, manifests = 1) {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-layout-'));
  folders.push(folder);
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  const blob = async (content: Buffer | string) => {
    const hex = createHash('sha256').update(content).digest('hex');
    await writeFile(join(folder, 'blobs', 'sha256', hex), content);
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
  };
  const config = await blob('{}');
  const packed = await blob(gzipSync(layer));
  const manifest = await blob(JSON.stringify({ config, layers: [packed] }));
  const index = { manifests: Array.from({ length: manifests }, () => manifest) };
  await writeFile(join(folder, 'index.json'), JSON.stringify(index));
  return { folder, manifest, compressed: config.size + packed.size + manifest.size };
}

describe('the weight of an image', () => {
  it('is that of its files, and that of all that is pulled', async () => {
    const { folder, manifest, compressed } = await aLayout(Buffer.alloc(1_000_000));
    expect(await weigh(folder, new AbortController().signal)).toEqual({
      digest: manifest.digest,
      compressed,
      uncompressed: 1_000_000,
    });
  });

  it('is not guessed where there are two images', async () => {
    const { folder } = await aLayout(Buffer.alloc(1), 2);
    await expect(weigh(folder, new AbortController().signal)).rejects.toThrow('more or fewer images than one');
  });

  it('stands in a table', () => {
    const weights = new Map([
      ['kmm-operator', { digest: 'sha256:aa', compressed: 45_500_000, uncompressed: 135_000_000 }],
    ]);
    expect(sizeTable(weights)).toBe(
      'image         files     as pulled  digest\nkmm-operator  135.0 MB  45.5 MB    sha256:aa\n',
    );
  });
});
