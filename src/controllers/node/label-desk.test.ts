import { describe, expect, it } from 'vitest';
import { aNode } from '../../../test/harness/plan-world.ts';
import { LabelDesk, requestFor } from './label-desk.ts';
import type { NodePatch } from './label-patch.ts';

const node = aNode('n1').running('5.4.0').booted('boot-1');
const patch = (label: string): NodePatch => ({ labels: { [label]: '' }, annotations: {} });
const request = (label: string, built = node) => new Map([['n1', requestFor(built.build(), patch(label))]]);

function aDesk(): { readonly desk: LabelDesk; readonly woken: string[]; readonly told: string[] } {
  const woken: string[] = [];
  const told: string[] = [];
  const desk = new LabelDesk(
    (name) => woken.push(name),
    (key) => told.push(key),
  );
  return { desk, woken, told };
}

describe('the label desk', () => {
  it('tells the Modules of a refusal once, those that want something on the node, and forgets it when that is settled', () => {
    const { desk, told } = aDesk();
    desk.publish('ns/a', request('x'));
    desk.publish('ns/b', new Map([['n2', requestFor(aNode('n2').build(), patch('y'))]]));
    desk.refused('n1', 'no');
    desk.refused('n1', 'no');
    expect([told, [...desk.refusals]]).toEqual([['ns/a'], [['n1', 'no']]]);
    desk.refused('n1', 'not so');
    desk.settled('n1');
    expect([told, [...desk.refusals]]).toEqual([['ns/a', 'ns/a'], []]);
  });

  it('wakes every node for which something is due', () => {
    const { desk, woken } = aDesk();
    const other = aNode('n2').build();
    desk.publish('ns/a', new Map([...request('x'), ['n2', requestFor(other, patch('x'))]]));
    expect(woken).toEqual(['n1', 'n2']);
  });

  it('gives what every Module wants on a node together', () => {
    const { desk } = aDesk();
    desk.publish('ns/a', request('a'));
    desk.publish('ns/b', request('b'));
    expect(desk.dueOn(node.build())).toEqual([patch('a'), patch('b')]);
  });

  it('replaces all that a Module wanted before, also on nodes that it no longer names', () => {
    const { desk } = aDesk();
    desk.publish('ns/a', request('old'));
    desk.publish('ns/a', request('new'));
    expect(desk.dueOn(node.build())).toEqual([patch('new')]);
    desk.publish('ns/a', new Map());
    expect(desk.dueOn(node.build())).toEqual([]);
  });

  it('has nothing for a node nobody asked about', () => {
    const { desk } = aDesk();
    desk.publish('ns/a', request('a'));
    expect(desk.dueOn(aNode('n2').build())).toEqual([]);
  });

  it('gives nothing that was decided for an earlier boot', () => {
    const { desk } = aDesk();
    desk.publish('ns/a', request('ready'));
    expect(desk.dueOn(node.booted('boot-2').build())).toEqual([]);
  });

  it('gives nothing that was decided for an earlier Node of the same name', () => {
    const { desk } = aDesk();
    desk.publish('ns/a', request('ready'));
    const again = node.build();
    expect(desk.dueOn({ ...again, metadata: { ...again.metadata, uid: 'another' } })).toEqual([]);
  });

  it('gives what was decided for a node that has not reported a boot yet, until it reports one', () => {
    const { desk } = aDesk();
    const fresh = aNode('n1');
    desk.publish('ns/a', request('a', fresh));
    expect(desk.dueOn(fresh.build())).toEqual([patch('a')]);
    expect(desk.dueOn(fresh.running('5.4.0').build())).toEqual([]);
  });
});
