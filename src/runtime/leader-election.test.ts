import { describe, expect, it, vi } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { type LeaseNetwork, LeaseServer, type LeaseVerb } from '../../test/harness/lease-server.ts';
import { ManualClock } from '../../test/harness/manual-clock.ts';
import { abortReason } from './clock.ts';
import { LeaderElector, type LeaderElectorOptions, LeadershipLostError } from './leader-election.ts';

const TIMES = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };

async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
}

/** Moves time in steps of 100 ms, and lets what follows from each happen. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  await settle();
  for (let left = ms; left > 0; left -= 100) {
    clock.advance(Math.min(100, left));
    await settle();
  }
}

function newWorld() {
  const server = new LeaseServer();
  const clock = new ManualClock();
  const candidate = (
    identity: string,
    options: Partial<LeaderElectorOptions> & { readonly network?: LeaseNetwork } = {},
  ) => {
    const { network, ...others } = options;
    const requests: LeaseVerb[] = [];
    const { log, lines } = captureLog();
    const stop = new AbortController();
    const leadingChanges: boolean[] = [];
    const elector = new LeaderElector({
      client: server.client((verb, carryOut, signal) => {
        requests.push(verb);
        return network === undefined ? Promise.resolve().then(carryOut) : network(verb, carryOut, signal);
      }),
      namespace: 'ns',
      name: 'kmm',
      identity,
      ...TIMES,
      onStartedLeading: () => undefined,
      onLeadingChanged: (leading) => leadingChanges.push(leading),
      log,
      clock,
      ...others,
    });
    /** How `run` ended: `no`, `well`, or what it threw. */
    let ended: unknown = 'no';
    const run = async (): Promise<void> => {
      try {
        await elector.run(stop.signal);
        ended = 'well';
      } catch (error) {
        ended = error;
      }
    };
    void run();
    const messages = (): unknown[] => lines.map(({ msg }) => msg);
    return {
      elector,
      requests,
      lines,
      messages,
      leadingChanges,
      stop: () => stop.abort(new Error('SIGTERM')),
      ended: () => ended,
    };
  };
  return { server, clock, candidate };
}

/** Nothing comes back, until whoever waits gives up. */
const silence: LeaseNetwork = (_verb, _carryOut, signal) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
  });

/** A network that a test can cut. */
function cuttable() {
  let cut = false;
  const network: LeaseNetwork = (verb, carryOut, signal) =>
    cut ? silence(verb, carryOut, signal) : Promise.resolve().then(carryOut);
  return {
    network,
    cut: (now = true): void => {
      cut = now;
    },
  };
}

describe('LeaderElector', () => {
  it('leads at once when there is no lease, and renews it with one request each retry period', async () => {
    const { server, clock, candidate } = newWorld();
    const a = candidate('a');
    await settle();
    expect(a.elector.leading).toBe(true);
    expect(a.leadingChanges).toEqual([true]);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    await pass(clock, 20_000);
    expect(a.requests).toEqual(['get', 'create', ...Array.from({ length: 10 }, () => 'update')]);
    expect(a.elector.leading).toBe(true);
  });

  it('lets one of two lead; the other says once whom it waits for', async () => {
    const { clock, candidate } = newWorld();
    const a = candidate('a');
    await settle();
    const b = candidate('b');
    await pass(clock, 60_000);
    expect([a.elector.leading, b.elector.leading]).toEqual([true, false]);
    expect(b.lines.filter(({ msg }) => msg === 'waiting for the lease')).toMatchObject([{ holder: 'a' }]);
  });

  it('takes the lease of a leader that has vanished as soon as it has run out, and not before', async () => {
    const { server, clock, candidate } = newWorld();
    const line = cuttable();
    candidate('a', { network: line.network });
    await settle();
    const b = candidate('b');
    // From here on nobody renews: b saw the lease just now.
    line.cut();
    await settle();
    await pass(clock, 14_900);
    expect(b.elector.leading).toBe(false);
    await pass(clock, 100);
    expect(b.elector.leading).toBe(true);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it('waits as long as the holder said, not as long as it would itself', async () => {
    const { server, clock, candidate } = newWorld();
    const spec = { holderIdentity: 'client-go', leaseDurationSeconds: 60, renewTime: '2020-01-01T00:00:00.000000Z' };
    server.lease = { metadata: { name: 'kmm', namespace: 'ns', resourceVersion: '7' }, spec };
    const b = candidate('b');
    await pass(clock, 59_900);
    expect(b.elector.leading).toBe(false);
    await pass(clock, 100);
    expect(b.elector.leading).toBe(true);
  });

  it('stops leading after the renew deadline when it cannot renew, ends the work, and throws', async () => {
    const { server, clock, candidate } = newWorld();
    const line = cuttable();
    let reason: unknown;
    const stopped = vi.fn();
    const a = candidate('a', {
      network: line.network,
      onStartedLeading: (signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve();
          });
        }),
      onStoppedLeading: stopped,
    });
    await settle();
    line.cut();
    await pass(clock, 9_900);
    expect([a.elector.leading, a.ended()]).toEqual([true, 'no']);
    await pass(clock, 100);
    expect(a.elector.leading).toBe(false);
    expect(reason).toBeInstanceOf(LeadershipLostError);
    expect(a.ended()).toEqual(
      new LeadershipLostError('lost the lease ns/kmm: it could not be renewed for 10000 ms (no answer in time)'),
    );
    expect(a.leadingChanges).toEqual([true, false]);
    expect(stopped).toHaveBeenCalledOnce();
    expect(server.lease?.spec?.holderIdentity, 'a lease that was lost is not released').toBe('a');
    expect(clock.nextTimerInMs).toBeUndefined();
  });

  it('says that it does not lead from the deadline on, also when the timer that would end it is late', async () => {
    const { clock, candidate } = newWorld();
    const line = cuttable();
    const a = candidate('a', { network: line.network });
    await settle();
    line.cut();
    // A clock whose time has moved on while no timer has fired, as after SIGCONT.
    vi.spyOn(clock, 'monotonic').mockReturnValue(10_000);
    expect(a.elector.leading).toBe(false);
    vi.restoreAllMocks();
    expect(a.elector.leading).toBe(true);
    // The clock that goes on while a virtual machine is frozen.
    vi.spyOn(clock, 'now').mockReturnValue(clock.now() + 10_000);
    expect(a.elector.leading).toBe(false);
    vi.restoreAllMocks();
  });

  it('outlives requests that fail, and complains once until the complaint changes', async () => {
    const { clock, candidate } = newWorld();
    let failure: string | undefined;
    const a = candidate('a', {
      network: async (_verb, carryOut) => {
        if (failure !== undefined) throw new Error(failure);
        return carryOut();
      },
    });
    await settle();
    for (let outage = 0; outage < 2; outage++) {
      failure = 'connection refused';
      await pass(clock, 3_000);
      failure = 'no route';
      await pass(clock, 3_000);
      failure = undefined;
      await pass(clock, 3_000);
    }
    expect(a.elector.leading).toBe(true);
    expect(a.lines.filter(({ level }) => level === 'warn')).toMatchObject([
      { err: { message: 'connection refused' } },
      { err: { message: 'no route' } },
      { err: { message: 'connection refused' } },
      { err: { message: 'no route' } },
    ]);
  });

  it('goes on leading when a renewal was carried out and its answer lost', async () => {
    const { clock, candidate } = newWorld();
    let loseNext = false;
    const a = candidate('a', {
      network: async (_verb, carryOut) => {
        const lease = carryOut();
        if (!loseNext) return lease;
        loseNext = false;
        throw new Error('connection reset');
      },
    });
    await settle();
    loseNext = true;
    await pass(clock, 4_000);
    // The next try meets a conflict with its own renewal, looks, and finds itself.
    expect(a.requests).toEqual(['get', 'create', 'update', 'update', 'get', 'update']);
    await pass(clock, 20_000);
    expect(a.elector.leading).toBe(true);
  });

  it('makes the lease again when somebody has deleted it', async () => {
    const { server, clock, candidate } = newWorld();
    const a = candidate('a');
    await settle();
    server.lease = undefined;
    await pass(clock, 2_000);
    expect(a.elector.leading).toBe(true);
    expect(server.lease).toMatchObject({ spec: { holderIdentity: 'a' } });
  });

  it('stops leading at once when it sees that another holds the lease', async () => {
    const { server, clock, candidate } = newWorld();
    const a = candidate('a');
    await settle();
    server.lease = {
      metadata: { name: 'kmm', namespace: 'ns', resourceVersion: 'other' },
      spec: { holderIdentity: 'b', leaseDurationSeconds: 15 },
    };
    await pass(clock, 2_000);
    expect(a.ended()).toEqual(new LeadershipLostError('lost the lease ns/kmm: b holds it now'));
    expect(server.lease.spec?.holderIdentity).toBe('b');
  });

  it('releases the lease when it is stopped, once its work has ended, and the other leads at its next try', async () => {
    const { server, clock, candidate } = newWorld();
    const drained = Promise.withResolvers<void>();
    const a = candidate('a', { onStartedLeading: () => drained.promise });
    await settle();
    const b = candidate('b');
    await pass(clock, 1_000);
    a.stop();
    await pass(clock, 5_000);
    expect([a.elector.leading, server.lease?.spec?.holderIdentity]).toEqual([false, 'a']);
    drained.resolve();
    await settle();
    expect(a.ended()).toBe('well');
    expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
    // One retry period with its jitter.
    await pass(clock, 2_400);
    expect(b.elector.leading).toBe(true);
    expect(a.leadingChanges).toEqual([true, false]);
  });

  it('releases the lease also when a renewal that the stop cut short was carried out', async () => {
    const { server, clock, candidate } = newWorld();
    let loseAnswers = false;
    const a = candidate('a', {
      network: (verb, carryOut, signal) => {
        const lease = Promise.resolve().then(carryOut);
        return loseAnswers ? lease.then(() => silence(verb, carryOut, signal)) : lease;
      },
    });
    await settle();
    loseAnswers = true;
    await pass(clock, 2_100);
    loseAnswers = false;
    a.stop();
    await settle();
    expect(a.ended()).toBe('well');
    expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
  });

  it('does not release what another has taken', async () => {
    const { server, candidate } = newWorld();
    const a = candidate('a');
    await settle();
    const metadata = { name: 'kmm', namespace: 'ns', resourceVersion: 'other' };
    server.lease = { metadata, spec: { holderIdentity: 'b', leaseDurationSeconds: 15 } };
    a.stop();
    await settle();
    expect(server.lease.spec?.holderIdentity).toBe('b');
    expect(a.ended()).toBe('well');
  });

  it('ends within half the deadline when it is stopped and the release gets no answer', async () => {
    const { clock, candidate } = newWorld();
    const line = cuttable();
    const a = candidate('a', { network: line.network });
    await settle();
    line.cut();
    a.stop();
    await pass(clock, 5_000);
    expect(a.ended()).toBe('well');
    expect(a.messages()).toContain('cannot release the lease; others wait until it runs out');
  });

  it('ends without the lease when it is stopped while it waits', async () => {
    const { clock, candidate } = newWorld();
    candidate('a');
    await settle();
    const b = candidate('b');
    await settle();
    b.stop();
    await settle();
    expect(b.ended()).toBe('well');
    expect(b.leadingChanges).toEqual([]);
    await pass(clock, 60_000);
    expect(b.requests).toEqual(['get']);
  });

  // It used to give up the request and leave a lease behind that nobody held; had the answer come just then, it would
  // have said that it leads, and never that it had stopped.
  it('begins nothing and releases the lease when the stop comes while it takes it', async () => {
    const { server, clock, candidate } = newWorld();
    const started = vi.fn();
    const answered = Promise.withResolvers<void>();
    const a = candidate('a', {
      onStartedLeading: started,
      network: async (verb, carryOut, signal) => {
        const lease = await Promise.resolve().then(carryOut);
        if (verb === 'create') await Promise.race([answered.promise, silence(verb, carryOut, signal)]);
        return lease;
      },
    });
    await settle();
    a.stop();
    await settle();
    answered.resolve();
    await settle();
    expect(a.ended()).toBe('well');
    expect(started).not.toHaveBeenCalled();
    expect(a.leadingChanges).toEqual([]);
    expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
    expect(clock.nextTimerInMs).toBeUndefined();
  });

  // A request that never ended used to keep a process that had lost its lease from ending.
  it('ends when it has lost the lease, also when its work does not', async () => {
    const { clock, candidate } = newWorld();
    const line = cuttable();
    const a = candidate('a', { network: line.network, onStartedLeading: () => new Promise(() => undefined) });
    await settle();
    line.cut();
    await pass(clock, 10_000);
    expect(a.ended()).toBeInstanceOf(LeadershipLostError);
  });

  it('releases the lease and throws what the work threw', async () => {
    const { server, candidate } = newWorld();
    const a = candidate('a', {
      onStartedLeading: async () => {
        throw new Error('out of luck');
      },
    });
    await settle();
    expect(a.ended()).toEqual(new Error('out of luck'));
    expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
    expect(a.leadingChanges).toEqual([true, false]);
  });

  it.each([
    { leaseDurationMs: 10_000, renewDeadlineMs: 10_000 },
    { renewDeadlineMs: 2_000, retryPeriodMs: 2_000 },
    { leaseDurationMs: Number.NaN },
  ])('refuses durations by which two could lead: %j', (durations) => {
    const { candidate } = newWorld();
    expect(() => candidate('a', durations)).toThrow('leaseDurationMs > renewDeadlineMs > retryPeriodMs');
  });
});
