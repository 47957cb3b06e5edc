import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { isRecord } from '../../src/kernel/json-record.ts';

/** What an image weighs, in bytes. */
export interface ImageWeight {
  /** Of the manifest. */
  readonly digest: string;
  /** As it is pushed and pulled: manifest, configuration and compressed layers. */
  readonly compressed: number;
  /** Its files as tar. */
  readonly uncompressed: number;
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/**
 * Weighs the one image of an OCI layout.
 *
 * @throws Error where the folder is no layout with one image whose layers are gzip
 */
export async function weigh(layout: string, signal: AbortSignal): Promise<ImageWeight> {
  const [manifest, more] = descriptors(await json(join(layout, 'index.json')), 'manifests');
  if (manifest === undefined || more !== undefined) throw new Error(`${layout} has more or fewer images than one`);
  const content = await json(blob(layout, manifest));
  const config = isRecord(content) ? descriptor(content.config) : undefined;
  const layers = descriptors(content, 'layers');
  if (config === undefined || layers.length === 0) throw new Error(`${layout} has no manifest of an image`);
  let uncompressed = 0;
  for (const layer of layers) uncompressed += await gunzippedBytes(blob(layout, layer), signal);
  const compressed = [manifest, config, ...layers].reduce((sum, { size }) => sum + size, 0);
  return { digest: manifest.digest, compressed, uncompressed };
}

function blob(layout: string, { digest }: Descriptor): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

async function gunzippedBytes(path: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  await pipeline(
    createReadStream(path),
    createGunzip(),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) bytes += chunk.length;
    },
    { signal },
  );
  return bytes;
}

async function json(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, 'utf8'));
}

function descriptors(value: unknown, field: string): readonly Descriptor[] {
  const list = isRecord(value) ? value[field] : undefined;
  return Array.isArray(list) ? list.flatMap((each) => descriptor(each) ?? []) : [];
}

function descriptor(value: unknown): Descriptor | undefined {
  if (!isRecord(value)) return undefined;
  const { digest, size } = value;
  return typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest) && typeof size === 'number'
    ? { digest, size }
    : undefined;
}
