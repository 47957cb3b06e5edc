import { expect, test } from 'vitest';

import { countVitest, formatTally, sum } from './tally.ts';

const passing = { status: 'passed', assertionResults: [{ status: 'passed' }] };

test.each([
  {
    name: 'tests are counted one by one',
    report: {
      numPassedTests: 3,
      numFailedTests: 2,
      testResults: [{ status: 'failed', assertionResults: [{ status: 'failed' }] }],
    },
    exitCode: 1,
    tally: { passed: 3, failed: 2 },
  },
  {
    name: 'a file that cannot be loaded is one failure',
    report: {
      numPassedTests: 1,
      numFailedTests: 0,
      testResults: [passing, { status: 'failed', assertionResults: [] }],
    },
    exitCode: 1,
    tally: { passed: 1, failed: 1 },
  },
  {
    name: 'a run that fails although every test passed is one failure',
    report: { numPassedTests: 1, numFailedTests: 0, testResults: [passing] },
    exitCode: 1,
    tally: { passed: 1, failed: 1 },
  },
  {
    name: 'a run that passes has no failure',
    report: { numPassedTests: 1, numFailedTests: 0, testResults: [passing] },
    exitCode: 0,
    tally: { passed: 1, failed: 0 },
  },
])('$name', ({ report, exitCode, tally }) => {
  expect(countVitest(report, exitCode)).toEqual(tally);
});

test('tallies add up to the line that ends a run', () => {
  expect(
    formatTally(
      sum([
        { passed: 1, failed: 0 },
        { passed: 4, failed: 2 },
      ]),
    ),
  ).toBe('5 passed, 2 failed');
});
