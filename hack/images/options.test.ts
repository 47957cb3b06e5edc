import { describe, expect, it } from 'vitest';
import { readImagesCommandLine } from './options.ts';

const NOTHING = {
  images: ['operator', 'builder'],
  publicBase: false,
  freshBase: false,
  push: undefined,
  insecure: false,
  source: undefined,
  noExport: false,
};

describe('make images', () => {
  it.each<[string, object]>([
    ['', {}],
    ['--only builder', { images: ['builder'] }],
    ['--push registry.example.com/kmm/', { push: 'registry.example.com/kmm' }],
    ['--push localhost:5000 --insecure', { push: 'localhost:5000', insecure: true }],
    ['--public-base --source https://example.com/kmm', { publicBase: true, source: 'https://example.com/kmm' }],
    ['--no-export --fresh-base', { noExport: true, freshBase: true }],
  ])('reads %s', (words, expected) => {
    expect(readImagesCommandLine(words.split(' ').filter(Boolean))).toEqual({
      kind: 'run',
      options: { ...NOTHING, ...expected },
    });
  });

  it.each<[string, RegExp]>([
    ['--only worker', /--only: "worker" is none of operator, builder/],
    ['--push https://registry.example.com', /--push: .*begins with a scheme/],
    ['--push mirror', /begins with no registry/],
    ['--push a.example --no-export', /exclude each other/],
    ['--frob', /--frob/],
    ['builder', /builder/],
  ])('refuses %s', (words, problem) => {
    expect(readImagesCommandLine(words.split(' '))).toEqual({
      kind: 'refused',
      problem: expect.stringMatching(problem),
    });
  });
});
