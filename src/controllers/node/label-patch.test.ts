import { describe, expect, it } from 'vitest';
import { aNode } from '../../../test/harness/plan-world.ts';
import { mergePatches, type NodePatch, remainingPatch } from './label-patch.ts';

const node = aNode('n1').withLabel('a', '1').withLabel('empty').withAnnotation('note', 'x').build();
const nothing: NodePatch = { labels: {}, annotations: {} };

describe('what is left of a patch', () => {
  it.each<[string, Partial<NodePatch>, NodePatch | undefined]>([
    ['nothing when all of it is there', { labels: { a: '1', empty: '' }, annotations: { note: 'x' } }, undefined],
    ['nothing when what has to go is gone', { labels: { b: null }, annotations: { other: null } }, undefined],
    ['nothing of an empty patch', {}, undefined],
    ['a label that is not there', { labels: { a: '1', b: '2' } }, { ...nothing, labels: { b: '2' } }],
    ['a label with another value', { labels: { a: '2' } }, { ...nothing, labels: { a: '2' } }],
    ['an empty label that is not there', { labels: { b: '' } }, { ...nothing, labels: { b: '' } }],
    ['a label that has to go', { labels: { empty: null } }, { ...nothing, labels: { empty: null } }],
    [
      'an annotation, without the labels that are right',
      { labels: { a: '1' }, annotations: { note: 'y' } },
      { ...nothing, annotations: { note: 'y' } },
    ],
  ])('is %s', (_what, patch, expected) => {
    expect(remainingPatch(node, { ...nothing, ...patch })).toEqual(expected);
  });

  it('is everything on a node that has no labels and annotations at all', () => {
    expect(remainingPatch({ metadata: { name: 'n' } }, { labels: { a: '1' }, annotations: { b: null } })).toEqual({
      ...nothing,
      labels: { a: '1' },
    });
  });
});

describe('patches of one node', () => {
  it('become one, in which the later wins', () => {
    expect(
      mergePatches([
        { labels: { a: '1', b: null }, annotations: {} },
        { labels: { b: '2' }, annotations: { c: 'x' } },
      ]),
    ).toEqual({ labels: { a: '1', b: '2' }, annotations: { c: 'x' } });
  });

  it('are an empty one when there are none', () => {
    expect(mergePatches([])).toEqual(nothing);
  });
});
