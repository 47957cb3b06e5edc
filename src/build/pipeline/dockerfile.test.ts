import { expect, test } from 'vitest';
import { imagesOf, instructions, secretsAtTheirPlace } from './dockerfile.ts';

test('instructions are lines without comments, joined where they go on', () => {
  expect(instructions('# x\nFROM a\n\nRUN b \\\n  # why\n  c\\\n d\r\nCMD e')).toEqual([
    'FROM a',
    'RUN b    c  d',
    'CMD e',
  ]);
  expect(instructions('# escape=`\nRUN a `\nb')).toEqual(['RUN a  b']);
});

test.each<[string, string, string[]]>([
  ['FROM', 'FROM quay.io/a:1', ['quay.io/a:1']],
  ['FROM of a platform', 'from --platform=linux/amd64 a AS b', ['a']],
  ['nothing, not scratch', 'FROM scratch', []],
  ['nothing, not an earlier stage', 'FROM a AS Build\nFROM build', ['a']],
  [
    'COPY --from',
    'FROM a AS b\nCOPY --from=b /x /y\nCOPY --from=0 /x /y\nCOPY --chown=1 --from=c:1 /x /y',
    ['a', 'c:1'],
  ],
  ['RUN --mount=from', 'FROM a\nRUN --mount=type=bind,from=d:2,target=/x true', ['a', 'd:2']],
  ['an argument with a preset', 'ARG BASE=r.io/b:1\nFROM ${BASE}', ['r.io/b:1']],
  ['an argument that the request gives', 'ARG V="9"\nFROM r.io/b:$V', ['r.io/b:7']],
  ['a preset where it is used', 'FROM r.io/b:${W:-3}', ['r.io/b:3']],
  ['nothing where a value is missing', 'FROM r.io/b:${W}', []],
])('an image comes of %s', (_, text, expected) => {
  expect(imagesOf(text, { V: '7' })).toEqual(expected);
});

test('a secret is at its own place where a RUN names no other', () => {
  const text = [
    'FROM a',
    'RUN --mount=type=secret,id=one true',
    'RUN --mount=type=secret,id=two,target=/etc/two true',
    'RUN --mount=type=cache,id=three true',
    'RUN --mount=type=secret,id=four,dst=/run/secrets/four \\\n  --mount=type=secret,id=five,required=true true',
    'COPY --mount=type=secret,id=six a b',
  ].join('\n');
  expect([...secretsAtTheirPlace(text)]).toEqual(['one', 'four', 'five']);
});
