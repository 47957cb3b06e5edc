/** What users install, made from this checkout: the operator's image by `make images`, and helm for its chart. */
import { join } from 'node:path';

import { ensureHelm } from '../../../hack/helm/helm.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { runOrThrow } from '../../harness/run.ts';
import type { Making } from './cache.ts';
import { REGISTRY } from './guest-config.ts';
import type { BedImage } from './images.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** What an installation is made from. */
export interface OperatorPackage {
  /** Path of helm. */
  readonly helm: string;
  readonly image: BedImage;
}

/** Seconds where the image's base is there, else 2 minutes. */
export async function operatorPackage({ progress, signal }: Making): Promise<OperatorPackage> {
  const helm = await ensureHelm(progress, signal);
  progress.start("Making the operator's image (about a minute, the first time three)");
  await runOrThrow(process.execPath, [join(ROOT, 'hack', 'images.ts'), '--only', 'operator'], { cwd: ROOT, signal });
  progress.done();
  const { version } = packageJson;
  const image = {
    reference: `${REGISTRY}/kmm-operator:${version}`,
    source: `oci:${join(ROOT, 'out', 'images', 'kmm-operator')}:${version}`,
  };
  return { helm, image };
}
