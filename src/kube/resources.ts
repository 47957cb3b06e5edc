import type { KubeObject } from './objects.ts';

/**
 * Where a kind lives in the API, carrying the TypeScript type of its objects.
 * `object` never holds a value: it only ties the type to the descriptor, so that `client.get(NODES, ...)` gives a Node.
 */
export interface Resource<T extends KubeObject> {
  /** API group; the empty string is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural, as it stands in the URL. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Ask the server for PartialObjectMetadata: it sends neither spec, status nor data. */
  readonly metadataOnly?: true;
  /** The API server keeps no watch cache of this kind, and only a watch cache makes bookmarks: a watch of it may rightly bring nothing. */
  readonly withoutBookmarks?: true;
  readonly object?: T;
}

export function defineResource<T extends KubeObject>(resource: Resource<T>): Resource<T> {
  return resource;
}

export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}
