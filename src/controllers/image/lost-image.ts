import type { PodRecord } from '../records.ts';
import type { BuildProgress, RetryPolicy } from './progress.ts';
import { backoffMs } from './progress.ts';

/** What the runtimes say of an image that a registry does not have: containerd, then CRI-O. */
const NOT_THERE = /not found|manifest unknown|name unknown/i;

/** Of a loader that was to run the image that was pushed. */
type Loader = Pick<PodRecord, 'metadata' | 'container'>;

/**
 * The progress of an image that was pushed, where a node has learned meanwhile that it has gone: the cluster's registry keeps images no
 * longer than its volume lives. It is built again as often as it goes, each time later, up to the longest wait between two tries: what gave up
 * once would leave the Module with a pull that fails, and no word of a build.
 *
 * A loader that is older than the push has asked before; its kubelet asks again.
 */
export function unlessLost(progress: BuildProgress, loaders: readonly Loader[], retry: RetryPolicy): BuildProgress {
  if (progress.phase !== 'Pushed') return progress;
  const { attempts, reference, since } = progress;
  const witness = loaders.find(
    ({ metadata, container }) =>
      Date.parse(metadata.creationTimestamp ?? '') > Date.parse(since) && NOT_THERE.test(pullFailure(container) ?? ''),
  );
  const at = witness?.metadata.creationTimestamp;
  if (at === undefined) return progress;
  return {
    phase: 'Failed',
    since: at,
    attempts,
    blame: 'infrastructure',
    message: `${reference} has gone from the cluster's registry since it was pushed, and is built again; a registry on a PersistentVolumeClaim keeps its images`,
    retryAtMs: Date.parse(at) + backoffMs(attempts, retry),
  };
}

function pullFailure(container: Loader['container']): string | undefined {
  const waiting = container?.waiting;
  return waiting !== undefined && /ImagePull/.test(waiting.reason) ? waiting.message : undefined;
}
