import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { filesOfGlob } from './globs.ts';
import { resolveInRoot } from './root-path.ts';

let folder: string;
let root: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmm-globs-'));
  root = join(folder, 'root');
  const files = [
    'opt/a.ko',
    'opt/b.txt',
    'opt/one/a1.ko',
    'opt/one/deep/er/x.ko.xz',
    'opt/.hidden/h.ko',
    'usr/lib/modules/6.1.0+x/extra/m.ko',
    'proc/p.ko',
    'srv/[x]/y.ko',
  ];
  for (const file of [...files, '../outside/secret.ko']) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), '');
  }
  const links = {
    lib: 'usr/lib',
    'opt/absolute.ko': '/opt/one/a1.ko',
    'opt/alias': 'one/a1.ko',
    'opt/above': '../../../../../../opt/one',
    'opt/out': join(folder, 'outside'),
    'opt/out.ko': join(folder, 'outside', 'secret.ko'),
    'opt/relative-out.ko': '../../outside/secret.ko',
    'opt/loop': 'loop',
    'opt/circle': '/opt',
    'opt/dangling.ko': 'nothing',
  };
  for (const [link, target] of Object.entries(links)) await symlink(target, join(root, link));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const find = (glob: string, hidden = false) =>
  filesOfGlob(root, glob, { hidden, signal: new AbortController().signal });

describe('a glob', () => {
  it.each<readonly [string, readonly string[]]>([
    ['/opt/a.ko', ['/opt/a.ko']],
    ['//opt/./a.ko', ['/opt/a.ko']],
    ['/opt/*.ko', ['/opt/a.ko', '/opt/one/a1.ko']],
    ['/opt/?.ko', ['/opt/a.ko']],
    ['/opt/[ab].{ko,txt}', ['/opt/a.ko', '/opt/b.txt']],
    ['/opt/**/*.ko', ['/opt/a.ko', '/opt/one/a1.ko']],
    ['/opt/**/*.ko*', ['/opt/a.ko', '/opt/one/a1.ko', '/opt/one/deep/er/x.ko.xz']],
    ['/opt/one/**', ['/opt/one/a1.ko', '/opt/one/deep/er/x.ko.xz']],
    ['/opt/**/er/**/*.xz', ['/opt/one/deep/er/x.ko.xz']],
    ['/lib/modules/**/*.ko', ['/usr/lib/modules/6.1.0+x/extra/m.ko']],
    ['/lib/modules/6.1.0+x/*/m.ko', ['/usr/lib/modules/6.1.0+x/extra/m.ko']],
    ['/l*/modules/*/extra/*.ko', ['/usr/lib/modules/6.1.0+x/extra/m.ko']],
    ['/opt/above/*.ko', ['/opt/one/a1.ko']],
    ['/opt/circle/circle/circle/a.ko', ['/opt/a.ko']],
    ['/srv/[[]x]/*.ko', ['/srv/[x]/y.ko']],
    ['/opt/.hidden/*.ko', ['/opt/.hidden/h.ko']],
    ['/opt', []],
    ['/opt/nothing/*.ko', []],
    ['/opt/loop/*.ko', []],
    ['/opt/a.ko/*', []],
    ['/proc/*.ko', []],
    ['/**/p.ko', []],
  ])('%s names %j', async (glob, files) => {
    expect(await find(glob)).toEqual(files);
  });

  it('never leads out of the root, by whatever link', async () => {
    for (const glob of ['/opt/out/*.ko', '/opt/out.ko', '/opt/relative-out.ko', '/**/secret.ko', '/opt/o*/*']) {
      expect((await find(glob)).filter((path) => path.includes('secret'))).toEqual([]);
    }
  });

  it('names files of the wanted names alone, and what a link of another name leads to', async () => {
    const options = { signal: new AbortController().signal, named: /\.ko$/ };
    expect(await filesOfGlob(root, '/opt/*', options)).toEqual(['/opt/a.ko', '/opt/one/a1.ko']);
    expect(await filesOfGlob(root, '/opt/alias', options)).toEqual(['/opt/one/a1.ko']);
    expect(await filesOfGlob(root, '/opt/b.txt', options)).toEqual([]);
  });

  it('names hidden files where that is asked for', async () => {
    expect(await find('/opt/**/*', true)).toContain('/opt/.hidden/h.ko');
  });

  it.each(['opt/*.ko', '/opt/../etc/*', '/opt/{a,b/c}.ko'])('%s is refused', async (glob) => {
    await expect(find(glob)).rejects.toThrow(`The glob ${glob}`);
  });

  it('that goes through too many files is refused', async () => {
    const options = { signal: new AbortController().signal, mostEntries: 5 };
    await expect(filesOfGlob(root, '/**/*.ko', options)).rejects.toThrow('too many files');
  });

  it('ends when the build is cancelled', async () => {
    await expect(filesOfGlob(root, '/**/*.ko', { signal: AbortSignal.abort(new Error('cancelled')) })).rejects.toThrow(
      'cancelled',
    );
  });
});

describe('a path in a root folder', () => {
  it.each([
    ['/', '/'],
    ['/lib/modules', '/usr/lib/modules'],
    ['/../../opt/./one/..', '/opt'],
    ['/opt/absolute.ko', '/opt/one/a1.ko'],
    ['/opt/above/a1.ko', '/opt/one/a1.ko'],
    ['/opt/out.ko', undefined],
    ['/opt/relative-out.ko', undefined],
    ['/opt/loop', undefined],
    ['/opt/a.ko/b', undefined],
  ])('%s is %s', async (path, real) => {
    expect(await resolveInRoot(root, path)).toBe(real);
  });
});
