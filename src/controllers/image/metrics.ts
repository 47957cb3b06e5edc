import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { BuildObservation } from '../../build/engines/engine.ts';
import type { BuildsPlan } from './plan.ts';

const METRICS = {
  builds: {
    name: 'kmm_image_builds_total',
    help: 'Builds that ended, by result: built, present (nothing to do), vendor (an image not of ours was there), failed, interrupted.',
  },
  steps: { name: 'kmm_image_build_step_seconds', help: 'How long the steps of builds took.' },
  cached: { name: 'kmm_image_builds_cached_total', help: 'Builds that took layers of an earlier one.' },
  queued: { name: 'kmm_image_builds_queued', help: 'Builds that wait for a free slot.' },
  running: { name: 'kmm_image_builds_running', help: 'Builds that are under way.' },
} as const;

export class ImageMetrics {
  readonly #builds: Counter<'result'>;
  readonly #steps: Histogram<'step'>;
  readonly #cached: Counter;
  readonly #queued: Gauge;
  readonly #running: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#builds = new Counter({ ...METRICS.builds, labelNames: ['result'], registers });
    this.#steps = new Histogram({
      ...METRICS.steps,
      labelNames: ['step'],
      buckets: [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800],
      registers,
    });
    this.#cached = new Counter({ ...METRICS.cached, registers });
    this.#queued = new Gauge({ ...METRICS.queued, registers });
    this.#running = new Gauge({ ...METRICS.running, registers });
  }

  observe({ queued, running }: BuildsPlan): void {
    this.#queued.set(queued);
    this.#running.set(running);
  }

  /** A build has just come to its end. */
  ended(observation: BuildObservation): void {
    if (observation.phase === 'Succeeded') {
      this.#builds.inc({ result: observation.report.result });
      if (observation.report.cached === true) this.#cached.inc();
      this.#observeSteps(observation.report.durations);
    }
    if (observation.phase === 'Failed') {
      this.#builds.inc({ result: observation.blame === 'user' ? 'failed' : 'interrupted' });
      this.#observeSteps(observation.durations ?? {});
    }
  }

  #observeSteps(durations: Readonly<Partial<Record<string, number>>>): void {
    for (const [step, ms] of Object.entries(durations)) if (ms !== undefined) this.#steps.observe({ step }, ms / 1_000);
  }
}
