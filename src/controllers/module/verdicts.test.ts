import { describe, expect, it } from 'vitest';
import { CONDITION_REASONS, DEGRADED_STATES, STATES } from './reasons.ts';
import { worse } from './summary.ts';
import { cut } from './verdicts.ts';

describe('states', () => {
  it('are ordered: what needs a person is worse than what passes, and that is worse than what rests', () => {
    for (const degraded of DEGRADED_STATES) {
      for (const state of STATES) {
        if (!DEGRADED_STATES.has(state)) expect(worse(degraded, state), `${degraded} and ${state}`).toBe(true);
      }
    }
    expect(worse('Loading', 'Loaded')).toBe(true);
    expect(worse('Loaded', 'Loading')).toBe(false);
    expect(worse('Loaded', 'Loaded')).toBe(false);
    expect(STATES.at(-1)).toBe('Loaded');
  });

  it('are each documented with a meaning and a next step', () => {
    const documented = new Map(CONDITION_REASONS.map((doc) => [doc.reason, doc]));
    for (const state of STATES) {
      // A kernel's state Loaded is the Module's reason AllLoaded.
      const doc = documented.get(state === 'Loaded' ? 'AllLoaded' : state);
      expect(doc?.meaning, state).toBeTruthy();
      expect(doc?.nextStep, state).toBeTruthy();
    }
  });
});

describe('a text that is cut', () => {
  it('is whole when it fits', () => {
    expect(cut('12345', 5)).toBe('12345');
  });

  it('ends in an ellipsis when it does not, and is as long as it may be', () => {
    expect(cut('123456', 5)).toBe('1234…');
  });
});
