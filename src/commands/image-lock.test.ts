import { globSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { isRecord } from '../kernel/json-record.ts';
import { isPublished, LOCKED_IMAGES, lockedImage, referenceOf } from './image-lock.ts';
import { VERSION } from './version.ts';

const KNOWN = new Set(LOCKED_IMAGES.flatMap((image) => [referenceOf(image), `${image.repository}:${image.tag}`]));
/** A reference with a tag or a digest, in a registry that everybody reaches. */
const PUBLIC_REFERENCE = /\b(?:docker\.io|quay\.io|ghcr\.io|gcr\.io|registry\.k8s\.io)\/[a-z0-9][\w./-]*[:@][\w.:-]+/g;

describe('images.lock', () => {
  it.each(['operator', 'builder'])('has the %s of this version', (name) => {
    expect(lockedImage(name).tag).toBe(VERSION);
  });

  it('names a released image by digest', () => {
    const image = { name: 'x', repository: 'registry.test/x', tag: '1', digest: `sha256:${'b'.repeat(64)}`, use: 'x' };
    expect(referenceOf(image)).toBe(`registry.test/x:1@sha256:${'b'.repeat(64)}`);
    expect(isPublished(image)).toBe(true);
    expect(isPublished({ ...image, repository: 'kmm-operator' })).toBe(false);
  });

  it('has every image that is installed out of config/, samples apart', () => {
    const unknown = globSync('config/**/*.yaml')
      .filter((file) => !file.startsWith('config/samples/') && !file.startsWith('config/crd/'))
      .flatMap((file) => imagesIn(file).map((image) => `${file}: ${image}`))
      .filter((line) => !KNOWN.has(line.slice(line.indexOf(': ') + 2)));
    expect(unknown).toEqual([]);
  });

  it('has every image that the code names', () => {
    const unknown = globSync('src/**/*.ts')
      .filter((file) => !file.endsWith('.test.ts'))
      .flatMap((file) => (readFileSync(file, 'utf8').match(PUBLIC_REFERENCE) ?? []).map((image) => `${file}: ${image}`))
      .filter((line) => !KNOWN.has(line.slice(line.indexOf(': ') + 2)));
    expect(unknown).toEqual([]);
  });
});

/** `image` of every container, and what kustomize puts in the place of one. */
function imagesIn(file: string): string[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => imagesOf(document.toJS()));
}

function imagesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(imagesOf);
  if (!isRecord(value)) return [];
  const { newName, newTag, image } = value;
  return [
    ...(typeof image === 'string' ? [image] : []),
    ...(typeof newName === 'string' ? [`${newName}:${typeof newTag === 'string' ? newTag : 'latest'}`] : []),
    ...Object.values(value).flatMap(imagesOf),
  ];
}
