import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shellWord } from '../kernel/shell-word.ts';
import { LOCKED_IMAGES, type LockedImage } from './image-lock.ts';
import { mirrorScript, pushTargetProblem } from './image-mirror.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const OURS: LockedImage = { name: 'builder', repository: 'kmm-builder', tag: '1.0', use: 'builds' };
const RELEASED: LockedImage = { ...OURS, repository: 'registry.test/kmm/kmm-builder', digest: DIGEST };

describe('a target of copies', () => {
  it.each(['registry.example.com', 'registry.example.com:5000/kmm/x', 'localhost/kmm', '[::1]:5000/kmm'])(
    'may be %s',
    (target) => {
      expect(pushTargetProblem(target)).toBeUndefined();
    },
  );

  it.each<[string, RegExp]>([
    ['', /is not HOST/],
    ['mirror', /begins with no registry/],
    ['kmm/mirror', /begins with no registry/],
    ['https://registry.example.com', /begins with a scheme/],
    ['registry.example.com/Kmm', /lower case/],
    ['user:password@registry.example.com', /credentials/],
    ['registry.example.com/x;reboot', /is not HOST/],
    ['registry.example.com/$(reboot)', /is not HOST/],
    ['registry.example.com/a b', /white space/],
    ['-registry.example.com', /is not HOST/],
  ])('may not be %j', (target, problem) => {
    expect(pushTargetProblem(target)).toMatch(problem);
  });

  it('has nothing that means something to a shell, whatever was written', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const target = `registry.example/${text}`;
        if (pushTargetProblem(target) === undefined) expect(target).toMatch(/^[A-Za-z0-9./:_[\]-]+$/);
      }),
    );
  });
});

describe('the script that copies', () => {
  it('copies what is released by digest, and names it by tag: skopeo takes no reference with both', () => {
    expect(mirrorScript([RELEASED], 'mirror.test:5000/kmm', '1.0')).toContain(
      `\nskopeo copy --all --preserve-digests 'docker://registry.test/kmm/kmm-builder@${DIGEST}' 'docker://mirror.test:5000/kmm/kmm-builder:1.0'\n`,
    );
  });

  it('copies nothing that is in no registry yet, and says how it gets there', () => {
    const script = mirrorScript([OURS], 'mirror.test', '1.0');
    expect(script).not.toMatch(/^skopeo/m);
    expect(script).toContain("#   make images ARGS='--push mirror.test'");
  });

  it('says what to set afterwards', () => {
    expect(mirrorScript([OURS], 'mirror.test', '1.0')).toContain('--builder-image=mirror.test/kmm-builder:1.0');
  });

  it('is one that a shell can read, with one command for each published image', () => {
    const script = mirrorScript(LOCKED_IMAGES, 'mirror.test/kmm', '1.0');
    const printed = execFileSync('sh', [], {
      input: `skopeo() { printf '%s|' "$@"; echo; }\n${script}`,
      encoding: 'utf8',
    });
    const commands = printed.split('\n').filter(Boolean);
    expect(commands).toHaveLength(LOCKED_IMAGES.filter(({ repository }) => repository.includes('/')).length);
    for (const command of commands)
      expect(command).toMatch(/^copy\|--all\|.*docker:\/\/[^|]+\|docker:\/\/mirror\.test\/kmm\/[^|]+\|$/);
  });

  it('ends with the failure of the first copy that fails', () => {
    const script = mirrorScript([RELEASED, { ...RELEASED, tag: '2.0' }], 'mirror.test', '1.0');
    const { status, stdout } = spawnSync('sh', [], {
      input: `tries=0\nskopeo() { tries=$((tries + 1)); echo "try $tries"; [ $tries -gt 1 ] || return 3; }\n${script}`,
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 3, stdout: 'try 1\n' });
  });

  it('quotes whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40 }).filter((text) => !text.includes('\0')),
        (text) => {
          expect(execFileSync('sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).toBe(text);
        },
      ),
      { numRuns: 30 },
    );
  });
});
