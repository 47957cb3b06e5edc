import type { KubeClient } from '../kube/client.ts';
import { LEASES, type Lease } from '../kube/core.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kube/errors.ts';
import { type Clock, sleep, systemClock } from './clock.ts';
import { claimedSpec, holderOf, leaseMsOf, releasedSpec } from './lease.ts';
import { describeError, type Logger } from './logger.ts';
import { type Moment, RenewDeadline } from './renew-deadline.ts';

/** The verbs of the Kubernetes client that leader election uses. */
export type LeaseClient = Pick<KubeClient, 'get' | 'create' | 'update'>;

export interface LeaderElectorOptions {
  readonly client: LeaseClient;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Who we are: unlike any other process, also unlike this one before its restart. */
  readonly identity: string;
  /** How long others wait after they last saw the lease renewed. Whole seconds count: more is rounded up. Default 15 s. */
  readonly leaseDurationMs?: number;
  /** How long a leader goes on without having renewed. Less than the lease, or two could lead at once. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Time between two tries to take or renew the lease. Default 2 s. */
  readonly retryPeriodMs?: number;
  /** Does the leader's work until the signal aborts; the lease is released only after it has ended. */
  readonly onStartedLeading: (signal: AbortSignal) => Promise<void> | void;
  /** Called at once when the leading signal has aborted, whatever the reason. */
  readonly onStoppedLeading?: () => void;
  readonly onLeadingChanged?: (leading: boolean) => void;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** Thrown by `run` when a leader could not keep its lease. What it had in memory may be out of date: end the process. */
export class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError';
}

/** `contended`: somebody wrote between our read and our write, so who holds the lease is not known. */
type Attempt = { readonly kind: 'held' | 'contended' } | { readonly kind: 'taken'; readonly by: string };

/**
 * Leads while it holds a Lease, in the manner of client-go's leaderelection, whose processes it can compete with.
 *
 * Why two never lead at once: others count the lease from when they *saw* a renewal, which is after it was sent; a
 * leader counts its shorter renew deadline from when it *sent* the last renewal that succeeded. So it has stopped
 * before anybody may take over, however far apart the clocks of the two hosts are.
 */
export class LeaderElector {
  readonly #options: LeaderElectorOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #deadline: RenewDeadline;
  /** The Lease as the server last gave it to us, and since when its spec has been what it is. */
  #lease: Lease | undefined;
  #unchangedSince = 0;
  #leading: AbortController | undefined;
  #lastComplaint = '';

  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log.child({ lease: `${options.namespace}/${options.name}`, identity: options.identity });
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    this.#deadline = new RenewDeadline(this.#clock, this.#renewDeadlineMs);
    if (!(this.#leaseDurationMs > this.#renewDeadlineMs && this.#renewDeadlineMs > this.#retryPeriodMs)) {
      throw new RangeError('leader election needs leaseDurationMs > renewDeadlineMs > retryPeriodMs');
    }
  }

  /** Whether this process may write now. Never later than the lease allows, also when a timer fires late. */
  get leading(): boolean {
    return this.#leading !== undefined && !this.#leading.signal.aborted && !this.#deadline.over;
  }

  /**
   * Waits for the lease, leads, and when the signal aborts ends the leader's work and releases the lease.
   * @throws LeadershipLostError when the lease could not be kept; what `onStartedLeading` throws.
   */
  async run(signal: AbortSignal): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    // The stop may have come together with the lease: then nothing begins, and nobody has to wait for us.
    if (signal.aborted) await this.#release();
    else await this.#lead(signal);
  }

  /** Gives false when the signal aborted first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    let holder: string | undefined;
    while (!signal.aborted) {
      const attempt = await this.#tryOnce(signal);
      // An answer that a stopped process finds when it goes on may be older than the lease.
      if (attempt?.kind === 'held' && !this.#deadline.over) return true;
      if (attempt?.kind === 'taken' && attempt.by !== holder) {
        holder = attempt.by;
        this.#log.info({ holder }, 'waiting for the lease');
      }
      // Jitter, so that candidates which started together do not collide at every try.
      const pauseMs = this.#retryPeriodMs * (1 + 0.2 * Math.random());
      const untilFreeMs = attempt?.kind === 'taken' ? this.#freeInMs() : pauseMs;
      await sleep(this.#clock, Math.max(1, Math.min(pauseMs, untilFreeMs)), signal).catch(() => undefined);
    }
    return false;
  }

  async #lead(stop: AbortSignal): Promise<void> {
    const leading = new AbortController();
    this.#leading = leading;
    const onStop = (): void => leading.abort(stop.reason);
    stop.addEventListener('abort', onStop, { once: true });
    leading.signal.addEventListener('abort', () => this.#announceEnd(leading.signal), { once: true });

    this.#log.info('leading');
    this.#options.onLeadingChanged?.(true);
    const work = (async () => this.#options.onStartedLeading(leading.signal))();
    const worked = work.then(
      () => undefined,
      (error: unknown) => {
        const failure = { error };
        leading.abort(error);
        return failure;
      },
    );
    await this.#renewUntil(leading);
    const reason: unknown = leading.signal.reason;
    // Work that does not heed its signal must not keep a process from ending that may write nothing any more.
    const failure = reason instanceof LeadershipLostError ? undefined : await worked;
    stop.removeEventListener('abort', onStop);
    this.#leading = undefined;

    if (reason instanceof LeadershipLostError) throw reason;
    await this.#release();
    if (failure !== undefined) throw failure.error;
  }

  #announceEnd(signal: AbortSignal): void {
    this.#log.info({ reason: describeError(signal.reason) }, 'no longer leading');
    this.#options.onLeadingChanged?.(false);
    this.#options.onStoppedLeading?.();
  }

  /** Renews until the leading signal aborts, and aborts it when the lease is taken or the renew deadline is over. */
  async #renewUntil(leading: AbortController): Promise<void> {
    const { signal } = leading;
    const lose = (why: string): void => {
      leading.abort(new LeadershipLostError(`lost the lease ${this.#options.namespace}/${this.#options.name}: ${why}`));
    };
    const onDeadline = (): void => {
      const detail = this.#lastComplaint === '' ? '' : ` (${this.#lastComplaint})`;
      lose(`it could not be renewed for ${this.#renewDeadlineMs} ms${detail}`);
    };
    let disarm = this.#clock.setTimer(onDeadline, this.#deadline.leftMs);
    while (!signal.aborted) {
      await sleep(this.#clock, this.#retryPeriodMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      if (this.#deadline.over) {
        onDeadline();
        break;
      }
      const attempt = await this.#tryOnce(signal);
      if (attempt?.kind === 'taken') lose(`${attempt.by} holds it now`);
      if (attempt?.kind !== 'held') continue;
      disarm();
      disarm = this.#clock.setTimer(onDeadline, this.#deadline.leftMs);
    }
    disarm();
  }

  /** One try to take or renew. Gives undefined when it failed; a failure is logged once until it changes. */
  async #tryOnce(signal: AbortSignal): Promise<Attempt | undefined> {
    const timeout = this.#requestTimeout();
    try {
      const either = AbortSignal.any([signal, timeout.signal]);
      // A claim that a stop cuts short may be carried out all the same, and nobody would release that lease: its answer
      // is waited for. A renewal needs no waiting: the release looks who holds the lease.
      const attempt = await this.#takeOrRenew(either, this.#leading === undefined ? timeout.signal : either);
      this.#lastComplaint = '';
      return attempt;
    } catch (error) {
      if (signal.aborted) return undefined;
      const complaint = describeError(error);
      if (complaint !== this.#lastComplaint) this.#log.warn({ err: error }, 'cannot reach the lease; trying again');
      this.#lastComplaint = complaint;
      return undefined;
    } finally {
      timeout.disarm();
    }
  }

  /** Half the deadline, so that one request which hangs leaves time for another. */
  #requestTimeout(): { readonly signal: AbortSignal; readonly disarm: () => void } {
    const timeout = new AbortController();
    const fire = (): void => timeout.abort(new Error('no answer in time'));
    return { signal: timeout.signal, disarm: this.#clock.setTimer(fire, this.#renewDeadlineMs / 2) };
  }

  async #takeOrRenew(read: AbortSignal, write: AbortSignal): Promise<Attempt> {
    // While we lead, the server's last answer is most likely still the truth: one request instead of two.
    if (this.#leading !== undefined && this.#lease !== undefined) {
      const attempt = await this.#write(this.#lease, write);
      if (attempt.kind === 'held') return attempt;
    }
    const { client, namespace, name, identity } = this.#options;
    let lease: Lease;
    try {
      lease = await client.get(LEASES, { namespace, name }, { signal: read });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return this.#create(write);
    }
    this.#observe(lease);
    const holder = holderOf(lease);
    if (holder !== undefined && holder !== identity && this.#freeInMs() > 0) return { kind: 'taken', by: holder };
    return this.#write(lease, write);
  }

  async #create(signal: AbortSignal): Promise<Attempt> {
    const { client, namespace, name, identity } = this.#options;
    const sentAt = this.#deadline.now();
    const spec = claimedSpec(undefined, identity, this.#leaseDurationMs, this.#clock.now());
    const body: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec };
    try {
      this.#renewed(await client.create(LEASES, body, { signal }), sentAt);
      return { kind: 'held' };
    } catch (error) {
      if (isAlreadyExists(error)) return { kind: 'contended' };
      throw error;
    }
  }

  async #write(lease: Lease, signal: AbortSignal): Promise<Attempt> {
    const { client, identity } = this.#options;
    const sentAt = this.#deadline.now();
    const spec = claimedSpec(lease.spec, identity, this.#leaseDurationMs, this.#clock.now());
    try {
      this.#renewed(await client.update(LEASES, { ...lease, spec }, { signal }), sentAt);
      return { kind: 'held' };
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return { kind: 'contended' };
      throw error;
    }
  }

  async #release(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    const { signal, disarm } = this.#requestTimeout();
    let lease = this.#lease;
    this.#lease = undefined;
    try {
      for (let attempt = 1; lease !== undefined && holderOf(lease) === identity; attempt++) {
        try {
          // The resource version guards it: a lease that somebody has taken meanwhile is not released for them.
          await client.update(LEASES, { ...lease, spec: releasedSpec(lease.spec, this.#clock.now()) }, { signal });
          this.#log.info('released the lease');
          return;
        } catch (error) {
          if (!isConflict(error) || attempt >= 3) throw error;
          // A renewal that the stop cut short may have reached the server all the same.
          lease = await client.get(LEASES, { namespace, name }, { signal });
        }
      }
    } catch (error) {
      this.#log.warn({ err: error }, 'cannot release the lease; others wait until it runs out');
    } finally {
      disarm();
    }
  }

  #renewed(lease: Lease, sentAt: Moment): void {
    this.#observe(lease);
    this.#deadline.renewed(sentAt);
  }

  #observe(lease: Lease): void {
    const changed = JSON.stringify(lease.spec) !== JSON.stringify(this.#lease?.spec);
    if (changed || this.#lease === undefined) this.#unchangedSince = this.#clock.monotonic();
    this.#lease = lease;
  }

  /** How long, counted from when we saw it change, the lease as its holder wrote it still protects the holder. */
  #freeInMs(): number {
    const leaseMs = leaseMsOf(this.#lease) ?? this.#leaseDurationMs;
    return this.#unchangedSince + leaseMs - this.#clock.monotonic();
  }
}
