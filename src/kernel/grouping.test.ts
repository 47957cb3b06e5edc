import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES } from '../../test/harness/real-releases.ts';
import { groupByKernel, kernelKey } from './grouping.ts';
import { labelSafe } from './names.ts';

const LABEL_VALUE = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

const kernels = fc.oneof(
  fc.constantFrom(...ALL_RELEASES),
  fc.stringMatching(/^[a-c+-]{0,4}$/),
  fc.stringMatching(/^[a-z-]{54,70}$/),
  fc.string({ unit: 'binary', maxLength: 70 }),
);
const arches = fc.oneof(
  fc.constantFrom('amd64', 'arm64', '', 'b', 'b-c', 'AMD64'),
  fc.stringMatching(/^[a-c+-]{0,4}$/),
);

describe('kernelKey', () => {
  it.each([
    ['5.4.0-1054-gke', 'amd64', '5.4.0-1054-gke-amd64'],
    ['5.16.11-200.fc35.x86_64', 'amd64', '5.16.11-200.fc35.x86_64-amd64'],
    ['6.1.0+', 'arm64', labelSafe('6.1.0+-arm64')],
    ['k'.repeat(200), 'amd64', labelSafe(`${'k'.repeat(200)}-amd64`)],
  ])('of %s on %s is %s', (kernel, arch, key) => {
    expect(kernelKey(kernel, arch)).toBe(key);
  });

  it('tells pairs apart that read the same', () => {
    expect(kernelKey('6.1-a', 'b')).not.toBe(kernelKey('6.1', 'a-b'));
    expect(kernelKey('6.1+', 'b')).not.toBe(kernelKey('6.1', '+b'));
    expect(kernelKey('6.1-A', 'B')).not.toBe(kernelKey('6.1', 'A-B'));
    expect(kernelKey(`${'k'.repeat(60)}a`, 'B')).not.toBe(kernelKey('k'.repeat(60), 'aB'));
  });

  it('is a label value, and nobody else has it', () => {
    fc.assert(
      fc.property(kernels, arches, kernels, arches, (kernel, arch, otherKernel, otherArch) => {
        expect(kernelKey(kernel, arch)).toMatch(LABEL_VALUE);
        fc.pre(kernel !== otherKernel || arch !== otherArch);
        expect(kernelKey(kernel, arch)).not.toBe(kernelKey(otherKernel, otherArch));
      }),
      { numRuns: 2_000 },
    );
  });

  it('stays the same when more kernels were seen than are remembered', () => {
    const before = ALL_RELEASES.map((release) => kernelKey(release, 'amd64'));
    for (let index = 0; index < 5_000; index++) {
      expect(kernelKey(`6.1.${index}`, 'amd64')).toBe(`6.1.${index}-amd64`);
      expect(kernelKey('6.1.0', `arch${index}`)).toBe(`6.1.0-arch${index}`);
    }
    expect(ALL_RELEASES.map((release) => kernelKey(release, 'amd64'))).toEqual(before);
  });
});

describe('groupByKernel', () => {
  it('gives one group for each kernel on each architecture', () => {
    const groups = groupByKernel([
      { name: 'c', kernel: '6.1.0', arch: 'arm64' },
      { name: 'b', kernel: '6.1.0', arch: 'amd64' },
      { name: 'd', kernel: '5.4.0', arch: 'amd64' },
      { name: 'a', kernel: '6.1.0', arch: 'amd64' },
    ]);
    expect(groups).toEqual([
      { kernel: '5.4.0', arch: 'amd64', nodes: ['d'] },
      { kernel: '6.1.0', arch: 'amd64', nodes: ['a', 'b'] },
      { kernel: '6.1.0', arch: 'arm64', nodes: ['c'] },
    ]);
  });

  it('gives nothing for no node', () => {
    expect(groupByKernel([])).toEqual([]);
  });

  it('puts each node where it belongs, in whatever order they come', () => {
    const node = fc.record({
      name: fc.string(),
      kernel: fc.constantFrom('5.4.0', '6.1.0', '6.1.0+', '__proto__'),
      arch: fc.constantFrom('amd64', 'arm64'),
    });
    const nodes = fc.uniqueArray(node, { selector: ({ name }) => name });
    fc.assert(
      fc.property(nodes, fc.nat(), (all, turn) => {
        const groups = groupByKernel(all);
        const turned = [...all.slice(turn % (all.length + 1)), ...all.slice(0, turn % (all.length + 1))];
        expect(groupByKernel(turned)).toEqual(groups);
        const back = groups.flatMap(({ kernel, arch, nodes: names }) => names.map((name) => ({ name, kernel, arch })));
        expect(new Set(back.map((each) => JSON.stringify(each)))).toEqual(
          new Set(all.map(({ name, kernel, arch }) => JSON.stringify({ name, kernel, arch }))),
        );
        expect(back.length).toBe(all.length);
      }),
    );
  });
});
