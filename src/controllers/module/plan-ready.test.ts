import { describe, expect, it } from 'vitest';
import { aLoaderPod, MINUTE, NOW } from '../../../test/harness/plan-world.ts';
import type { LoadedRecord } from './loaded-record.ts';
import { CRASH_SETTLE_MS, planReady, STALE_STATUS_MS } from './plan-ready.ts';

const pod = aLoaderPod('n1', '5.4.0');
const record: LoadedRecord = { bootID: 'boot-1', instance: 'c1' };
const replacing: LoadedRecord = { ...record, replacingSince: '2026-03-01T11:59:00.000Z' };

/** The record of a node that is in its second boot, whose pod still shows the container of the first. */
const doubted: LoadedRecord = { ...record, reboot: { bootID: 'boot-2', seenAt: new Date(NOW).toISOString() } };

/** A container that crashed with `exitCode` and was started again `agoMs` ago. */
const restarted = (exitCode: number, agoMs: number) =>
  pod.ready('c2').withContainer({
    restarts: 1,
    startedAt: new Date(NOW - agoMs).toISOString(),
    terminated: { exitCode, reason: 'Error', message: '' },
  });

describe('the ready label', () => {
  it('is given when the loader container runs and is Ready for the first time', () => {
    expect(planReady(undefined, 'boot-1', pod.ready('c1').build(), NOW)).toEqual({ ready: true, record });
  });

  it.each([
    ['there is no loader pod', undefined],
    ['the pod has no container yet', pod.build()],
    ['the container waits', pod.waiting('ContainerCreating').build()],
    ['the container runs but is not Ready', pod.running('c1').build()],
    [
      'the container is Ready but the pod is not (a readiness gate)',
      pod.running('c1').withContainer({ ready: true }).build(),
    ],
  ])('is not given while %s', (_what, built) => {
    expect(planReady(undefined, 'boot-1', built, NOW)).toEqual({ ready: false, record: undefined });
  });

  it('stays through a readiness blip of the same container', () => {
    expect(planReady(record, 'boot-1', pod.running('c1').build(), NOW)).toEqual({ ready: true, record });
  });

  it.each([
    ['stopped', pod.waiting('CrashLoopBackOff').build()],
    ['is gone with its pod', undefined],
  ])('goes when the container has %s; the record stays, to tell the next container from this one', (_what, built) => {
    expect(planReady(record, 'boot-1', built, NOW)).toEqual({ ready: false, record });
  });

  it('comes back with a new container of the same boot that is Ready', () => {
    expect(planReady(record, 'boot-1', pod.ready('c2').build(), NOW)).toEqual({
      ready: true,
      record: { bootID: 'boot-1', instance: 'c2' },
    });
  });

  it('does not come back with a new container that is not Ready yet', () => {
    expect(planReady(record, 'boot-1', pod.running('c2').build(), NOW)).toEqual({ ready: false, record });
  });
});

describe('after a reboot', () => {
  it('the ready label goes although the pod still shows the container of the boot before as Ready', () => {
    expect(planReady(record, 'boot-2', pod.ready('c1').build(), NOW)).toEqual({
      ready: false,
      record: doubted,
      lookAgainAtMs: NOW + STALE_STATUS_MS,
    });
    expect(planReady(doubted, 'boot-2', pod.ready('c1').build(), NOW + MINUTE)).toEqual({
      ready: false,
      record: doubted,
      lookAgainAtMs: NOW + STALE_STATUS_MS,
    });
  });

  it('a container that its kubelet told of before it told of the boot is believed in the end: no other will come', () => {
    const later = NOW + STALE_STATUS_MS;
    expect(planReady(doubted, 'boot-2', pod.ready('c1').build(), later)).toEqual({
      ready: true,
      record: { bootID: 'boot-2', instance: 'c1' },
    });
    expect(planReady(doubted, 'boot-2', pod.running('c1').build(), later)).toEqual({ ready: false, record: doubted });
  });

  it('each further boot is doubted anew', () => {
    const later = NOW + STALE_STATUS_MS;
    expect(planReady(doubted, 'boot-3', pod.ready('c1').build(), later)).toMatchObject({
      ready: false,
      record: { bootID: 'boot-1', reboot: { bootID: 'boot-3' } },
    });
  });

  it('it comes back with a container that was not seen in an earlier boot, recorded with the new boot', () => {
    expect(planReady(record, 'boot-2', pod.ready('c2').build(), NOW)).toEqual({
      ready: true,
      record: { bootID: 'boot-2', instance: 'c2' },
    });
  });

  it('it does not come back before that container is Ready', () => {
    expect(planReady(record, 'boot-2', pod.running('c2').build(), NOW)).toEqual({ ready: false, record });
  });

  it('the end of the old container by the reboot is no crash that has to settle', () => {
    expect(planReady(record, 'boot-2', restarted(255, 0).build(), NOW)).toMatchObject({ ready: true });
  });
});

it('a doubt that began at a time of another clock begins anew: it would last for hours', () => {
  const seenAt = (atMs: number): LoadedRecord => ({
    ...record,
    reboot: { bootID: 'boot-2', seenAt: new Date(atMs).toISOString() },
  });
  const after = (atMs: number) => planReady(seenAt(atMs), 'boot-2', pod.ready('c1').build(), NOW).lookAgainAtMs;
  expect(after(NOW + 300 * MINUTE)).toBe(NOW + STALE_STATUS_MS);
  expect(after(NOW - MINUTE)).toBe(NOW - MINUTE + STALE_STATUS_MS);
});

describe('a container that crashed before', () => {
  it('is believed only when it has run for ten seconds, so that a crash loop does not flap the device plugin', () => {
    const lookAgainAtMs = NOW - 1_000 + CRASH_SETTLE_MS;
    expect(planReady(record, 'boot-1', restarted(1, 1_000).build(), NOW)).toEqual({
      ready: false,
      record,
      lookAgainAtMs,
    });
    expect(planReady(undefined, 'boot-1', restarted(1, 1_000).build(), NOW)).toMatchObject({ lookAgainAtMs });
    expect(planReady(record, 'boot-1', restarted(1, CRASH_SETTLE_MS).build(), NOW)).toEqual({
      ready: true,
      record: { bootID: 'boot-1', instance: 'c2' },
    });
  });

  it('is not waited for by a start that another clock wrote: the one here may have been set back by hours', () => {
    expect(planReady(record, 'boot-1', restarted(1, -30_000).build(), NOW).ready).toBe(false);
    expect(planReady(record, 'boot-1', restarted(1, -300 * MINUTE).build(), NOW).ready).toBe(true);
  });

  it('is believed at once when it ended with exit code 0: that was no crash', () => {
    expect(planReady(record, 'boot-1', restarted(0, 0).build(), NOW)).toMatchObject({ ready: true });
  });

  it('is believed at once when its runtime does not say since when it runs, rather than never', () => {
    const pod = restarted(1, 0).withContainer({ startedAt: undefined }).build();
    expect(planReady(record, 'boot-1', pod, NOW)).toMatchObject({ ready: true });
  });
});

describe('a loader that was being replaced', () => {
  it('is taken back when the edit was taken back: the same container is Ready, and the mark goes', () => {
    expect(planReady(replacing, 'boot-1', pod.ready('c1').build(), NOW)).toEqual({ ready: true, record });
  });

  it('is not taken back while it is not Ready', () => {
    expect(planReady(replacing, 'boot-1', pod.running('c1').build(), NOW)).toEqual({ ready: false, record: replacing });
  });

  it('keeps its mark while the old pod is gone and the new one starts', () => {
    expect(planReady(replacing, 'boot-1', undefined, NOW)).toEqual({ ready: false, record: replacing });
    expect(planReady(replacing, 'boot-1', pod.running('c2').build(), NOW)).toEqual({ ready: false, record: replacing });
  });

  it('is done when the new container is Ready: the mark goes with the new record', () => {
    expect(planReady(replacing, 'boot-1', pod.ready('c2').build(), NOW)).toEqual({
      ready: true,
      record: { bootID: 'boot-1', instance: 'c2' },
    });
  });

  it('keeps its mark through a reboot whose containers are not reported yet', () => {
    expect(planReady(replacing, 'boot-2', pod.ready('c1').build(), NOW)).toMatchObject({
      ready: false,
      record: replacing,
    });
  });
});
