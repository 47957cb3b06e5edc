import { describe, expect, it } from 'vitest';
import { aLoaderPod } from '../../../test/harness/plan-world.ts';
import { unlessLost } from './lost-image.ts';
import type { BuildProgress } from './progress.ts';

const RETRY = { attempts: 3, backoffMs: 30_000 };
const BEFORE = '2026-03-01T11:00:00Z';
const PUSHED_AT = '2026-03-01T12:00:00Z';
const AFTER = '2026-03-01T13:00:00Z';
const GONE =
  'rpc error: code = NotFound desc = failed to pull and unpack image: failed to resolve reference: not found';
const pushed: BuildProgress = {
  phase: 'Pushed',
  since: PUSHED_AT,
  attempts: 1,
  image: '127.0.0.1:5780/ns/kmod@sha256:00',
  reference: '127.0.0.1:5780/ns/kmod:6.1.0',
};

function loader(createdAt: string, reason: string, message: string) {
  const pod = aLoaderPod('n1', '6.1.0').waiting(reason, message).build();
  return { ...pod, metadata: { ...pod.metadata, creationTimestamp: createdAt } };
}

describe('an image that was pushed', () => {
  it.each(['ErrImagePull', 'ImagePullBackOff'])(
    'and has gone, as a loader of today finds (%s), is built again',
    (reason) => {
      expect(unlessLost(pushed, [loader(AFTER, reason, GONE)], RETRY)).toMatchObject({
        phase: 'Failed',
        blame: 'infrastructure',
        attempts: 1,
        message: expect.stringContaining('has gone from the cluster'),
        retryAtMs: Date.parse(AFTER) + 30_000,
      });
    },
  );

  it.each([
    [3, 120_000],
    [30, 30 * 60_000],
  ])('and has gone is built again, however often that was: after %i builds %i ms later', (attempts, waitMs) => {
    const lost = unlessLost({ ...pushed, attempts }, [loader(AFTER, 'ErrImagePull', GONE)], RETRY);
    expect(lost).toMatchObject({ phase: 'Failed', attempts, retryAtMs: Date.parse(AFTER) + waitMs });
  });

  it.each<[string, BuildProgress, string, string, string]>([
    ['for a loader that is older than the push', pushed, BEFORE, 'ErrImagePull', GONE],
    ['for a registry that does not answer', pushed, AFTER, 'ErrImagePull', 'connection refused'],
    ['for a loader that crashes', pushed, AFTER, 'CrashLoopBackOff', 'modprobe: not found'],
  ])('stays one %s', (_why, progress, createdAt, reason, message) => {
    expect(unlessLost(progress, [loader(createdAt, reason, message)], RETRY)).toBe(progress);
  });
});
