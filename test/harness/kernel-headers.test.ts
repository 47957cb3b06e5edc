import { describe, expect, it } from 'vitest';

import { newestTwo } from './kernel-headers.ts';

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
