import { describe, expect, it } from 'vitest';
import { imageLockFile } from './image-lock.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const entry = (changes: object = {}) =>
  JSON.stringify({ images: [{ name: 'builder', repository: 'kmm-builder', tag: '1', use: 'builds', ...changes }] });

describe('images.lock', () => {
  it('becomes what the program imports', () => {
    const { path, content } = imageLockFile(entry({ digest: DIGEST }));
    expect(path).toBe('src/commands/image-lock.gen.json');
    expect(JSON.parse(content)).toEqual({
      images: [{ name: 'builder', repository: 'kmm-builder', tag: '1', digest: DIGEST, use: 'builds' }],
    });
  });

  it.each<[string, string, RegExp]>([
    ['no list', 'a: 1', /no list/],
    ['a tag that is a number', entry({ tag: 3 }), /image 1: `repository` and `tag` are to be texts/],
    ['a repository that is none', entry({ repository: 'Kmm' }), /lower case/],
    ['half a digest', entry({ digest: 'sha256:ab' }), /`digest` is to be/],
    ['a field that is not known', entry({ digset: DIGEST }), /"digset" is not known/],
    ['no use', entry({ use: '' }), /`use`/],
    ['a name with a space', entry({ name: 'a b' }), /`name`/],
    [
      'a name twice',
      JSON.stringify({ images: [1, 2].map(() => ({ name: 'a', repository: 'a', tag: '1', use: 'b' })) }),
      /two images a/,
    ],
  ])('is refused with %s', (_, text, problem) => {
    expect(() => imageLockFile(text)).toThrow(problem);
  });
});
