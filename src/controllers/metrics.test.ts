import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { BUILDING } from '../../test/harness/builds.ts';
import { aModule, type ModuleBuilder } from '../../test/harness/modules.ts';
import {
  aLoaderPod,
  aNode,
  aPluginPod,
  aSnapshot,
  keysOf,
  type NodeBuilder,
  type SnapshotBuilder,
  stored,
} from '../../test/harness/plan-world.ts';
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
  const plain = aModule('m').withSelector({ gpu: 'yes' });
  const module = stored(plain);
  const world = aSnapshot(module);
  const waits = [aNode('n1'), aNode('n2')].map((node) => node.running('6.1.0').withLabel('gpu', 'yes'));
  const loaded = waits.map((node) => node.loaded(keysOf(module), 'c1'));
  const loaders = ['n1', 'n2'].map((name) => aLoaderPod(name, '6.1.0').ready('c1'));
  const series = async (registry: Registry, name: string): Promise<readonly string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));

  /** The states in which there is a node. */
  const statesIn = async (registry: Registry): Promise<readonly string[]> =>
    (await series(registry, 'kmm_module_nodes'))
      .filter((line) => !line.endsWith(' 0'))
      .map((line) => /state="(\w+)"/.exec(line)?.[1] ?? '');

  const isWaitedFor = async (registry: Registry): Promise<boolean> =>
    (await series(registry, 'kmm_module_node_waiting_since_timestamp_seconds')).length > 0;

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

  const node = aNode('n').running('6.1.0').withLabel('gpu', 'yes');
  const building = plain.withMapping({ ...BUILDING, literal: '6.1.0' });
  const broken = plain.withKernel('6.1.0', 'registry.test/m:${NONSENSE}');
  const keys = keysOf(module);
  const replaced = node.loaded(keys, 'c1', { replacingSince: '2026-03-01T11:59:00Z' });
  const left = node.holding(keys).withLabel(keys.ready).withLabel('gpu', 'no');
  const tolerant = building.withToleration({ operator: 'Exists' });

  // A node that is down was counted as waiting for as long as its kernel had no image, and KMMNodeWaiting fired for it.
  it.each<[string, string, ModuleBuilder, NodeBuilder]>([
    ['waiting', 'waits for an image', building, node],
    ['waiting', 'waits for an image and has a taint that is tolerated', tolerant, node.tainted('gpu')],
    ['waiting', 'waits for an image and is cordoned', building, node.cordoned()],
    ['skipped', 'waits for an image and is not Ready', building, node.notReady('False')],
    ['skipped', 'waits for an image and is unreachable', building, node.notReady('Unknown')],
    ['skipped', 'waits for an image and has a taint that is not tolerated', building, node.tainted('gpu')],
    ['skipped', 'waits for an image and is not Ready, which the Module tolerates', tolerant, node.notReady()],
    ['waiting', 'waits for a mapping to be corrected', broken, node],
    ['skipped', 'waits for a mapping to be corrected and is not Ready', broken, node.notReady()],
    ['skipped', 'waits for a mapping to be corrected and has a taint that is not tolerated', broken, node.tainted('a')],
    ['loading', 'has no loader yet', plain, node],
    ['skipped', 'has no loader yet and is not Ready', plain, node.notReady()],
    ['loading', 'has the label but no loader', plain, node.holding(keys)],
    ['skipped', 'has the label, no loader and is not Ready', plain, node.holding(keys).notReady()],
    ['unmapped', 'has no mapping and is not Ready', building, node.running('9.9.9').notReady()],
  ])('count as %s a node that %s', async (state, _what, of, built) => {
    const { registry, observe } = aWorld();
    observe(0, aSnapshot(stored(of)).withNodes(built));
    expect(await statesIn(registry)).toEqual([state]);
    expect(await isWaitedFor(registry)).toBe(!['skipped', 'unmapped'].includes(state));
  });

  it.each<[string, string, SnapshotBuilder]>([
    ['replacing', 'whose loader is being replaced', world.withNodes(replaced)],
    ['skipped', 'that went down while its loader was being replaced', world.withNodes(replaced.notReady())],
    ['waiting', 'on which a loader of before still is', world.withNodes(node)],
    ['leaving', 'that the device plugin has still to leave', world.withNodes(left)],
    ['skipped', 'that went down before the device plugin had left it', world.withNodes(left.notReady())],
  ])('count as %s a node %s', async (state, _what, snapshot) => {
    const { registry, observe } = aWorld();
    const loader = aLoaderPod('n', '6.1.0').ready('c1').madeFrom('earlier inputs');
    const unmatched = new Map([['n', { sinceMs: 0, cause: 'SelectorEdited' as const }]]);
    const memory = { selector: module.spec.selector, unmatched };
    observe(0, snapshot.withLoaderPods(loader).withPluginPods(aPluginPod('n')).remembering(memory));
    expect(await statesIn(registry)).toEqual([state]);
    expect(await isWaitedFor(registry)).toBe(state !== 'skipped');
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
