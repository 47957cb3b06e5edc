import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aBuild, aBuildPod, aReport } from '../../../test/harness/builds.ts';
import type { BuildRecord } from '../../build/engines/engine.ts';
import type { WantedImage } from './image-desk.ts';
import { type BuildsSnapshot, planBuilds } from './plan.ts';
import type { BuildProgress } from './progress.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const AT = '2026-03-01T11:59:00Z';
const QUEUED: BuildProgress = { phase: 'Queued', attempts: 0, message: 'waiting' };
const build = aBuild();

function wanted(progress: BuildProgress, extra: Partial<WantedImage> = {}): WantedImage {
  return { build, progress, recorded: true, ...extra };
}

function plan(images: readonly WantedImage[], pods: readonly BuildRecord[], extra: Partial<BuildsSnapshot> = {}) {
  return planBuilds({
    nowMs: NOW,
    wanted: new Map([['ns/m', images]]),
    records: new Map([['ns/m', pods]]),
    maxConcurrent: 4,
    keepFinishedMs: 0,
    refusedUntil: new Map(),
    ...extra,
  });
}

const pushed: BuildProgress = { phase: 'Pushed', since: AT, attempts: 1, image: 'x@sha256:1', reference: 'x:1' };
const failed = (retryAtMs?: number): BuildProgress => ({
  phase: 'Failed',
  since: AT,
  attempts: 2,
  blame: retryAtMs === undefined ? 'user' : 'infrastructure',
  message: 'no',
  ...(retryAtMs === undefined ? {} : { retryAtMs }),
});
const succeededPod = aBuildPod(build, { phase: 'Succeeded', at: AT, report: aReport() });
const failedPod = aBuildPod(build, { phase: 'Failed', at: AT, blame: 'infrastructure', message: 'no' }, { attempt: 2 });

describe('a build', () => {
  it('is started when nothing of it is there', () => {
    expect(plan([wanted(QUEUED)], []).create).toEqual([{ ...build, attempt: 1 }]);
  });

  it('waits for a pod of its name that is still on its way out', () => {
    const leaving = aBuildPod(build, { phase: 'Building', since: AT }, { deleting: true });
    expect(plan([wanted(QUEUED)], [leaving])).toMatchObject({ create: [], delete: [] });
  });

  it('that has not begun or has failed makes way for one on other terms, once status has the count of tries', () => {
    const raised: WantedImage = { build: { ...build, terms: 'raised' }, progress: QUEUED, recorded: true };
    const stuck = aBuildPod(build, { phase: 'Starting', since: AT });
    const running = aBuildPod(build, { phase: 'Building', since: AT });
    for (const old of [stuck, failedPod]) {
      expect(plan([raised], [old])).toMatchObject({ create: [], delete: [{ record: old, why: 'Outdated' }] });
      expect(plan([{ ...raised, recorded: false }], [old])).toMatchObject({ create: [], delete: [] });
    }
    expect(plan([raised], [running])).toMatchObject({ create: [], delete: [] });
  });

  it('under way goes on with what its engine makes next, unless the API server has just refused that', () => {
    const running = aBuildPod(build, { phase: 'Starting', since: AT }, { attempt: 2 });
    const starting: BuildProgress = { phase: 'Starting', since: AT, pod: 'p', attempts: 2 };
    expect(plan([wanted(starting)], [running]).advance).toMatchObject([{ build: { attempt: 2 }, record: running }]);
    const refusedUntil = new Map([[build.key, NOW + 5_000]]);
    expect(plan([wanted(starting)], [running], { refusedUntil })).toMatchObject({
      advance: [],
      lookAgainAtMs: NOW + 5_000,
    });
    const leaving = aBuildPod(build, { phase: 'Starting', since: AT }, { deleting: true });
    expect(plan([wanted(starting)], [leaving]).advance).toEqual([]);
    expect(plan([wanted(starting, { undecided: true })], [running]).advance).toEqual([]);
  });

  it('that must not begin yet does not, neither first nor again, and what it takes the place of is cancelled', () => {
    const other = aBuildPod(aBuild({ kernel: 'whichever' }), { phase: 'Building', since: AT });
    expect(plan([wanted(QUEUED, { blocked: true })], [other])).toMatchObject({
      create: [],
      delete: [{ record: other, why: 'Outdated' }],
    });
    expect(plan([wanted(failed(NOW), { blocked: true })], []).create).toEqual([]);
  });

  it('neither begins nor is cancelled while its ConfigMap has not been seen, as when the operator has just started', () => {
    const running = aBuildPod(aBuild({ kernel: 'whichever' }), { phase: 'Building', since: AT });
    expect(plan([wanted(QUEUED, { undecided: true })], [running])).toMatchObject({ create: [], delete: [] });
  });

  it('is tried again in its time, when the failed pod has gone', () => {
    expect(plan([wanted(failed(NOW + 5_000))], [failedPod])).toMatchObject({ delete: [], lookAgainAtMs: NOW + 5_000 });
    expect(plan([wanted(failed(NOW))], [failedPod]).delete).toEqual([
      { kind: 'delete', record: failedPod, why: 'TriedAgain' },
    ]);
    expect(plan([wanted(failed(NOW))], []).create).toEqual([{ ...build, attempt: 3 }]);
  });

  it('that is being tried again is not taken for the one that failed before it, as when the Module has not spoken since', () => {
    const third = aBuildPod(build, { phase: 'Building', since: AT }, { attempt: 3 });
    expect(plan([wanted(failed(NOW))], [third])).toMatchObject({ delete: [], create: [] });
  });

  it('is not tried again before status has counted the tries: a crash would forget them', () => {
    expect(plan([wanted(failed(NOW), { recorded: false })], [failedPod]).delete).toEqual([]);
  });

  it("is not tried again after a user's failure, and its pod stays for whoever reads the log", () => {
    expect(plan([wanted(failed())], [failedPod])).toMatchObject({ create: [], delete: [] });
  });

  it('whose pod is refused does not stand before others in the line', () => {
    const other = aBuild({ kernel: '6.1.0-56-cloud-amd64' });
    const images = [wanted(QUEUED), { build: other, progress: QUEUED, recorded: true }];
    const refusedUntil = new Map([[build.key, NOW + 30_000]]);
    const { create, lookAgainAtMs } = plan(images, [], { maxConcurrent: 1, refusedUntil });
    expect(create.map(({ key }) => key)).toEqual([other.key]);
    expect(lookAgainAtMs).toBe(NOW + 30_000);
  });
});

describe('the pod of a build', () => {
  it('that ended well goes when status has what it told, after the time for which it is to be kept', () => {
    expect(plan([wanted(pushed, { recorded: false })], [succeededPod]).delete).toEqual([]);
    expect(plan([wanted(pushed)], [succeededPod]).delete).toEqual([
      { kind: 'delete', record: succeededPod, why: 'Finished' },
    ]);
    const kept = plan([wanted(pushed)], [succeededPod], { keepFinishedMs: 120_000 });
    expect(kept).toMatchObject({ delete: [], lookAgainAtMs: Date.parse(AT) + 120_000 });
  });

  it('is cancelled when nobody wants what it builds any more', () => {
    const running = aBuildPod(build, { phase: 'Building', since: AT });
    expect(plan([], [running]).delete).toEqual([{ record: running, why: 'Outdated' }]);
    const edited = aBuild({ mapping: { literal: 'x', containerImage: 'r.test/k:1', build: { dockerfile: 'FROM b' } } });
    const { create, delete: deletions } = plan([{ build: edited, progress: QUEUED, recorded: false }], [running]);
    expect(deletions).toEqual([{ record: running, why: 'Outdated' }]);
    expect(create.map(({ key }) => key)).toEqual([edited.key]);
  });

  it('of a Module that has not spoken yet is left alone: an operator that has just started knows nothing of it', () => {
    const running = aBuildPod(build, { phase: 'Building', since: AT });
    expect(plan([], [], { wanted: new Map(), records: new Map([['ns/m', [running]]]) })).toMatchObject({ delete: [] });
  });
});

describe('a build that nobody takes up', () => {
  const MINUTE = 60_000;
  const since = new Date(NOW - 9 * MINUTE).toISOString();
  const stuck = aBuildPod(build, { phase: 'Starting', since, unclaimed: true });
  const mine: WantedImage = wanted({ phase: 'Starting', since, pod: 'p', attempts: 1 });
  const other = aBuild({ module: 'other' });
  const planAt = (nowMs: number, extra: Partial<BuildsSnapshot> = {}) =>
    planBuilds({
      nowMs,
      wanted: new Map([
        ['ns/m', [mine]],
        ['ns/other', [{ build: other, progress: QUEUED, recorded: true }]],
      ]),
      records: new Map([['ns/m', [stuck]]]),
      maxConcurrent: 1,
      keepFinishedMs: 0,
      refusedUntil: new Map(),
      ...extra,
    });

  it('makes way for those that wait, after ten minutes', () => {
    expect(planAt(NOW)).toMatchObject({ create: [], delete: [], queued: 1, lookAgainAtMs: NOW + MINUTE });
    expect(planAt(NOW + MINUTE)).toMatchObject({ create: [], delete: [{ record: stuck, why: 'MadeWay' }] });
  });

  it('waits on where nobody else wants its slot, as for a node that is being bought', () => {
    expect(planAt(NOW + 60 * MINUTE, { maxConcurrent: 2 })).toMatchObject({ create: [{ key: other.key }], delete: [] });
  });

  it('is not one that a node has, whose deadline counts, and none of a Module that has not spoken yet', () => {
    const pulling = aBuildPod(build, { phase: 'Starting', since });
    const later = NOW + 60 * MINUTE;
    expect(planAt(later, { records: new Map([['ns/m', [pulling]]]) }).delete).toEqual([]);
    const wantedByOther = new Map([['ns/other', [{ build: other, progress: QUEUED, recorded: true }]]]);
    expect(planAt(later, { wanted: wantedByOther }).delete).toEqual([]);
  });

  it('keeps its slot for ten minutes beyond its grace when its node does not let it go', () => {
    const leaving = aBuildPod(build, { phase: 'Building', since }, { deleting: true });
    const goneAt = Date.parse(leaving.metadata.deletionTimestamp ?? '');
    const records = new Map([['ns/m', [leaving]]]);
    expect(planAt(goneAt + 10 * MINUTE - 1, { records }).create).toEqual([]);
    expect(planAt(goneAt + 10 * MINUTE, { records }).create).toMatchObject([{ key: other.key }]);
  });
});

describe('over all Modules', () => {
  const KERNELS = Array.from({ length: 40 }, (_, index) => `6.1.0-${index}-amd64`);

  it('never more than the most run at once, each key once, and every Module comes to its turn', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 10 }),
        fc.infiniteStream(fc.nat()),
        (maxConcurrent, sizes, picks) => {
          const images = new Map(
            sizes.map((size, index) => [
              `ns/m${index}`,
              KERNELS.slice(0, size).map((kernel) => aBuild({ module: `m${index}`, kernel })),
            ]),
          );
          const pods = new Map<string, BuildRecord[]>();
          const done = new Set<string>();
          const started: string[] = [];
          const total = sizes.reduce((sum, size) => sum + size, 0);
          while (done.size < total) {
            const snapshot: BuildsSnapshot = {
              nowMs: NOW,
              wanted: new Map(
                [...images].map(([key, builds]) => [
                  key,
                  builds.map((each) => {
                    const isRunning = pods.get(key)?.some((pod) => pod.key === each.key) === true;
                    const progress: BuildProgress = done.has(each.key)
                      ? pushed
                      : isRunning
                        ? { phase: 'Building', since: AT, pod: each.name, attempts: 1 }
                        : QUEUED;
                    return { build: each, progress, recorded: true };
                  }),
                ]),
              ),
              records: pods,
              maxConcurrent,
              keepFinishedMs: 0,
              refusedUntil: new Map(),
            };
            const { create } = planBuilds(snapshot);
            for (const each of create) {
              started.push(each.key);
              const key = `ns/${each.owner.name}`;
              pods.set(key, [...(pods.get(key) ?? []), aBuildPod(each, { phase: 'Building', since: AT })]);
            }
            const running = [...pods].flatMap(([key, list]) => list.map((pod) => ({ key, pod })));
            expect(running.length).toBeLessThanOrEqual(maxConcurrent);
            expect(running.length).toBeGreaterThan(0);
            const busy = new Map([...pods].map(([key, list]) => [key, list.length]));
            for (const [key, count] of busy) {
              const idle = [...images].some(
                ([other, builds]) => (busy.get(other) ?? 0) === 0 && builds.some(({ key: each }) => !done.has(each)),
              );
              // A Module has two at once only where no other has work and none under way, unless it had them from before.
              if (create.some(({ owner }) => `ns/${owner.name}` === key) && count > 1) expect(idle).toBe(false);
            }
            const next: number = picks.next().value ?? 0;
            const ended = running[next % running.length];
            if (ended === undefined) throw new Error('nothing runs');
            done.add(ended.pod.key);
            pods.set(
              ended.key,
              (pods.get(ended.key) ?? []).filter((pod) => pod !== ended.pod),
            );
          }
          expect(new Set(started).size).toBe(started.length);
        },
      ),
      { numRuns: 40 },
    );
  });
});
