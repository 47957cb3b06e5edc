import type { Clock } from './clock.ts';

/** A moment on both clocks: the monotonic one stands still while a virtual machine is suspended, the other one may step. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/** How long a leader may still lead without another renewal. */
export class RenewDeadline {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #renewedAt: Moment | undefined;

  constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  now(): Moment {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.now() };
  }

  /** A renewal succeeded that was sent at `sentAt`. When its answer came does not count: others may have seen it long before. */
  renewed(sentAt: Moment): void {
    this.#renewedAt = sentAt;
  }

  /** Milliseconds, by whichever clock has moved further; 0 when it is over. */
  get leftMs(): number {
    if (this.#renewedAt === undefined) return 0;
    const now = this.now();
    const elapsedMs = Math.max(now.monotonic - this.#renewedAt.monotonic, now.wall - this.#renewedAt.wall);
    return Math.max(0, this.#deadlineMs - elapsedMs);
  }

  get over(): boolean {
    return this.leftMs === 0;
  }
}
