import { expect, test } from 'vitest';
import { planSecrets } from './build-secrets.ts';

const SECRETS = [
  { name: 'one', keys: ['password'] },
  { name: 'two', keys: ['a', 'b'] },
];

test('a Secret of one key has its name as id, one of several an id for each, and each key is a file of every RUN', () => {
  const { ids, paths } = planSecrets(SECRETS, new Set());
  expect([...ids]).toEqual([
    ['one', ['one', 'password']],
    ['two.a', ['two', 'a']],
    ['two.b', ['two', 'b']],
  ]);
  expect([...paths.keys()]).toEqual(['one/password', 'two/a', 'two/b']);
});

test('an id that a RUN takes at its own place is a file there, and then no folder', () => {
  const { paths } = planSecrets(SECRETS, new Set(['one', 'two.a', 'unknown']));
  expect([...paths]).toEqual([
    ['one', ['one', 'password']],
    ['two.a', ['two', 'a']],
    ['two/a', ['two', 'a']],
    ['two/b', ['two', 'b']],
  ]);
});
