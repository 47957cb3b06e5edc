/** What users install, made from this checkout: the operator's image by `make images`, and helm for its chart. */
import { ensureHelm } from '../../../hack/helm/helm.ts';
import type { Making } from './cache.ts';
import type { BedImage } from './images.ts';
import { productImage } from './product-image.ts';

/** What an installation is made from. */
export interface OperatorPackage {
  /** Path of helm. */
  readonly helm: string;
  readonly image: BedImage;
}

export async function operatorPackage(making: Making): Promise<OperatorPackage> {
  const helm = await ensureHelm(making.progress, making.signal);
  return { helm, image: await productImage('operator', making) };
}
