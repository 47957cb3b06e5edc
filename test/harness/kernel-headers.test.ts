import { describe, expect, it } from 'vitest';

import { newestSeries, newestTwo } from './kernel-headers.ts';

const arch = process.arch === 'x64' ? 'amd64' : process.arch;
const header = (version: string, flavour = `cloud-${arch}`) => `linux-headers-${version}-${flavour}`;
const meta = (version: string) => `linux-headers-cloud-${arch}\n  Depends: ${header(version)}\n`;

describe('the two kernels that tests compile for', () => {
  it('are the two newest of the series that the distribution itself has, by number and not by letter', () => {
    const packages = ['6.1.0-9', '6.1.0-56', '6.1.0-100', '6.12.115+deb12'].map((version) => header(version));
    const others = [header('6.1.0-101', 'rt-amd64'), 'linux-headers-6.1.0-100-common', ''];
    expect(newestTwo([...packages, ...others], meta('6.1.0-100'))).toEqual([
      `6.1.0-100-cloud-${arch}`,
      `6.1.0-56-cloud-${arch}`,
    ]);
  });

  it('are an error that says what to do where there is one only', () => {
    expect(() => newestTwo([header('6.1.0-56')], meta('6.1.0-56'))).toThrow('apt-get update');
    expect(() => newestTwo([], '')).toThrow('apt-get update');
  });
});

describe('the newest kernel that there is', () => {
  it('is of the latest series that has packages, by number', () => {
    const metas = [
      'linux-headers-6.1-cloud-',
      'linux-headers-6.9-cloud-',
      'linux-headers-6.12-cloud-',
      'linux-headers-cloud-',
    ];
    const others = [header('6.13.0'), `linux-headers-6.13-rt-${arch}`, ''];
    expect(newestSeries([...metas.map((name) => `${name}${arch}`), ...others])).toBe(
      `linux-headers-6.12-cloud-${arch}`,
    );
  });

  it('is the distribution’s own where there is no other series', () => {
    expect(newestSeries([`linux-headers-cloud-${arch}`])).toBe(`linux-headers-cloud-${arch}`);
  });
});
