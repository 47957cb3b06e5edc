import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Condition } from '../kube/objects.ts';
import { type ConditionInput, findCondition, LONGEST_CONDITION_MESSAGE, setCondition } from './conditions.ts';

const NOON = Date.parse('2026-01-02T12:00:00.900Z');
const HOUR = 3_600_000;

const loading: ConditionInput = {
  type: 'Ready',
  status: 'False',
  reason: 'Loading',
  message: '1 of 2',
  observedGeneration: 1,
};

describe('setCondition', () => {
  it('adds a condition with the time in whole seconds', () => {
    expect(setCondition([], loading, NOON)).toEqual([{ ...loading, lastTransitionTime: '2026-01-02T12:00:00Z' }]);
  });

  it('keeps the time while only reason, message and generation change', () => {
    const before = setCondition([], loading, NOON);
    const after = setCondition(
      before,
      { ...loading, reason: 'ImagePullFailed', message: 'x', observedGeneration: 2 },
      NOON + HOUR,
    );
    expect(after).toEqual([
      {
        type: 'Ready',
        status: 'False',
        reason: 'ImagePullFailed',
        message: 'x',
        observedGeneration: 2,
        lastTransitionTime: '2026-01-02T12:00:00Z',
      },
    ]);
  });

  it('moves the time when the status flips', () => {
    const before = setCondition([], loading, NOON);
    const after = setCondition(before, { ...loading, status: 'True', reason: 'AllLoaded' }, NOON + HOUR);
    expect(after[0]?.lastTransitionTime).toBe('2026-01-02T13:00:00Z');
  });

  it('gives back the same array when nothing changed, however late it is', () => {
    const before = setCondition([], loading, NOON);
    expect(setCondition(before, { ...loading }, NOON + HOUR)).toBe(before);
  });

  it('leaves the other conditions and their order alone', () => {
    const degraded: ConditionInput = { type: 'Degraded', status: 'False', reason: 'Healthy', message: '' };
    const before = setCondition(setCondition([], loading, NOON), degraded, NOON);
    const after = setCondition(before, { ...loading, status: 'True' }, NOON + HOUR);
    expect(after.map(({ type }) => type)).toEqual(['Ready', 'Degraded']);
    expect(after[1]).toBe(before[1]);
  });

  it('cuts a message to what the schema stores, so that a long cause cannot make every status write fail', () => {
    const [condition] = setCondition([], { ...loading, message: 'x'.repeat(LONGEST_CONDITION_MESSAGE + 1) }, NOON);
    expect(condition?.message).toHaveLength(LONGEST_CONDITION_MESSAGE);
    expect(condition?.message.endsWith('…')).toBe(true);
  });

  it('never changes what it was given, and a second write of the same is no write', () => {
    const input = fc.record({
      type: fc.constantFrom('Ready', 'Progressing', 'Degraded'),
      status: fc.constantFrom('True' as const, 'False' as const, 'Unknown' as const),
      reason: fc.constantFrom('A', 'B'),
      message: fc.constantFrom('a', 'b'),
    });
    fc.assert(
      fc.property(fc.array(input), (inputs) => {
        let conditions: readonly Condition[] = [];
        for (const [index, next] of inputs.entries()) {
          const copy = structuredClone(conditions);
          const after = setCondition(Object.freeze(conditions), next, NOON + index * HOUR);
          expect(conditions).toEqual(copy);
          expect(setCondition(after, next, NOON + (index + 1) * HOUR)).toBe(after);
          expect(findCondition(after, next.type)).toMatchObject(next);
          conditions = after;
        }
      }),
    );
  });
});
