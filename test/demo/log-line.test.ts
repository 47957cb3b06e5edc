import { expect, it } from 'vitest';

import { readableLogLine } from './log-line.ts';

it('a line of the log is told with its time, message, error and what it is about', () => {
  const line = {
    level: 'error',
    time: '2026-11-24T11:38:13.166Z',
    controller: 'module',
    name: 'kmod',
    reconcileID: '341d2f06',
    failures: 13,
    err: { type: 'AggregateError', message: 'delete pods default/x: forbidden', stack: 'AggregateError: ...' },
    msg: 'reconcile failed',
  };
  expect(readableLogLine(JSON.stringify(line))).toBe(
    '11:38:13.166 error: reconcile failed: delete pods default/x: forbidden controller=module name=kmod failures=13',
  );
});

it('a line that is no JSON stays as it is, and a long one is cut', () => {
  expect(readableLogLine('Error: broken')).toBe('Error: broken');
  expect(readableLogLine('{"level":"in')).toBe('{"level":"in');
  expect(readableLogLine('x'.repeat(1_000))).toHaveLength(300);
});
