import { expect, it } from 'vitest';

import { Narrator, StoryEnded, seconds } from './narrator.ts';
import { plainText } from './paint.ts';
import type { Screen } from './screen.ts';

function aNarrator(log: readonly string[] = []) {
  const told: string[] = [];
  const screen: Screen = {
    live: false,
    print: (line) => told.push(plainText(line)),
    show: () => undefined,
    refresh: () => undefined,
    close: () => undefined,
  };
  const clock = { now: 0 };
  const narrator = new Narrator({ screen, operatorLog: async () => log, now: () => clock.now });
  return { narrator, told, clock };
}

it('what came true is told with the time it took, and counted', async () => {
  const { narrator, told, clock } = aNarrator();
  narrator.step('A step');
  await narrator.expect('it rains', async () => {
    expect(plainText(narrator.waitingLine)).toBe('    … 0.0 s  it rains');
    clock.now = 1_234;
    return undefined;
  });
  await narrator.fact('the street is wet', undefined);
  expect(told).toEqual(['', ' 1. A step', '    ✓ it rains (1.23 s)', '    ✓ the street is wet']);
  expect(narrator.waitingLine).toEqual([]);
  expect(narrator.tally).toEqual({ passed: 2, failed: 0 });
});

it('what did not come true ends the story, with what was found and the last words of the operator', async () => {
  const { narrator, told } = aNarrator(['{"msg":"starting"}']);
  await expect(narrator.expect('it rains', async () => 'the sun shines\nand how')).rejects.toThrow(StoryEnded);
  expect(told).toEqual([
    '    ✗ it rains (at once)',
    '      expected: it rains',
    '      found:    the sun shines',
    '                and how',
    "      the operator's last words:",
    '        {"msg":"starting"}',
  ]);
  expect(narrator.tally).toEqual({ passed: 0, failed: 1 });
});

it('a fact that is not so is counted, and the story goes on', async () => {
  const { narrator } = aNarrator();
  await narrator.fact('it rains', 'the sun shines');
  await narrator.fact('it is day', undefined);
  expect(narrator.tally).toEqual({ passed: 1, failed: 1 });
});

it('an error while waiting is the caller’s, and nothing is awaited any more', async () => {
  const { narrator } = aNarrator();
  await expect(narrator.expect('it rains', () => Promise.reject(new Error('no sky')))).rejects.toThrow('no sky');
  expect(narrator.waitingLine).toEqual([]);
  expect(narrator.tally).toEqual({ passed: 0, failed: 0 });
});

it.each([
  [0, 'at once'],
  [9.9, 'at once'],
  [240, '0.24 s'],
  [12_340, '12.3 s'],
])('%d ms are told as %s', (milliseconds, text) => {
  expect(seconds(milliseconds)).toBe(text);
});
