import { expect, test } from 'vitest';
import { hasSysAdmin, wayOf } from './privileges.ts';

const status = (effective: string): string =>
  `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\nCapBnd:\t0\n`;

test.each([
  ['000001ffffffffff', true],
  ['0000000000200000', true],
  ['000001ffffdfffff', false],
  ['00000000a80425fb', false],
  ['0000000000000000', false],
])('of the effective capabilities %s CAP_SYS_ADMIN is one: %s', (effective, expected) => {
  expect(hasSysAdmin(status(effective))).toBe(expected);
});

test('a process that may mount goes the direct way, one that may not goes through a user namespace, and never twice', () => {
  expect(wayOf(status('0000000000200000'), {})).toBe('direct');
  expect(wayOf(status('00000000000000c0'), {})).toBe('user namespace');
  expect(wayOf(status('00000000000000c0'), { _CONTAINERS_USERNS_CONFIGURED: 'done' })).toBe('direct');
  expect(wayOf('', {})).toBe('user namespace');
});
