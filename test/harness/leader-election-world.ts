import { abortReason, type Clock } from '../../src/runtime/clock.ts';
import { LeaderElector, LeadershipLostError } from '../../src/runtime/leader-election.ts';
import { describeError } from '../../src/runtime/logger.ts';
import { captureLog } from './captured-log.ts';
import { type LeaseNetwork, LeaseServer } from './lease-server.ts';
import { ManualClock } from './manual-clock.ts';

/** What the network does to a request. */
export interface Weather {
  /** `cut`: it never arrives. `deaf`: it is carried out and the answer never comes. `broken`: it ends in an error. */
  readonly fate: 'fine' | 'cut' | 'deaf' | 'broken';
  /** Milliseconds to the server and back. */
  readonly upMs: number;
  readonly downMs: number;
}

/** Slow enough that a process is now and then stopped while a request of its is under way. */
export const FINE: Weather = { fate: 'fine', upMs: 40, downMs: 60 };

/** The lease is hardly longer than the deadline, so that a mistake of 100 ms makes two leaders. */
const TIMES = { leaseDurationMs: 3_000, renewDeadlineMs: 2_900, retryPeriodMs: 300 } as const;

interface ProcessTimer {
  readonly dueAt: number;
  readonly fire: () => void;
}

/** A process with an elector: its timers, and its side of the network. */
class Process {
  readonly elector: LeaderElector;
  /** What the network brought and the process has not looked at yet. */
  readonly inbox: (() => void)[] = [];
  readonly timers = new Set<ProcessTimer>();
  readonly #host: Host;
  readonly #world: LeaderElectionWorld;
  readonly #stop = new AbortController();

  constructor(host: Host, world: LeaderElectionWorld, identity: string) {
    this.#host = host;
    this.#world = world;
    const clock: Clock = {
      now: () => host.wallMs,
      monotonic: () => host.monotonicMs,
      setTimer: (fire, delayMs) => this.#setTimer(fire, delayMs),
    };
    this.elector = new LeaderElector({
      client: world.server.client(this.#network),
      namespace: 'ns',
      name: 'lease',
      identity,
      ...TIMES,
      log: world.log,
      clock,
      onStartedLeading: () => {
        world.terms++;
        if (!this.elector.leading) world.note(`${identity} was told to lead when it may not`);
      },
    });
  }

  run(): Promise<void> {
    return this.elector.run(this.#stop.signal);
  }

  terminate(): void {
    this.#stop.abort(new Error('SIGTERM'));
  }

  #setTimer(fire: () => void, delayMs: number): () => void {
    const timer = { dueAt: this.#host.monotonicMs + Math.max(0, delayMs), fire };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  readonly #network: LeaseNetwork = (_verb, carryOut, signal) => {
    const { fate, upMs, downMs } = this.#host.weather;
    const { time } = this.#world;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortReason(signal));
        return;
      }
      // Whoever gives up waiting does not call the request back: it may still be carried out.
      signal?.addEventListener('abort', () => reject(abortReason(signal)), { once: true });
      const answer = (deliver: () => void): void => {
        time.setTimer(() => void this.inbox.push(deliver), downMs);
      };
      if (fate === 'broken') answer(() => reject(new Error('connection reset')));
      if (fate === 'broken' || fate === 'cut') return;
      time.setTimer(() => {
        try {
          const lease = carryOut();
          if (fate === 'fine') answer(() => resolve(lease));
        } catch (error) {
          if (fate === 'fine') answer(() => reject(error instanceof Error ? error : new Error(String(error))));
        }
      }, upMs);
    });
  };
}

/** A host with clocks of its own and one process, which is started again whenever it ends. */
class Host {
  readonly name: string;
  weather = FINE;
  /** `stopped` as by SIGSTOP: time goes on without it. `frozen` with its virtual machine: the monotonic clock stands still. */
  state: 'running' | 'stopped' | 'frozen' = 'running';
  process: Process;
  monotonicMs = 0;
  wallMs: number;
  readonly #world: LeaderElectionWorld;
  #processes = 0;

  constructor(world: LeaderElectionWorld, name: string, wallMs: number) {
    this.#world = world;
    this.name = name;
    this.wallMs = wallMs;
    this.process = this.#boot();
  }

  get nextTimerInMs(): number | undefined {
    const { timers } = this.process;
    if (this.state !== 'running' || timers.size === 0) return undefined;
    return Math.max(0, Math.min(...[...timers].map(({ dueAt }) => dueAt)) - this.monotonicMs);
  }

  pass(ms: number): void {
    this.wallMs += ms;
    if (this.state !== 'frozen') this.monotonicMs += ms;
  }

  /** Hands over what the network brought, then fires timers: in this order a process that was stopped finds them. */
  async wake(): Promise<void> {
    if (this.state !== 'running') return;
    const { inbox, timers } = this.process;
    for (const deliver of inbox.splice(0)) {
      deliver();
      await this.#world.look();
    }
    const due = [...timers].filter(({ dueAt }) => dueAt <= this.monotonicMs).sort((a, b) => a.dueAt - b.dueAt);
    for (const timer of due) {
      // One that fired before it may have cancelled it.
      if (!timers.delete(timer)) continue;
      timer.fire();
      await this.#world.look();
    }
  }

  terminate(): void {
    if (this.state === 'running') this.process.terminate();
  }

  /** As kill -9: nothing of the process goes on, and another one starts. */
  kill(): void {
    this.state = 'running';
    this.process = this.#boot();
  }

  #boot(): Process {
    const process = new Process(this, this.#world, `${this.name}-${++this.#processes}`);
    const restart = (): void => {
      if (this.process === process) this.process = this.#boot();
    };
    process.run().then(restart, (error: unknown) => {
      if (!(error instanceof LeadershipLostError)) this.#world.note(describeError(error));
      restart();
    });
    return process;
  }
}

/** Two hosts whose processes compete for one lease; between any two things that happen it is looked who leads. */
export class LeaderElectionWorld {
  readonly server = new LeaseServer();
  /** True time, and what is on its way in the network. */
  readonly time = new ManualClock();
  readonly log = captureLog().log;
  readonly hosts: readonly [Host, Host];
  /** What must never be. */
  readonly violations: string[] = [];
  /** How often a process began to lead. */
  terms = 0;

  /** @param wallClocksMs how far the hosts' wall clocks are off */
  constructor(wallClocksMs: readonly [number, number] = [0, 0]) {
    const now = this.time.now();
    this.hosts = [new Host(this, 'a', now + wallClocksMs[0]), new Host(this, 'b', now + wallClocksMs[1])];
  }

  note(violation: string): void {
    this.violations.push(`after ${this.time.monotonic()} ms: ${violation}`);
  }

  /** Names of the hosts that lead. One that is stopped writes nothing, so it does not, whatever it believed before. */
  get leaders(): readonly string[] {
    return this.hosts.flatMap(({ name, state, process }) =>
      state === 'running' && process.elector.leading ? [name] : [],
    );
  }

  /** Lets everything happen that waits for nothing but promises. */
  async look(): Promise<void> {
    for (let turn = 0; turn < 16; turn++) {
      if (this.leaders.length > 1) this.note('both lead');
      await Promise.resolve();
    }
  }

  async pass(ms: number): Promise<void> {
    const end = this.time.monotonic() + ms;
    await this.look();
    for (;;) {
      for (const host of this.hosts) await host.wake();
      const leftMs = end - this.time.monotonic();
      const next = [this.time.nextTimerInMs, ...this.hosts.map((host) => host.nextTimerInMs)];
      const stepMs = Math.min(leftMs, ...next.map((each) => each ?? leftMs));
      if (leftMs === 0 && stepMs === 0 && next.every((each) => each !== 0)) return;
      this.time.advance(stepMs);
      for (const host of this.hosts) host.pass(stepMs);
    }
  }
}
