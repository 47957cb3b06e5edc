import { isRecord } from '../../src/kernel/json-record.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { defineResource } from '../../src/kube/resources.ts';

export interface Secret extends KubeObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

/**
 * What of a Secret a volume shows, by key: all, or where the volume has `items` these.
 *
 * @param source `secret` of the volume, or what else it is made of
 * @throws Error for an item that the Secret has not: the kubelet does not start such a pod
 */
export function shownData(source: unknown, data: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!isRecord(source) || !Array.isArray(source.items)) return data;
  return Object.fromEntries(
    source.items.map(({ key }) => {
      const value = data[key];
      if (value === undefined) throw new Error(`references non-existent secret key: ${key}`);
      return [key, value];
    }),
  );
}

export const SECRETS = defineResource<Secret>({
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
});
