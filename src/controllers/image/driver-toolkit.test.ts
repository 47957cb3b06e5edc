import { describe, expect, it } from 'vitest';
import { driverToolkitFor, trimDriverToolkit } from './driver-toolkit.ts';

const RHCOS = (version: string): string => `Red Hat Enterprise Linux CoreOS ${version} (Plow)`;
const tag = (name: string, image: string, kind = 'DockerImage') => ({ name, from: { kind, name: image } });

const toolkit = trimDriverToolkit({
  metadata: { name: 'driver-toolkit', namespace: 'openshift' },
  spec: {
    tags: [
      tag('latest', '418.94.202501221327-0', 'ImageStreamTag'),
      tag('418.94.202501221327-0', 'quay.test/dtk@sha256:a'),
      tag('9.6.20250701-0', 'quay.test/dtk@sha256:b'),
    ],
  },
});

describe('the driver toolkit', () => {
  it.each([
    ['418.94.202501221327-0', 'quay.test/dtk@sha256:a'],
    ['9.6.20250701-0', 'quay.test/dtk@sha256:b'],
  ])('of nodes with RHEL CoreOS %s is the image of that tag', (version, image) => {
    expect(driverToolkitFor(toolkit, [RHCOS(version), RHCOS(version)])).toEqual({ ok: true, image });
  });

  it('of a kernel that two versions have is that of either, the same one each time', () => {
    const images = [RHCOS('9.6.20250701-0'), RHCOS('418.94.202501221327-0')];
    expect(driverToolkitFor(toolkit, images)).toEqual(driverToolkitFor(toolkit, images.toReversed()));
    expect(driverToolkitFor(toolkit, [RHCOS('1.1.1-1'), RHCOS('9.6.20250701-0')])).toMatchObject({ ok: true });
  });

  it.each([
    ['no tag fits', toolkit, [RHCOS('419.1.1-0')], 'has no tag 419.1.1-0'],
    ['no ImageStream is there', undefined, [RHCOS('419.1.1-0')], 'there is no ImageStream driver-toolkit'],
    ['the system is another', toolkit, ['Debian GNU/Linux 13'], 'runs Debian GNU/Linux 13'],
    ['nothing is known of it', toolkit, [''], 'runs no operating system'],
  ])('is missing with a sentence that says what to do where %s', (_what, stream, osImages, words) => {
    const found = driverToolkitFor(stream, osImages);
    expect(found).toMatchObject({ ok: false, problem: expect.stringContaining(words) });
    expect(found).toMatchObject({ problem: expect.stringContaining('build.buildArgs') });
  });
});
