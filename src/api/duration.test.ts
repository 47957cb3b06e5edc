import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseDuration } from './duration.ts';

it.each([
  ['0', 0],
  ['250ms', 250],
  ['10m', 600_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  ['.5s', 500],
  ['1500us', 1.5],
  ['2h45m30.5s', 9_930_500],
])('reads %s as %d ms', (text, ms) => {
  expect(parseDuration(text)).toBeCloseTo(ms, 6);
});

it.each(['', '10', '10 minutes', '10min', 'm', '-5s', '+5s', '1h 30m', '1d', ' 5s', '5S', '.s', 'Infinity'])(
  'takes "%s" for no duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

it('adds up whatever parts are written', () => {
  const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
  const part = fc.record({ amount: fc.nat(999), unit: fc.constantFrom('ms', 's', 'm', 'h') });
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
      const expected = parts.reduce((sum, { amount, unit }) => sum + amount * units[unit], 0);
      expect(parseDuration(parts.map(({ amount, unit }) => `${amount}${unit}`).join(''))).toBe(expected);
    }),
  );
});
