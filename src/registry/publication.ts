import type { KubeClient } from '../kube/client.ts';
import { isConflict } from '../kube/errors.ts';
import type { KubeObject } from '../kube/objects.ts';
import { defineResource } from '../kube/resources.ts';

/** What a ConfigMap holds, where it is ours to read. */
export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export const CONFIG_MAPS = defineResource<ConfigMap>({
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
});

/** The ConfigMap through which everybody learns of the front's authority. */
export const AUTHORITY_CONFIG_MAP = 'kmm-registry-ca';
export const AUTHORITY_KEY = 'ca.crt';

/**
 * Makes the ConfigMap hold these certificates and no others. It is installed empty with the front: a right to create ConfigMaps could not
 * be narrowed to one name.
 *
 * @param certificates PEM
 * @throws ApiError, ConnectionError
 */
export async function publishAuthority(
  client: KubeClient,
  namespace: string,
  certificates: string,
  signal: AbortSignal,
): Promise<void> {
  const ref = { name: AUTHORITY_CONFIG_MAP, namespace };
  for (;;) {
    const found = await client.get(CONFIG_MAPS, ref, { signal });
    if (found.data?.[AUTHORITY_KEY] === certificates) return;
    try {
      await client.update(CONFIG_MAPS, { ...found, data: { [AUTHORITY_KEY]: certificates } }, { signal });
      return;
    } catch (error) {
      // Somebody labelled it meanwhile.
      if (!isConflict(error)) throw error;
    }
  }
}
