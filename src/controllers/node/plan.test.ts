import { describe, expect, it } from 'vitest';
import { aNode } from '../../../test/harness/plan-world.ts';
import { GROUP_PREFIX, KERNEL_LABEL } from '../../api/labels.ts';
import type { NodePatch } from './label-patch.ts';
import { planNodePatch } from './plan.ts';

const nothingIsOrphaned = () => false;
const everythingIsOrphaned = () => true;
const node = aNode('n1').running('5.4.0-1054-gke');
const labelled = node.withLabel(KERNEL_LABEL, '5.4.0-1054-gke');

describe('the kernel label', () => {
  it('is given to a node that has none', () => {
    expect(planNodePatch(node.build(), [], nothingIsOrphaned)).toEqual({
      labels: { [KERNEL_LABEL]: '5.4.0-1054-gke' },
      annotations: {},
    });
  });

  it('is not written when it already holds', () => {
    expect(planNodePatch(labelled.build(), [], nothingIsOrphaned)).toBeUndefined();
  });

  it.each([
    ['a reboot into another kernel', labelled.running('5.16.11-200.fc35.x86_64')],
    ['a hand edit', node.withLabel(KERNEL_LABEL, 'by-hand').running('5.16.11-200.fc35.x86_64')],
  ])('follows the kernel after %s', (_what, built) => {
    expect(planNodePatch(built.build(), [], nothingIsOrphaned)?.labels).toEqual({
      [KERNEL_LABEL]: '5.16.11-200.fc35.x86_64',
    });
  });

  it('is made label-safe, and stays different for releases that differ', () => {
    const values = ['6.1.0+', '6.1.0', '6.1.0~'].map(
      (kernel) => planNodePatch(aNode('n1').running(kernel).build(), [], nothingIsOrphaned)?.labels[KERNEL_LABEL],
    );
    expect(new Set(values).size).toBe(3);
    for (const value of values) expect(value).toMatch(/^6\.1\.0(_[0-9a-f]{8})?$/);
  });

  it('is left alone on a node that has not reported a kernel', () => {
    expect(planNodePatch(aNode('n1').build(), [], nothingIsOrphaned)).toBeUndefined();
    const silent = aNode('n1').running('').withLabel(KERNEL_LABEL, '5.4.0');
    expect(planNodePatch(silent.build(), [], nothingIsOrphaned)).toBeUndefined();
  });
});

describe('all that is due on a node', () => {
  it('is one patch of the difference', () => {
    const due: NodePatch[] = [
      { labels: { a: '1', b: '2' }, annotations: {} },
      { labels: { c: null }, annotations: { note: 'x' } },
    ];
    expect(planNodePatch(node.withLabels({ b: '2', c: '3' }).build(), due, nothingIsOrphaned)).toEqual({
      labels: { [KERNEL_LABEL]: '5.4.0-1054-gke', a: '1', c: null },
      annotations: { note: 'x' },
    });
  });
});

describe('marks of a Module that is gone', () => {
  const load = `${GROUP_PREFIX}ns.gone.load`;
  const ready = `${GROUP_PREFIX}ns.gone.ready`;
  const loaded = `${GROUP_PREFIX}ns.gone.loaded`;
  const marked = labelled.withLabels({ [load]: 'key', [ready]: '' }).withAnnotation(loaded, 'boot=b,container=c');

  it('are taken off', () => {
    expect(planNodePatch(marked.build(), [], everythingIsOrphaned)).toEqual({
      labels: { [load]: null, [ready]: null },
      annotations: { [loaded]: null },
    });
  });

  it('stay as long as a Module or a DaemonSet claims them', () => {
    expect(planNodePatch(marked.build(), [], (key) => key !== load && key !== ready)).toEqual({
      labels: {},
      annotations: { [loaded]: null },
    });
  });

  it('are told from labels of others, and from ours that are of no Module', () => {
    const foreign = labelled.withLabels({
      'example.com/x.load': '',
      'example.com/x.ready': '',
      [`${GROUP_PREFIX}other`]: '',
    });
    expect(
      planNodePatch(foreign.withAnnotation('example.com/x.loaded', '').build(), [], everythingIsOrphaned),
    ).toBeUndefined();
  });

  it('never win over what a living Module wants', () => {
    const due = [{ labels: { [load]: 'key' }, annotations: {} }];
    expect(planNodePatch(labelled.withLabel(load, 'key').build(), due, everythingIsOrphaned)).toBeUndefined();
  });
});
