import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';

/** The samples of the scrape whose line begins so. */
async function samples(metrics: Metrics, start: string): Promise<string[]> {
  return (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(start));
}

describe('Metrics', () => {
  it('shows every result of a controller as 0 before there is one, so that a rate sees the first error', async () => {
    const metrics = new Metrics();
    metrics.controller('module', 4);
    expect(await samples(metrics, 'controller_runtime')).toEqual(
      expect.arrayContaining([
        'controller_runtime_reconcile_total{controller="module",result="success"} 0',
        'controller_runtime_reconcile_total{controller="module",result="requeue_after"} 0',
        'controller_runtime_reconcile_total{controller="module",result="error"} 0',
        'controller_runtime_reconcile_errors_total{controller="module"} 0',
        'controller_runtime_terminal_reconcile_errors_total{controller="module"} 0',
        'controller_runtime_active_workers{controller="module"} 0',
        'controller_runtime_max_concurrent_reconciles{controller="module"} 4',
      ]),
    );
  });

  it('counts reconciles by result, errors once more, and those under way', async () => {
    const metrics = new Metrics();
    const observer = metrics.controller('module', 1);
    for (const outcome of ['success', 'requeue_after', 'error', 'error'] as const) {
      observer.started();
      observer.finished(outcome, 0.2);
    }
    observer.started();
    observer.terminalError();
    expect(await samples(metrics, 'controller_runtime')).toEqual(
      expect.arrayContaining([
        'controller_runtime_reconcile_total{controller="module",result="error"} 2',
        'controller_runtime_reconcile_errors_total{controller="module"} 2',
        'controller_runtime_terminal_reconcile_errors_total{controller="module"} 1',
        'controller_runtime_active_workers{controller="module"} 1',
        'controller_runtime_reconcile_time_seconds_count{controller="module"} 4',
        'controller_runtime_reconcile_time_seconds_bucket{le="0.15",controller="module"} 0',
        'controller_runtime_reconcile_time_seconds_bucket{le="0.2",controller="module"} 4',
      ]),
    );
  });

  it('reads the depth of a queue when somebody scrapes, under the names of client-go', async () => {
    const metrics = new Metrics();
    let depth = 1;
    const observer = metrics.queue('module', () => ({ depth, unfinishedSeconds: 2.5 }));
    observer.added();
    observer.started(0.01);
    observer.finished(0.02);
    observer.retried();
    depth = 7;
    const labels = '{name="module",controller="module"}';
    expect(await samples(metrics, 'workqueue')).toEqual(
      expect.arrayContaining([
        `workqueue_depth${labels} 7`,
        `workqueue_unfinished_work_seconds${labels} 2.5`,
        `workqueue_adds_total${labels} 1`,
        `workqueue_retries_total${labels} 1`,
        `workqueue_queue_duration_seconds_count${labels} 1`,
        `workqueue_work_duration_seconds_sum${labels} 0.02`,
      ]),
    );
  });

  it('counts requests by code, method and host, those without an answer too', async () => {
    const metrics = new Metrics();
    const observe = metrics.requests('api:6443');
    observe({ method: 'GET', resource: 'nodes', code: 200, seconds: 0.1 });
    observe({ method: 'GET', resource: 'pods', code: '<error>', seconds: 0.1 });
    expect(await samples(metrics, 'rest_client_requests_total')).toEqual([
      'rest_client_requests_total{code="200",method="GET",host="api:6443"} 1',
      'rest_client_requests_total{code="<error>",method="GET",host="api:6443"} 1',
    ]);
  });

  it('shows the age of a watch only once it has brought something', async () => {
    const metrics = new Metrics();
    let lastEventAt: number | undefined;
    metrics.watch('nodes', () => lastEventAt);
    expect(await samples(metrics, 'kmm_watch_last_event_age_seconds')).toEqual([]);
    lastEventAt = Date.now() - 3_600_000;
    const [line = ''] = await samples(metrics, 'kmm_watch_last_event_age_seconds');
    expect(line).toContain('{kind="nodes"}');
    expect(Number(line.split(' ')[1])).toBeGreaterThanOrEqual(3_600);
    lastEventAt = Date.now() + 3_600_000;
    expect(await samples(metrics, 'kmm_watch_last_event_age_seconds')).toEqual([
      'kmm_watch_last_event_age_seconds{kind="nodes"} 0',
    ]);
  });

  it('shows how many objects of each kind are cached, as they are when it is asked', async () => {
    const metrics = new Metrics();
    let size = 0;
    metrics.cache('nodes', () => size);
    size = 3;
    expect(await samples(metrics, 'kmm_cache_objects')).toEqual(['kmm_cache_objects{kind="nodes"} 3']);
  });

  it('shows who leads', async () => {
    const metrics = new Metrics();
    metrics.setLeading('kmm', true);
    expect(await samples(metrics, 'leader_election')).toEqual(['leader_election_master_status{name="kmm"} 1']);
    metrics.setLeading('kmm', false);
    expect(await samples(metrics, 'leader_election')).toEqual(['leader_election_master_status{name="kmm"} 0']);
  });

  it('keeps to itself: two of them in one process do not share a series', async () => {
    const [one, other] = [new Metrics(), new Metrics()];
    one.setLeading('kmm', true);
    expect(await samples(other, 'leader_election')).toEqual([]);
  });

  it('has the event-loop delay and the memory of the process when asked for', async () => {
    const metrics = new Metrics().withProcessMetrics();
    expect(await samples(metrics, 'nodejs_eventloop_lag_seconds ')).toHaveLength(1);
    expect(await samples(metrics, 'process_resident_memory_bytes ')).toHaveLength(1);
  });
});
