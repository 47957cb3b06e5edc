/** Everything that the bed is made of and that takes the outside to make: packages, kernels, programs, disk and images. */

import type { Material } from './bed.ts';
import { kubelet } from './binaries.ts';
import type { Making } from './cache.ts';
import { bedImages } from './images.ts';
import { bootableKernels } from './kernels.ts';
import { operatorPackage } from './operator-package.ts';
import { rootImage } from './root-image.ts';

/** Finds it in the cache or makes it: about 5 minutes with empty caches (beside the control plane), seconds with warm ones. OPERATOR=pods adds what the operator is installed from. */
export async function bedMaterial(making: Making): Promise<Material> {
  const kernels = await bootableKernels(making);
  const images = await bedImages(kernels, making);
  const disk = await rootImage(kernels, await kubelet(making), making);
  if (process.env['OPERATOR'] !== 'pods') return { kernels, disk, images };
  return { kernels, disk, images, operator: await operatorPackage(making) };
}
