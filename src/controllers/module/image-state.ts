import type { KernelPlan } from './plan-kernels.ts';
import type { State } from './reasons.ts';

/** What is going on with an image that is built in the cluster; undefined where it is there, or where none is built. */
export function imageState({ wanted }: KernelPlan): { readonly state: State; readonly message: string } | undefined {
  if (wanted === undefined) return undefined;
  const { progress, build } = wanted;
  switch (progress.phase) {
    case 'Pushed':
      return undefined;
    case 'Queued':
      return { state: 'WaitingForImage', message: `${build.request.image}: ${progress.message}` };
    case 'Starting': {
      const why = progress.message === undefined ? '' : ` (${progress.message})`;
      return {
        state: 'WaitingForImage',
        message: `build pod ${progress.pod} is starting since ${progress.since}${why}`,
      };
    }
    case 'Failed': {
      const again =
        progress.retryAtMs === undefined
          ? ''
          : `; tried again at ${new Date(progress.retryAtMs).toISOString().slice(11, 19)}`;
      return { state: 'BuildFailed', message: `${progress.message}${again}` };
    }
    case 'Building':
    case 'Signing':
    case 'Pushing':
      return { state: progress.phase, message: `pod ${progress.pod} since ${progress.since}` };
  }
}
