import { expect, test } from 'vitest';
import { matchesLabels } from './selectors.ts';

test.each<[string, Record<string, string>, Record<string, string>, boolean]>([
  ['an empty selector matches everything', {}, {}, true],
  ['an empty selector matches labels too', {}, { a: '1' }, true],
  ['more labels than the selector names are fine', { a: '1' }, { a: '1', b: '2' }, true],
  ['every pair must be there', { a: '1', b: '2' }, { a: '1' }, false],
  ['another value does not match', { a: '1' }, { a: '2' }, false],
  ['an empty value must be there and empty', { a: '' }, {}, false],
  ['an empty value matches an empty value', { a: '' }, { a: '' }, true],
  ['what every object inherits is no label', { constructor: 'x' }, {}, false],
])('%s', (_, selector, labels, matches) => {
  expect(matchesLabels(selector, labels)).toBe(matches);
});
