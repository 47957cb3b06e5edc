import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { QueueObserver } from './queue.ts';

export type ReconcileOutcome = 'success' | 'requeue_after' | 'error';

/** What a controller tells its metrics. */
export interface ControllerObserver {
  started(): void;
  finished(outcome: ReconcileOutcome, seconds: number): void;
  terminalError(): void;
}

/** The part of a WorkQueue that is read when somebody scrapes, so that the queue itself pays nothing for it. */
export interface QueueGauges {
  readonly depth: number;
  readonly unfinishedSeconds: number;
}

/** One answered or failed request, as the Kubernetes client reports it. */
export interface RequestReport {
  /** HTTP method. */
  readonly method: string;
  readonly resource: string;
  /** HTTP status, or `<error>` when there was no answer. */
  readonly code: string | number;
  readonly seconds: number;
}

/** One metric as the reference page shows it. */
export interface MetricReference {
  readonly name: string;
  /** `counter`, `gauge` or `histogram`. */
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

// The buckets of controller-runtime (pkg/internal/controller/metrics) and client-go, so that existing dashboards fit.
const RECONCILE_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const QUEUE_BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
const REQUEST_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

/**
 * The process's metrics, under the names that controller-runtime and client-go use, in a registry of their own.
 * Gauges that can be read off are read when somebody scrapes; only counts and durations cost anything in between.
 */
export class Metrics {
  readonly registry = new Registry();
  readonly #queues = new Map<string, () => QueueGauges>();
  readonly #cacheSizes = new Map<string, () => number>();
  readonly #lastWatchEvents = new Map<string, () => number | undefined>();

  readonly #reconciles = this.#counter('controller_runtime_reconcile_total', 'Reconciles per controller and result.', [
    'controller',
    'result',
  ]);
  readonly #reconcileErrors = this.#counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed.', [
    'controller',
  ]);
  readonly #terminalErrors = this.#counter(
    'controller_runtime_terminal_reconcile_errors_total',
    'Reconciles that failed and are not retried.',
    ['controller'],
  );
  readonly #reconcileTime = this.#histogram(
    'controller_runtime_reconcile_time_seconds',
    'Length of a reconcile.',
    ['controller'],
    RECONCILE_BUCKETS,
  );
  readonly #activeWorkers = this.#gauge('controller_runtime_active_workers', 'Reconciles under way.', ['controller']);
  readonly #maxConcurrent = this.#gauge(
    'controller_runtime_max_concurrent_reconciles',
    'Reconciles that may be under way at once.',
    ['controller'],
  );
  readonly #queueAdds = this.#counter('workqueue_adds_total', 'Keys that became due.', ['name', 'controller']);
  readonly #queueRetries = this.#counter('workqueue_retries_total', 'Keys put back after a failure.', [
    'name',
    'controller',
  ]);
  readonly #queueDuration = this.#histogram(
    'workqueue_queue_duration_seconds',
    'How long a key that was due waited for a worker.',
    ['name', 'controller'],
    QUEUE_BUCKETS,
  );
  readonly #workDuration = this.#histogram(
    'workqueue_work_duration_seconds',
    'How long a key was out with a worker.',
    ['name', 'controller'],
    QUEUE_BUCKETS,
  );
  readonly #requests = this.#counter('rest_client_requests_total', 'Requests to the API server.', [
    'code',
    'method',
    'host',
  ]);
  readonly #requestDuration = this.#histogram(
    'rest_client_request_duration_seconds',
    'How long requests to the API server took.',
    ['verb', 'host'],
    REQUEST_BUCKETS,
  );
  readonly #leading = this.#gauge('leader_election_master_status', '1 while this process holds the lease.', ['name']);

  constructor() {
    const queues = this.#queues;
    const lastWatchEvents = this.#lastWatchEvents;
    this.registry.registerMetric(
      new Gauge({
        name: 'workqueue_depth',
        help: 'Keys that are due and wait for a worker.',
        labelNames: ['name', 'controller'],
        registers: [],
        collect() {
          for (const [name, gauges] of queues) this.set({ name, controller: name }, gauges().depth);
        },
      }),
    );
    this.registry.registerMetric(
      new Gauge({
        name: 'workqueue_unfinished_work_seconds',
        help: 'Seconds that keys now out with workers have been out, added up.',
        labelNames: ['name', 'controller'],
        registers: [],
        collect() {
          for (const [name, gauges] of queues) this.set({ name, controller: name }, gauges().unfinishedSeconds);
        },
      }),
    );
    this.registry.registerMetric(
      new Gauge({
        name: 'kmm_watch_last_event_age_seconds',
        help: 'Seconds since the watch of a kind brought anything, bookmarks included; of Events, which have none, since it brought anything or was last answered.',
        labelNames: ['kind'],
        registers: [],
        collect() {
          this.reset();
          for (const [kind, lastEventAt] of lastWatchEvents) {
            const at = lastEventAt();
            if (at !== undefined && at > 0) this.set({ kind }, Math.max(0, (Date.now() - at) / 1000));
          }
        },
      }),
    );
    const cacheSizes = this.#cacheSizes;
    this.registry.registerMetric(
      new Gauge({
        name: 'kmm_cache_objects',
        help: 'Objects of a kind that the caches hold.',
        labelNames: ['kind'],
        registers: [],
        collect() {
          for (const [kind, size] of cacheSizes) this.set({ kind }, size());
        },
      }),
    );
  }

  /** Starts the process's own metrics: CPU, memory, garbage collection, event-loop delay. */
  withProcessMetrics(): this {
    collectDefaultMetrics({ register: this.registry });
    return this;
  }

  controller(controller: string, maxConcurrent: number): ControllerObserver {
    this.#maxConcurrent.set({ controller }, maxConcurrent);
    const active = this.#activeWorkers.labels({ controller });
    const time = this.#reconcileTime.labels({ controller });
    const outcomes = {
      success: this.#reconciles.labels({ controller, result: 'success' }),
      requeue_after: this.#reconciles.labels({ controller, result: 'requeue_after' }),
      error: this.#reconciles.labels({ controller, result: 'error' }),
    };
    const errors = this.#reconcileErrors.labels({ controller });
    const terminal = this.#terminalErrors.labels({ controller });
    // A rate over a series that appears only with its first error misses that error.
    for (const counter of [...Object.values(outcomes), errors, terminal]) counter.inc(0);
    active.set(0);
    return {
      started: () => active.inc(),
      finished: (outcome, seconds) => {
        active.dec();
        time.observe(seconds);
        outcomes[outcome].inc();
        if (outcome === 'error') errors.inc();
      },
      terminalError: () => terminal.inc(),
    };
  }

  /** `gauges` is called at each scrape. A second queue of the same name takes the first one's place. */
  queue(name: string, gauges: () => QueueGauges): QueueObserver {
    this.#queues.set(name, gauges);
    const labels = { name, controller: name };
    const adds = this.#queueAdds.labels(labels);
    const retries = this.#queueRetries.labels(labels);
    const waited = this.#queueDuration.labels(labels);
    const worked = this.#workDuration.labels(labels);
    adds.inc(0);
    retries.inc(0);
    return {
      added: () => adds.inc(),
      retried: () => retries.inc(),
      started: (seconds) => waited.observe(seconds),
      finished: (seconds) => worked.observe(seconds),
    };
  }

  /** For the Kubernetes client's observer. `host` is the server's, as `name:port`. */
  requests(host: string): (request: RequestReport) => void {
    return ({ method, code, seconds }) => {
      this.#requests.inc({ code: String(code), method, host });
      this.#requestDuration.observe({ verb: method, host }, seconds);
    };
  }

  /** Reports the age of the last event of a kind's watch. `lastEventAt` gives milliseconds since the epoch. */
  watch(kind: string, lastEventAt: () => number | undefined): void {
    this.#lastWatchEvents.set(kind, lastEventAt);
  }

  /** Reports how many objects of a kind are cached: where it is not what the API server has, a watch is behind. */
  cache(kind: string, size: () => number): void {
    this.#cacheSizes.set(kind, size);
  }

  setLeading(name: string, leading: boolean): void {
    this.#leading.set({ name }, leading ? 1 : 0);
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: readonly number[],
  ): Histogram<L> {
    return new Histogram({
      name,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [this.registry],
    });
  }
}

/** Metrics of a process, its own included. Call once a process: Node's garbage-collection hooks are never taken away. */
export function createMetrics(): Metrics {
  return new Metrics().withProcessMetrics();
}

/** What a registry holds, in the order in which it was registered. Read off the metrics themselves, so it leaves none out. */
export function describeMetrics(registry: Registry): readonly MetricReference[] {
  return registry.getMetricsAsArray().map((metric) => ({
    name: metric.name,
    type: String(metric.type),
    labels: 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : [],
    help: metric.help,
  }));
}
