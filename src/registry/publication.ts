import { AUTHORITY_CONFIG_MAP, AUTHORITY_KEY } from '../kernel/cluster-registry.ts';
import type { KubeClient } from '../kube/client.ts';
import { CONFIG_MAPS } from '../kube/core.ts';
import { isConflict } from '../kube/errors.ts';

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
