import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES } from '../../test/harness/real-releases.ts';
import { kernelNumbers } from './release.ts';

describe('kernelNumbers', () => {
  it.each([
    ['5.16.11-200.fc35.x86_64', '5.16.11'],
    ['6.12.0-0.rc1.20240930git9852d85ec9d4.17.fc42.x86_64', '6.12.0'],
    ['4.18.0-372.9.1.rt7.166.el8.x86_64', '4.18.0'],
    ['5.14.0-427.13.1.el9_4.aarch64+64k', '5.14.0'],
    ['5.4.0-1054-gke', '5.4.0'],
    ['6.12.22+bpo-amd64', '6.12.22'],
    ['4.14.336-253.554.amzn2.x86_64', '4.14.336'],
    ['5.10.162+', '5.10.162'],
    ['6.6.30-flatcar', '6.6.30'],
    ['6.1.69-talos', '6.1.69'],
    // Four numbers: a vendor's own counter follows the kernel's three.
    ['5.15.133.1-microsoft-standard-WSL2', '5.15.133'],
    ['6.5.0-local~1', '6.5.0'],
  ])('takes %s for %s', (release, xyz) => {
    const [x, y, z] = xyz.split('.');
    expect(kernelNumbers(release)).toEqual({ xyz, x, y, z });
  });

  it.each(['6.13-rc7-amd64', '6.13', '6.13+', '6.13.rc7'])('takes %s for the first kernel of its series', (release) => {
    expect(kernelNumbers(release)).toEqual({ xyz: '6.13.0', x: '6', y: '13', z: '0' });
  });

  it.each(['', 'custom', 'my kernel 6', 'v6.1.0', '6', '6-1-0', '.6.1', 'linux-6.1.0', ' 6.1.0', '６.１.０'])(
    'finds none in "%s"',
    (release) => {
      expect(kernelNumbers(release)).toBeUndefined();
    },
  );

  it('finds them in every release of a distribution', () => {
    expect(ALL_RELEASES.filter((release) => kernelNumbers(release) === undefined)).toEqual(['custom', 'my kernel 6']);
  });

  it('gives back the numbers a release was made of, whatever follows', () => {
    const number = fc.nat(99_999).map(String);
    fc.assert(
      fc.property(number, number, number, fc.stringMatching(/^([-+.~_][ -~]*)?$/), (x, y, z, rest) => {
        expect(kernelNumbers(`${x}.${y}.${z}${rest}`)).toEqual({ xyz: `${x}.${y}.${z}`, x, y, z });
      }),
    );
  });
});
