import { describe, expect, it } from 'vitest';
import { aBuild, aBuildPod, aReport } from '../../../test/harness/builds.ts';
import type { BuildObservation } from '../../build/engines/engine.ts';
import { buildStatus, progressOf } from './progress.ts';

const build = aBuild();
const AT = '2026-03-01T12:00:00Z';
const RETRY = { attempts: 3, backoffMs: 30_000 };
const failed = (blame: 'user' | 'infrastructure'): BuildObservation => ({
  phase: 'Failed',
  at: AT,
  blame,
  step: 'build',
  message: 'make ended with exit code 2',
  log: 'hello.c:3: error: expected ;\nmake: *** [all] Error 2',
});

describe('how far an image is', () => {
  it('is told by its pod while there is one', () => {
    const pod = aBuildPod(build, { phase: 'Signing', since: AT });
    expect(progressOf(build, [pod], undefined, RETRY)).toEqual({
      phase: 'Signing',
      since: AT,
      pod: build.name,
      attempts: 1,
    });
  });

  it('is told by status when the pod has gone: after a restart nothing is built again', () => {
    const pushed = progressOf(
      build,
      [aBuildPod(build, { phase: 'Succeeded', at: AT, report: aReport() })],
      undefined,
      RETRY,
    );
    expect(pushed).toMatchObject({ phase: 'Pushed', image: aReport().image });
    expect(progressOf(build, [], buildStatus(build, pushed), RETRY)).toEqual(pushed);
  });

  it('begins anew when the request is another, whatever status says of the one before', () => {
    const pushed = progressOf(
      build,
      [aBuildPod(build, { phase: 'Succeeded', at: AT, report: aReport() })],
      undefined,
      RETRY,
    );
    const next = aBuild({ kernel: '6.1.0-56-cloud-amd64' });
    expect(
      progressOf(next, [aBuildPod(build, { phase: 'Building', since: AT })], buildStatus(build, pushed), RETRY),
    ).toMatchObject({ phase: 'Queued', attempts: 0 });
  });

  it("names the step and the last words of a user's failure, and does not try again", () => {
    const progress = progressOf(build, [aBuildPod(build, failed('user'))], undefined, RETRY);
    expect(progress).toMatchObject({
      phase: 'Failed',
      message: 'build: make ended with exit code 2 (…hello.c:3: error: expected ; | make: *** [all] Error 2)',
    });
    expect(progress).not.toHaveProperty('retryAtMs');
  });

  it.each([
    [1, 30_000],
    [2, 60_000],
  ])('tries %i of an infrastructure failure are followed by another, later each time', (attempt, waitMs) => {
    const progress = progressOf(build, [aBuildPod(build, failed('infrastructure'), { attempt })], undefined, RETRY);
    expect(progress).toMatchObject({ phase: 'Failed', attempts: attempt, retryAtMs: Date.parse(AT) + waitMs });
    expect(progressOf(build, [], buildStatus(build, progress), RETRY)).toMatchObject({
      attempts: attempt,
      retryAtMs: Date.parse(AT) + waitMs,
    });
  });

  it('says that it gave up, and how to go on, after the last try', () => {
    const progress = progressOf(build, [aBuildPod(build, failed('infrastructure'), { attempt: 3 })], undefined, RETRY);
    expect(progress).not.toHaveProperty('retryAtMs');
    expect(progress).toMatchObject({
      message: expect.stringContaining('given up after 3 tries: change spec.imageRebuildTriggerGeneration'),
    });
  });

  describe('of a try on other terms than are wanted now', () => {
    const raised = { ...build, terms: 'raised' };

    it('begins anew where that has not begun or has failed, and counts on', () => {
      const old = aBuildPod(build, failed('user'), { attempt: 2 });
      const queued = { phase: 'Queued', attempts: 2, message: `waiting for pod ${build.name} of the try before to go` };
      expect(progressOf(raised, [old], undefined, RETRY)).toEqual(queued);
      const stuck = aBuildPod(
        build,
        { phase: 'Starting', since: AT, message: '0/3 nodes are available' },
        { attempt: 2 },
      );
      expect(progressOf(raised, [stuck], undefined, RETRY)).toEqual(queued);
    });

    it('is what that is where it runs or is done: it may well end as it should', () => {
      const running = aBuildPod(build, { phase: 'Building', since: AT });
      expect(progressOf(raised, [running], undefined, RETRY)).toMatchObject({ phase: 'Building' });
      const done = aBuildPod(build, { phase: 'Succeeded', at: AT, report: aReport() });
      const pushed = progressOf(raised, [done], undefined, RETRY);
      expect(pushed).toMatchObject({ phase: 'Pushed' });
      expect(progressOf(raised, [], buildStatus(build, pushed), RETRY)).toEqual(pushed);
    });

    it('begins anew after the failed pod has gone, too', () => {
      const status = buildStatus(build, progressOf(build, [aBuildPod(build, failed('user'))], undefined, RETRY));
      expect(progressOf(build, [], status, RETRY)).toMatchObject({ phase: 'Failed' });
      expect(progressOf(raised, [], status, RETRY)).toMatchObject({ phase: 'Queued', attempts: 1 });
    });

    it('is told as it is where an older operator made it, which kept no terms', () => {
      const { terms: _none, ...older } = aBuildPod(build, failed('user'));
      expect(progressOf(raised, [older], undefined, RETRY)).toMatchObject({ phase: 'Failed' });
    });
  });

  it('says what it waits for where the pod of the try before is on its way out', () => {
    const leaving = aBuildPod(build, { phase: 'Building', since: AT }, { deleting: true });
    expect(progressOf(build, [leaving], undefined, RETRY)).toMatchObject({
      phase: 'Queued',
      message: `waiting for pod ${build.name} of the try before to go`,
    });
  });

  it('counts on after a failed pod was deleted for the next try', () => {
    const first = progressOf(build, [aBuildPod(build, failed('infrastructure'))], undefined, RETRY);
    const deleting = aBuildPod(build, failed('infrastructure'), { deleting: true });
    expect(progressOf(build, [deleting], buildStatus(build, first), RETRY)).toMatchObject({
      phase: 'Failed',
      attempts: 1,
    });
  });
});
