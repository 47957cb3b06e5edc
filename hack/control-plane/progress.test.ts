import { expect, test } from 'vitest';

import { duration, Progress } from './progress.ts';

function recorder(isTTY: boolean) {
  const written: string[] = [];
  let now = 0;
  const progress = new Progress({ isTTY, columns: 60, write: (text) => written.push(text) }, () => now);
  return { progress, written, pass: (milliseconds: number) => (now += milliseconds) };
}

test('without a terminal each step is a plain line at its start and its end', () => {
  const { progress, written, pass } = recorder(false);
  progress.start('etcd');
  pass(30_000);
  progress.tick();
  pass(11_000);
  progress.start('kwok');
  progress.done();
  expect(written).toEqual([
    'etcd ...\n',
    'etcd: still at it after 30 s\n',
    'etcd: done in 41 s\n',
    'kwok ...\n',
    'kwok: done in 0 s\n',
  ]);
});

test('on a terminal one line is drawn again and again, and never wraps', () => {
  const { progress, written, pass } = recorder(true);
  progress.start('a step whose name is far longer than the line of this terminal is');
  pass(1_000);
  progress.tick();
  progress.abandon();
  const erase = '\r\u001b[K';
  expect(written).toHaveLength(3);
  for (const text of written.slice(0, 2)) {
    expect(text.startsWith(erase)).toBe(true);
    expect(text.slice(erase.length).length).toBeLessThan(60);
  }
});

test.each([
  [900, '1 s'],
  [59_000, '59 s'],
  [365_000, '6 min 5 s'],
])('%d ms read as %s', (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});
