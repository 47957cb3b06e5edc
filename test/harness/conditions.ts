import { expect } from 'vitest';

import { CONDITION_REASONS } from '../../src/controllers/module/reasons.ts';
import type { Condition } from '../../src/kube/objects.ts';

/** I4: each condition gives a reason that is documented with its next step, in words and since when. */
export function expectReasons(conditions: readonly Condition[] = []): void {
  for (const { reason, message, lastTransitionTime } of conditions) {
    expect({ reason, message, lastTransitionTime }, 'I4').toEqual({
      reason: expect.toBeOneOf(CONDITION_REASONS.map((documented) => documented.reason)),
      message: expect.stringMatching(/./),
      lastTransitionTime: expect.stringMatching(/Z$/),
    });
  }
}
