/** What scenarios bring to a cluster of somebody else's: images for the kernels of its nodes. */
import { findControlPlane } from '../../../hack/control-plane/resolve.ts';
import { tagSafe } from '../../../src/kernel/template.ts';
import type { Node } from '../../../src/kube/core.ts';
import type { KubeList } from '../../../src/kube/objects.ts';
import { headersOf } from '../../harness/kernel-headers.ts';
import { run, runOrThrow } from '../../harness/run.ts';
import type { Making } from '../bed/cache.ts';
import { type BedImage, commonImages, HELLO_REPOSITORY, helloImage } from '../bed/images.ts';
import { chooseNodes, releaseOf } from './nodes.ts';

export interface ForeignMaterial {
  /** Path of the program, which KUBECONFIG tells where the cluster is. */
  readonly kubectl: string;
  /** Host and path, as `registry.example:5000/e2e`. */
  readonly registry: string;
  /** Names of those that take part. */
  readonly nodes: readonly string[];
  readonly images: readonly BedImage[];
}

/** @throws Error where no node can take part, or a kernel is not Debian's and nobody has pushed kmm_hello for it */
export async function foreignMaterial(registry: string, making: Making): Promise<ForeignMaterial> {
  const { signal } = making;
  const { kubectl } = await findControlPlane();
  const { stdout } = await runOrThrow(kubectl, ['get', 'nodes', '-o', 'json'], { signal });
  const { items }: KubeList<Node> = JSON.parse(stdout);
  const nodes = chooseNodes(items);
  if (nodes.length === 0) {
    throw new Error('no node can take part: none is Ready, of this machine’s architecture, and without taints');
  }
  const { tools, images } = await commonImages(making);
  const releases = new Set(nodes.map(releaseOf));
  const loaders: BedImage[] = [];
  for (const release of releases) {
    const reference = `${registry}/${HELLO_REPOSITORY}:${tagSafe(release)}`;
    try {
      loaders.push(await helloImage(await headersOf(release, signal), tools, making));
    } catch (cause) {
      if (await isInRegistry(reference, signal)) continue;
      const way = `make it with test/e2e/hello/Dockerfile and push it as ${reference}`;
      throw new Error(`the image of kmm_hello for kernel ${release} cannot be made here: ${way}`, { cause });
    }
  }
  return {
    kubectl,
    registry,
    nodes: nodes.map(({ metadata }) => metadata.name ?? ''),
    images: [...images, ...loaders],
  };
}

async function isInRegistry(reference: string, signal: AbortSignal): Promise<boolean> {
  return (await run('skopeo', ['inspect', '--raw', `docker://${reference}`], { signal })).code === 0;
}
