import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { aModule } from '../../test/harness/modules.ts';
import { aLoaderPod, aNode, aSnapshot, keysOf, type SnapshotBuilder, stored } from '../../test/harness/plan-world.ts';
import { ModuleMetrics, metricsReference } from './metrics.ts';
import { newMemory } from './module/memory.ts';
import { planModule } from './module/plan.ts';

describe('metricsReference', () => {
  const rows = metricsReference();
  const names = rows.map(({ name }) => name);

  it('lists our own metrics before all others', () => {
    const lastOfOurs = names.findLastIndex((name) => name.startsWith('kmm_'));
    expect(names.slice(0, lastOfOurs + 1)).toEqual([
      'kmm_watch_last_event_age_seconds',
      'kmm_cache_objects',
      'kmm_modules',
      'kmm_module_nodes',
      'kmm_module_kernels',
      'kmm_module_node_waiting_since_timestamp_seconds',
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

describe('the metrics of a Module', () => {
  const module = stored(aModule('m').withSelector({ gpu: 'yes' }));
  const world = aSnapshot(module);
  const waits = [aNode('n1'), aNode('n2')].map((node) => node.running('6.1.0').withLabel('gpu', 'yes'));
  const loaded = waits.map((node) => node.loaded(keysOf(module), 'c1'));
  const loaders = ['n1', 'n2'].map((name) => aLoaderPod(name, '6.1.0').ready('c1'));
  const series = async (registry: Registry, name: string): Promise<readonly string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));

  function aWorld() {
    const registry = new Registry();
    const metrics = new ModuleMetrics(registry);
    const memory = newMemory('uid', true);
    const observe = (nowMs: number, snapshot: SnapshotBuilder, ...states: string[]): void => {
      const plan = planModule(snapshot.build());
      metrics.observe('n/m', plan, { kernels: states.map((state) => kernelStatus(state)) }, memory, nowMs);
    };
    return { registry, metrics, observe };
  }

  const kernelStatus = (state: string) => ({
    kernelVersion: '6.1.0',
    architecture: 'amd64',
    nodes: 1,
    loaded: 0,
    state,
  });

  it('say since when the node waits that has waited for longest, and nothing when none does', async () => {
    const { registry, observe } = aWorld();
    const name = 'kmm_module_node_waiting_since_timestamp_seconds';
    observe(10_000, world.withNodes(...waits));
    observe(50_000, world.withNodes(...waits));
    expect(await series(registry, name)).toEqual([`${name}{namespace="n",name="m"} 10`]);
    observe(60_000, world.withNodes(...loaded).withLoaderPods(...loaders));
    expect(await series(registry, name)).toEqual([]);
    observe(70_000, world.withNodes(...waits));
    expect(await series(registry, name)).toEqual([`${name}{namespace="n",name="m"} 70`]);
  });

  it('count kernels by state and leave out states that none has', async () => {
    const { registry, metrics, observe } = aWorld();
    observe(0, world, 'BuildFailed', 'BuildFailed', 'Loaded');
    expect(await series(registry, 'kmm_module_kernels')).toEqual([
      'kmm_module_kernels{namespace="n",name="m",state="BuildFailed"} 2',
      'kmm_module_kernels{namespace="n",name="m",state="Loaded"} 1',
    ]);
    observe(0, world, 'Loaded');
    expect(await series(registry, 'kmm_module_kernels')).toEqual([
      'kmm_module_kernels{namespace="n",name="m",state="Loaded"} 1',
    ]);
    metrics.forget('n/m');
    expect(await registry.metrics()).not.toContain('name="m"');
  });
});
