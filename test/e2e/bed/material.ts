/** Everything that the bed is made of and that takes the outside to make: packages, kernels, programs, disk and images. */

import type { Material } from './bed.ts';
import { clusterDns, kubelet, kubeProxy } from './binaries.ts';
import { buildingImages } from './building.ts';
import type { Making } from './cache.ts';
import { bedImages } from './images.ts';
import { bootable } from './kernels.ts';
import { earlierOperator, operatorPackage } from './operator-package.ts';
import { builderBase } from './preloaded.ts';
import { rootImage } from './root-image.ts';
import { kernelsOf, runtimeOf, type Software } from './software.ts';

/**
 * What a bed whose operator runs in the usual way is made of: as pods, or with OPERATOR=process, where no images are built, as a process.
 *
 * @param builds whether images are to be built in the cluster
 */
export async function bedMaterial(builds: boolean, software: Software, making: Making): Promise<Material> {
  const nodes = await nodeMaterial(builds, software, making);
  const isInstalled = builds || process.env['OPERATOR'] !== 'process';
  const earlier = await earlierOperator(isInstalled, making);
  return {
    ...nodes,
    ...(earlier === undefined ? {} : { earlier }),
    ...(isInstalled ? { operator: await operatorPackage(making) } : {}),
  };
}

/**
 * What its nodes are made of, and their images. Finds it in the cache or makes it: about 5 minutes with empty caches (beside the control
 * plane), 12 for the newest software, seconds with warm ones.
 */
export async function nodeMaterial(builds: boolean, software: Software, making: Making): Promise<Material> {
  const [newer, older] = await kernelsOf(software, making);
  const kernels = [await bootable(newer, making), await bootable(older, making)] as const;
  const images = [...(await bedImages(kernels, making)), ...(builds ? await buildingImages(kernels, making) : [])];
  const runtime = await runtimeOf(software, making);
  const disk = await rootImage(
    kernels,
    {
      kubelet: await kubelet(making),
      ...(runtime === undefined ? {} : { runtime }),
      ...(builds ? { preloaded: await builderBase(making.signal) } : {}),
    },
    making,
  );
  return {
    software,
    kernels,
    disk,
    images,
    ...(builds ? { services: { kubeProxy: await kubeProxy(making), dns: await clusterDns(making) } } : {}),
  };
}
