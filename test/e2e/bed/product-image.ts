/** An image of the product, made from this checkout by `make images`. */
import { join } from 'node:path';

import packageJson from '../../../package.json' with { type: 'json' };
import { runOrThrow } from '../../harness/run.ts';
import type { Making } from './cache.ts';
import type { BedImage } from './images.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

type ProductImage = 'operator' | 'builder';

/** Repository and tag. */
export function productName(image: ProductImage): string {
  return `kmm-${image}:${packageJson.version}`;
}

/** Half a minute where the image's base is there, else 2 minutes. */
export async function productImage(name: ProductImage, { progress, signal }: Making): Promise<BedImage> {
  progress.start(`Making the image of the ${name} (half a minute, the first time three)`);
  await runOrThrow(process.execPath, [join(ROOT, 'hack', 'images.ts'), '--only', name], { cwd: ROOT, signal });
  progress.done();
  const layout = join(ROOT, 'out', 'images', `kmm-${name}`);
  return { name: productName(name), source: `oci:${layout}:${packageJson.version}`, zstd: true };
}
