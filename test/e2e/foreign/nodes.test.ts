import { expect, test } from 'vitest';

import type { Node } from '../../../src/kube/core.ts';
import { chooseNodes } from './nodes.ts';

const ARCH = process.arch === 'x64' ? 'amd64' : process.arch;

interface Like {
  readonly kernel?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ready?: string;
  readonly spec?: Node['spec'];
}

function node(name: string, { kernel = '6.1.0', labels, ready = 'True', spec = {} }: Like = {}): Node {
  return {
    metadata: { name, labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': ARCH, ...labels } },
    spec,
    status: {
      conditions: [{ type: 'Ready', status: ready }],
      nodeInfo: { kernelVersion: kernel, bootID: 'b', architecture: ARCH },
    },
  };
}

const chosen = (...nodes: readonly Node[]) => chooseNodes(nodes).map(({ metadata }) => metadata.name);

test('of many nodes two are taken, of different kernels where there are', () => {
  expect(chosen(node('a'), node('b'), node('c', { kernel: '6.12.0' }))).toEqual(['a', 'c']);
  expect(chosen(node('a'), node('b'), node('c'))).toEqual(['a', 'b']);
  expect(chosen(node('a'))).toEqual(['a']);
});

test('nodes that would not run the modules are left alone', () => {
  expect(
    chosen(
      node('silent', { ready: 'Unknown' }),
      node('cordoned', { spec: { unschedulable: true } }),
      node('tainted', { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } }),
      node('windows', { labels: { 'kubernetes.io/os': 'windows' } }),
      node('other', { labels: { 'kubernetes.io/arch': 'riscv64' } }),
    ),
  ).toEqual([]);
});

test('a taint that only discourages is none', () => {
  expect(chosen(node('a', { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } }))).toEqual(['a']);
});
