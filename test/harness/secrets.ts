import type { KubeObject } from '../../src/kube/objects.ts';
import { defineResource } from '../../src/kube/resources.ts';

export interface Secret extends KubeObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/**
 * Those of a Secret's keys that a volume shows: all, or where there are `items` these.
 *
 * @param source of the volume
 * @throws Error for an item that the Secret has not: the kubelet does not start such a pod
 */
export function shownKeys(source: Readonly<Record<string, unknown>>, keys: readonly string[]): readonly string[] {
  const { items } = source;
  if (!Array.isArray(items)) return keys;
  return items.map(({ key }) => {
    if (!keys.includes(key)) throw new Error(`references non-existent secret key: ${key}`);
    return key;
  });
}

export const SECRETS = defineResource<Secret>({
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
});
