import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { DueHeap } from './due-heap.ts';

const keyName = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');
const operation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key: keyName, dueAt: fc.nat(50) }),
  fc.record({ kind: fc.constant('delete' as const), key: keyName }),
  fc.record({ kind: fc.constant('pop' as const) }),
);

it('holds each key once and always gives one of those due first, whatever is set, moved and removed', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const heap = new DueHeap();
      const model = new Map<string, number>();
      for (const each of operations) {
        if (each.kind === 'set') {
          heap.set(each.key, each.dueAt);
          model.set(each.key, each.dueAt);
        } else {
          const key = each.kind === 'delete' ? each.key : heap.first()?.key;
          if (key === undefined) continue;
          heap.delete(key);
          model.delete(key);
        }
        expect(heap.size).toBe(model.size);
        expect(heap.first()?.dueAt).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
        for (const [key, dueAt] of model) expect(heap.dueAt(key)).toBe(dueAt);
      }
    }),
  );
});
