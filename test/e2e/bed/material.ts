/** Everything that the bed is made of and that takes the outside to make: packages, kernels, programs, disk and images. */

import type { Material } from './bed.ts';
import { clusterDns, kubelet, kubeProxy } from './binaries.ts';
import { buildingImages } from './building.ts';
import type { Making } from './cache.ts';
import { bedImages } from './images.ts';
import { bootableKernels } from './kernels.ts';
import { operatorPackage } from './operator-package.ts';
import { rootImage } from './root-image.ts';

/**
 * Finds it in the cache or makes it: about 5 minutes with empty caches (beside the control plane), seconds with warm ones. OPERATOR=pods adds
 * what the operator is installed from.
 *
 * @param builds whether images are to be built in the cluster; the operator is installed as users do then, too
 */
export async function bedMaterial(builds: boolean, making: Making): Promise<Material> {
  const kernels = await bootableKernels(making);
  const images = [...(await bedImages(kernels, making)), ...(builds ? await buildingImages(making) : [])];
  const disk = await rootImage(kernels, await kubelet(making), making);
  return {
    kernels,
    disk,
    images,
    ...(builds ? { services: { kubeProxy: await kubeProxy(making), dns: await clusterDns(making) } } : {}),
    ...(builds || process.env['OPERATOR'] === 'pods' ? { operator: await operatorPackage(making) } : {}),
  };
}
