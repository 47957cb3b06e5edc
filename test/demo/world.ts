import type { Module } from '../../src/api/module.ts';
import type { DaemonSet, Node, Pod } from '../../src/kube/core.ts';
import type { KubeObject } from '../../src/kube/objects.ts';

/** The cluster as the API server last told it; each map goes by `namespace/name`, or by name where there is no namespace. */
export interface World {
  readonly nodes: ReadonlyMap<string, Node>;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly daemonSets: ReadonlyMap<string, DaemonSet>;
  readonly modules: ReadonlyMap<string, Module>;
}

export type Kind = keyof World;

/** One event of a watch. Events of one kind come in the order in which they happened; those of two kinds need not. */
export interface Change {
  readonly kind: Kind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly key: string;
}

export function keyOf({ metadata }: KubeObject): string {
  return metadata.namespace === undefined ? (metadata.name ?? '') : `${metadata.namespace}/${metadata.name}`;
}
