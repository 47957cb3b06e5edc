import { describe, expect, it } from 'vitest';
import { aNode, MINUTE, NOW, type NodeBuilder } from '../../../test/harness/plan-world.ts';
import { afterClockStep, observeSelector } from './plan-selector.ts';
import type { SelectorMemory, Unmatched } from './snapshot.ts';

const LOAD = 'kmm.node.kubernetes.io/ns.m.load';
const holder = aNode('n1').withLabel(LOAD, 'key');
const gpu = { gpu: 'yes' };

function observe(
  memory: SelectorMemory | undefined,
  selector: Readonly<Record<string, string>>,
  nodes: readonly NodeBuilder[],
  nowMs = NOW,
): Record<string, Unmatched> {
  const built = nodes.map((node) => node.build());
  return Object.fromEntries(observeSelector(memory, selector, built, LOAD, nowMs).unmatched);
}

const remembering = (
  selector: Readonly<Record<string, string>>,
  unmatched: Readonly<Record<string, Unmatched>> = {},
): SelectorMemory => ({ selector, unmatched: new Map(Object.entries(unmatched)) });

describe('what is remembered of nodes that do not match the selector', () => {
  it('is nothing of a node that matches', () => {
    expect(observe(undefined, gpu, [holder.withLabels(gpu)])).toEqual({});
  });

  it('is nothing of a node that does not carry the load label: there is nothing to take', () => {
    expect(observe(undefined, gpu, [aNode('n1')])).toEqual({});
  });

  it('is since when, and that a label vanished, while the selector stays the same', () => {
    expect(observe(remembering(gpu), gpu, [holder])).toEqual({ n1: { sinceMs: NOW, cause: 'LabelVanished' } });
  });

  it('is kept with its time as long as that lasts', () => {
    const known = { n1: { sinceMs: NOW - 5 * MINUTE, cause: 'LabelVanished' as const } };
    expect(observe(remembering(gpu, known), gpu, [holder])).toEqual(known);
  });

  it('is forgotten when the label comes back, so that a flap begins anew', () => {
    const known = { n1: { sinceMs: NOW - 9 * MINUTE, cause: 'LabelVanished' as const } };
    const back = observeSelector(remembering(gpu, known), gpu, [holder.withLabels(gpu).build()], LOAD, NOW);
    expect(back.unmatched.size).toBe(0);
    expect(observe(back, gpu, [holder], NOW + MINUTE)).toEqual({
      n1: { sinceMs: NOW + MINUTE, cause: 'LabelVanished' },
    });
  });

  it.each([5 * 60 * MINUTE, -5 * 60 * MINUTE])('is as long ago as before when the clock is set by %i ms', (stepMs) => {
    const known = { n1: { sinceMs: NOW - 5 * MINUTE, cause: 'LabelVanished' as const } };
    const stepped = afterClockStep(remembering(gpu, known), stepMs);
    expect(observe(stepped, gpu, [holder], NOW + stepMs)).toEqual({
      n1: { sinceMs: NOW + stepMs - 5 * MINUTE, cause: 'LabelVanished' },
    });
  });

  it('keeps its times while the clock is only slewed: they must not drift with it', () => {
    const memory = remembering(gpu, { n1: { sinceMs: NOW, cause: 'LabelVanished' } });
    expect(afterClockStep(memory, 999)).toBe(memory);
  });

  it('is that an edit did it, for a node that matched until then', () => {
    expect(observe(remembering(gpu), { gpu: 'no' }, [holder.withLabels(gpu)])).toEqual({
      n1: { sinceMs: NOW, cause: 'SelectorEdited' },
    });
    expect(observe(remembering({}), gpu, [holder])).toEqual({ n1: { sinceMs: NOW, cause: 'SelectorEdited' } });
  });

  it('is that a label vanished, for a node whose label vanished at the time of an edit that would not have left it out', () => {
    expect(observe(remembering(gpu), { ...gpu, zone: 'a' }, [holder.withLabel('zone', 'a')])).toEqual({
      n1: { sinceMs: NOW, cause: 'LabelVanished' },
    });
  });

  it('stays what it was through a later edit that leaves the node out too', () => {
    const known = { n1: { sinceMs: NOW - MINUTE, cause: 'SelectorEdited' as const } };
    expect(observe(remembering({ a: 'b' }, known), { c: 'd' }, [holder])).toEqual(known);
  });

  it('is the harmless cause when the operator has just started and cannot know', () => {
    expect(observe(undefined, gpu, [holder])).toEqual({ n1: { sinceMs: NOW, cause: 'LabelVanished' } });
  });

  it('does not take another order of the same selector for an edit', () => {
    expect(observe(remembering({ a: '1', b: '2' }), { b: '2', a: '1' }, [holder])).toMatchObject({
      n1: { cause: 'LabelVanished' },
    });
  });

  it('takes a pair more, a pair less and another value for an edit', () => {
    const node = holder.withLabels({ a: '1' });
    const edits: readonly Record<string, string>[] = [{ a: '1', b: '2' }, { a: '2' }, { b: '1' }];
    for (const edited of edits) {
      expect(observe(remembering({ a: '1' }), edited, [node])).toMatchObject({ n1: { cause: 'SelectorEdited' } });
    }
  });

  it('is kept for each node by itself', () => {
    const nodes = [holder, aNode('n2').withLabel(LOAD, 'key').withLabels(gpu)];
    expect(Object.keys(observe(remembering(gpu), gpu, nodes))).toEqual(['n1']);
  });
});
