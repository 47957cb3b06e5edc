import { describe, expect, it } from 'vitest';
import { metricsReference } from './metrics.ts';

describe('metricsReference', () => {
  const rows = metricsReference();
  const names = rows.map(({ name }) => name);

  it('lists our own metrics before all others', () => {
    const lastOfOurs = names.findLastIndex((name) => name.startsWith('kmm_'));
    expect(names.slice(0, lastOfOurs + 1)).toEqual([
      'kmm_watch_last_event_age_seconds',
      'kmm_modules',
      'kmm_module_nodes',
      'kmm_node_seen_to_loader_created_seconds',
      'kmm_image_builds_total',
      'kmm_image_build_step_seconds',
      'kmm_image_builds_cached_total',
      'kmm_image_builds_queued',
      'kmm_image_builds_running',
    ]);
  });

  it('lists what dashboards of controller-runtime and of a process read, with type and labels', () => {
    expect(rows).toContainEqual({
      name: 'controller_runtime_reconcile_total',
      type: 'counter',
      labels: ['controller', 'result'],
      help: 'Reconciles per controller and result.',
    });
    expect(names).toEqual(
      expect.arrayContaining([
        'workqueue_depth',
        'rest_client_requests_total',
        'leader_election_master_status',
        'process_resident_memory_bytes',
        'nodejs_eventloop_lag_p99_seconds',
      ]),
    );
  });
});
