import { createHash } from 'node:crypto';

import type { KubeObject } from '../kube/objects.ts';
import { allCaches, type Caches } from './caches.ts';

/** What a cache holds, in few words. */
export interface CacheDigest {
  readonly objects: number;
  /** 16 hexadecimal digits: equal where, and only where, the objects and their versions are. */
  readonly digest: string;
}

/** Of objects in any order. */
export function digestOf(objects: Iterable<Pick<KubeObject, 'metadata'>>): CacheDigest {
  const versions = [...objects].map(({ metadata }) => `${metadata.uid} ${metadata.resourceVersion}`).sort();
  const digest = createHash('sha256').update(versions.join('\n')).digest('hex').slice(0, 16);
  return { objects: versions.length, digest };
}

/** Of every cache, by what it holds. */
export function cacheDigests(caches: Caches): Readonly<Record<string, CacheDigest>> {
  return Object.fromEntries([...allCaches(caches)].map(([name, { store }]) => [name, digestOf(store.list())]));
}
