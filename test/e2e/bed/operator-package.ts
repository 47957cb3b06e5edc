/** What users install, made from this checkout or an earlier one: the operator's image by `make images`, its chart, and helm. */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ensureHelm } from '../../../hack/helm/helm.ts';
import { run, runOrThrow } from '../../harness/run.ts';
import { type Making, made } from './cache.ts';
import type { BedImage } from './images.ts';
import { productImage } from './product-image.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
/**
 * The last commit whose loaders have no `preStop`: live DaemonSets of its operator are not as ours would be. The last tag belongs here once
 * there is one.
 */
const EARLIER = '0278d144a25bf08cccdd4409a33d7fa4b6a1eb68';

/** What an installation is made from. */
export interface OperatorPackage {
  /** Path of helm. */
  readonly helm: string;
  /** Folder. */
  readonly chart: string;
  readonly image: BedImage;
}

/** The operator of the earlier commit, to run as the bed's own does: it has one of the two. */
export interface EarlierOperator {
  /** Path of its bundle, for Node, where the operator is a process. */
  readonly program?: string;
  /** Where the operator is installed as users do. */
  readonly package?: OperatorPackage;
}

export async function operatorPackage(making: Making): Promise<OperatorPackage> {
  const helm = await ensureHelm(making.progress, making.signal);
  return { helm, chart: join(ROOT, 'charts', 'kmm'), image: await productImage('operator', making) };
}

/**
 * Made before operatorPackage(): of one version there is one image in the storage of `make images`, and that is to be this checkout's in the end.
 *
 * @returns undefined where the history of this checkout does not reach the commit, as in a shallow clone
 */
export async function earlierOperator(isInstalled: boolean, making: Making): Promise<EarlierOperator | undefined> {
  const { code } = await run('git', ['-C', ROOT, 'cat-file', '-e', `${EARLIER}^{commit}`], { signal: making.signal });
  if (code !== 0) return undefined;
  return isInstalled ? { package: await earlierPackage(making) } : { program: await earlierProgram(making) };
}

async function earlierProgram(making: Making): Promise<string> {
  const folder = await made(
    {
      name: 'earlier-program',
      recipe: [EARLIER],
      what: 'Bundling the operator of an earlier commit (half a minute)',
      make: (path, signal) =>
        inCheckout(signal, async (cwd) => {
          await runOrThrow(process.execPath, ['hack/bundle.ts', path], { cwd, signal });
        }),
    },
    making,
  );
  return join(folder, 'kmm.mjs');
}

async function earlierPackage(making: Making): Promise<OperatorPackage> {
  const folder = await made(
    {
      name: 'earlier-package',
      recipe: [EARLIER],
      what: 'Making the image of the operator of an earlier commit (half a minute)',
      make: (path, signal) =>
        inCheckout(signal, async (cwd) => {
          await runOrThrow(process.execPath, ['hack/images.ts', '--only', 'operator'], { cwd, signal });
          await mkdir(path);
          await cp(join(cwd, 'charts', 'kmm'), join(path, 'chart'), { recursive: true });
          await cp(join(cwd, 'out', 'images', 'kmm-operator'), join(path, 'image'), { recursive: true });
        }),
    },
    making,
  );
  return {
    helm: await ensureHelm(making.progress, making.signal),
    chart: join(folder, 'chart'),
    image: { name: 'kmm-operator:earlier', source: `oci:${join(folder, 'image')}`, zstd: true },
  };
}

/** A clone of the earlier commit, with its dependencies, for as long as `act` runs. */
async function inCheckout(signal: AbortSignal, act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-earlier-'));
  try {
    await runOrThrow('git', ['clone', '--quiet', '--shared', '--no-checkout', ROOT, folder], { signal });
    await runOrThrow('git', ['-C', folder, 'checkout', '--quiet', '--detach', EARLIER], { signal });
    await runOrThrow('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], {
      cwd: folder,
      signal,
    });
    await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
