import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Linked, ReadyList } from './ready-list.ts';

interface Member extends Linked<Member> {
  readonly id: number;
}

const operation = fc.oneof(
  fc.constant({ kind: 'push' as const }),
  fc.constant({ kind: 'shift' as const }),
  fc.record({ kind: fc.constant('remove' as const), which: fc.nat(20) }),
);

it('gives its members first in, first out, whoever leaves from the middle', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
      const list = new ReadyList<Member>();
      const model: Member[] = [];
      let id = 0;
      for (const each of operations) {
        if (each.kind === 'push') {
          const member: Member = { id: id++, previous: undefined, next: undefined };
          list.push(member);
          model.push(member);
        } else if (each.kind === 'shift') {
          expect(list.shift()).toBe(model.shift());
        } else {
          const [member] = model.splice(each.which % Math.max(1, model.length), 1);
          if (member !== undefined) list.remove(member);
        }
        expect(list.size).toBe(model.length);
      }
      expect(Array.from({ length: list.size }, () => list.shift()?.id)).toEqual(model.map((member) => member.id));
      expect(list.shift()).toBeUndefined();
    }),
  );
});

it('takes a member again after it has left', () => {
  const list = new ReadyList<Member>();
  const [a, b]: Member[] = [0, 1].map((id) => ({ id, previous: undefined, next: undefined }));
  if (a === undefined || b === undefined) throw new Error('two members were made');
  list.push(a);
  list.push(b);
  list.remove(a);
  list.push(a);
  expect([list.shift()?.id, list.shift()?.id, list.size]).toEqual([1, 0, 0]);
});
