import { expect, it } from 'vitest';
import { TokenVerdicts } from './token-verdicts.ts';

/** Remembers two verdicts, and counts what is looked up. */
function remembering() {
  const lookedUp: string[] = [];
  const verdicts = new TokenVerdicts({
    lookUp: async (token: string) => {
      lookedUp.push(token);
      return token.toUpperCase();
    },
    goodForMs: () => 1_000,
    most: 2,
    nowMs: () => 0,
  });
  return { lookedUp, verdicts };
}

it('the token that was not asked about for longest is forgotten first, and looked up again', async () => {
  const { lookedUp, verdicts } = remembering();
  for (const token of ['a', 'b', 'a', 'c', 'a', 'b']) expect(await verdicts.of(token)).toBe(token.toUpperCase());
  expect(lookedUp).toEqual(['a', 'b', 'c', 'b']);
});
