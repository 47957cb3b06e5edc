import { describe, expect, it } from 'vitest';

import { describeRefs, findRef, isRefName, parseLsRemote, wantedRefs } from './git-ref.ts';

const id = (digit: string) => digit.repeat(40);

describe('a ref', () => {
  const refs = parseLsRemote(
    [
      `${id('1')}\tHEAD`,
      `${id('2')}\trefs/heads/main`,
      `${id('3')}\trefs/heads/v1`,
      `${id('4')}\trefs/tags/v1`,
      `${id('5')}\trefs/tags/v2`,
      `${id('6')}\trefs/tags/v2^{}`,
      `${id('7')}\trefs/heads/odd/refs/heads/other`,
      `${id('8')}\trefs/heads/${id('b')}`,
      'no line of a list',
      '',
    ].join('\n'),
  );

  it.each([
    ['no ref', undefined, id('1'), 'HEAD'],
    ['a branch', 'main', id('2'), 'refs/heads/main'],
    ['a branch before a tag of its name', 'v1', id('3'), 'refs/heads/v1'],
    ['the commit of an annotated tag', 'v2', id('6'), 'refs/tags/v2'],
    ['a full name', 'refs/tags/v1', id('4'), 'refs/tags/v1'],
    ['the commit of a full name', 'refs/tags/v2', id('6'), 'refs/tags/v2'],
    ['a commit', id('a'), id('a'), undefined],
    ['a commit in capitals', id('A'), id('a'), undefined],
    ['a SHA-256 commit', 'a'.repeat(64), 'a'.repeat(64), undefined],
    ['a branch that is called like a commit', id('b'), id('8'), `refs/heads/${id('b')}`],
  ])('is %s', (_what, ref, commit, name) => {
    expect(findRef(ref, refs)).toEqual({ kind: 'found', commit, ref: name });
  });

  it.each(['other', 'abcdef1', 'v2^{}', 'a'.repeat(41)])('%s is missing', (ref) => {
    expect(findRef(ref, refs)).toEqual({ kind: 'missing' });
  });
});

describe('the name of a ref', () => {
  it.each(['main', 'feature/x', 'v1.2.3', 'refs/pull/1/head', 'a'.repeat(40), 'größe', 'a-b', 'a@b'])(
    'can be %s',
    (ref) => {
      expect(isRefName(ref)).toBe(true);
    },
  );

  it.each([
    '-upload-pack',
    '--x',
    'a b',
    'a..b',
    'a~1',
    'a^',
    'a:b',
    'a*',
    'a?',
    '[a',
    'a\\b',
    '@',
    '@{1}',
    '/a',
    'a/',
    'a//b',
    'a.',
    '.a',
    'a/.b',
    'a.lock',
    'a\n',
  ])('cannot be %j', (ref) => {
    expect(isRefName(ref)).toBe(false);
  });
});

it('asks for a branch, a tag and what the tag points to', () => {
  expect(wantedRefs('v1')).toEqual(['refs/heads/v1', 'refs/tags/v1', 'refs/tags/v1^{}']);
  expect(wantedRefs(undefined)).toEqual(['HEAD']);
});

it('names at most ten branches and ten tags', () => {
  const refs = Array.from({ length: 12 }, (_, index) => ({ commit: id('1'), name: `refs/heads/b${index}` }));
  expect(describeRefs(refs)).toBe('branches: b0, b1, b2, b3, b4, b5, b6, b7, b8, b9 and 2 more');
  expect(describeRefs([{ commit: id('1'), name: 'refs/tags/v1' }])).toBe('tags: v1');
  expect(describeRefs([])).toBe('no branch and no tag');
});
