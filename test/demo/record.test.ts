import { expect, it } from 'vitest';

import { aLoader, aNode, aPlugin, aWorld } from './a-world.ts';
import { LoaderRecord } from './record.ts';
import type { World } from './world.ts';

const NODES = { kind: 'nodes', type: 'MODIFIED', key: 'n' } as const;
const PODS = { kind: 'pods', type: 'MODIFIED', key: 'p' } as const;

const loaded = [aNode('n1', { module: 'loaded' }), aNode('n2', { module: 'loaded' })];
const START = aWorld({ nodes: loaded, pods: [aLoader('n1'), aPlugin('n1'), aLoader('n2'), aPlugin('n2')] });

function recordOf(...changes: readonly (readonly [typeof NODES | typeof PODS, World])[]): LoaderRecord {
  const record = new LoaderRecord(START);
  for (const [change, world] of changes) record.see(change, world);
  return record;
}

it('a moment in which two nodes are without the module is seen, though it ends', () => {
  const both = aWorld({ nodes: [aNode('n1', { module: 'placed' }), aNode('n2', { module: 'placed' })] });
  expect(recordOf([NODES, both], [NODES, START]).mostWithout).toBe(2);
});

it('a node that is not meant to have the module is not without it', () => {
  expect(recordOf([NODES, aWorld({ nodes: [...loaded, aNode('n3')] })]).mostWithout).toBe(0);
});

it('loaders are told in the order in which they are stopped, each once', () => {
  const first = aWorld({ nodes: loaded, pods: [aLoader('n1'), aLoader('n2', { state: 'stopping' })] });
  const second = aWorld({ nodes: loaded, pods: [aLoader('n1', { state: 'stopping' })] });
  const done = aWorld({ nodes: loaded, pods: [aLoader('n1', { name: 'new-1' }), aLoader('n2', { name: 'new-2' })] });
  const record = recordOf([PODS, first], [PODS, second], [PODS, done]);
  expect(record.unloaded).toEqual(['n2', 'n1']);
  expect(record.pluginsLeftBehind).toEqual([]);
});

it('a loader that is stopped or gone beside a device plugin is a violation, a stopping plugin included', () => {
  const stopping = aWorld({ nodes: loaded, pods: [aPlugin('n1', { state: 'stopping' }), aLoader('n2')] });
  expect(recordOf([PODS, stopping]).pluginsLeftBehind).toEqual(['n1']);
});
