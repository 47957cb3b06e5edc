import { describe, expect, it } from 'vitest';

import type { KernelModule } from './kernel-module.ts';
import { problemOfImage, problemOfSignatures } from './verify-plan.ts';

const KERNEL = '6.1.0-56-cloud-amd64';
const wanted = { kernel: KERNEL, arch: 'amd64' };

function aModule(changes: Partial<KernelModule> = {}): KernelModule {
  const kernel = changes.kernel ?? KERNEL;
  return {
    kind: 'module',
    path: `/opt/lib/modules/${kernel}/hello.ko`,
    arch: 'amd64',
    kernel,
    vermagic: `${kernel} SMP`,
    signed: false,
    ...changes,
  };
}

const hidden = `/lib/modules/${KERNEL}/hello.ko`;

describe('an image', () => {
  it.each([
    ['the module', [aModule()]],
    ['the module twice, once where nobody sees it', [aModule({ path: hidden }), aModule()]],
    [
      'modules for other kernels and architectures too',
      [aModule({ kernel: '5.10.0' }), aModule({ arch: 'arm64' }), aModule()],
    ],
    ['the module in a folder whose name begins alike', [aModule({ path: '/lib/modules-extra/hello.ko' })]],
  ])('with %s is good', (_what, files) => {
    expect(problemOfImage(files, wanted)).toBeUndefined();
  });

  it.each([
    ['no module', [], `The image has no kernel module (*.ko, *.ko.xz, *.ko.zst, *.ko.gz) for kernel ${KERNEL}.`],
    [
      'no module behind a module’s name',
      [{ kind: 'other' as const, path: '/opt/a.ko', problem: 'is no kernel module' }],
      '/opt/a.ko is no kernel module.',
    ],
    [
      'another kernel’s module',
      [aModule({ kernel: '6.1.0-50' })],
      `no module for kernel ${KERNEL}: it has /opt/lib/modules/6.1.0-50/hello.ko for 6.1.0-50.`,
    ],
    [
      'a kernel’s module whose release only begins alike',
      [aModule({ kernel: `${KERNEL}-x` })],
      `no module for kernel ${KERNEL}:`,
    ],
    [
      'another architecture’s module',
      [aModule({ arch: 'arm64' })],
      `no module for amd64, the architecture of the nodes: it has /opt/lib/modules/${KERNEL}/hello.ko for arm64.`,
    ],
    [
      'another architecture’s module, and another kernel’s',
      [aModule({ arch: 'arm64' }), aModule({ kernel: '5.10.0' })],
      'no module for amd64',
    ],
    [
      'the module in /lib/modules only',
      [aModule({ path: hidden })],
      `only where the loader cannot see it, because the node’s own modules are mounted there: ${hidden}.`,
    ],
    [
      'the module in /usr/lib/modules only',
      [aModule({ path: `/usr${hidden}` }), aModule({ kernel: '5.10.0' })],
      `are mounted there: /usr${hidden}.`,
    ],
  ])('with %s says what it has instead', (_what, files, sentence) => {
    expect(problemOfImage(files, wanted)).toContain(sentence);
  });

  it('with many wrong modules names five', () => {
    const files = Array.from({ length: 9 }, (_, index) => aModule({ kernel: `5.${index}` }));
    expect(problemOfImage(files, wanted)).toMatch(/5\.4 and 4 more\./);
  });
});

describe('signatures', () => {
  const signer = { serial: '1AB', commonName: 'Acme' };
  const good = aModule({ signed: true, signer: 'Acme', sigKey: '01:AB' });

  it('of the certificate are good, with or without a common name in it', () => {
    expect(problemOfSignatures([good], signer)).toBeUndefined();
    expect(problemOfSignatures([good], { serial: '1AB' })).toBeUndefined();
    expect(problemOfSignatures([], signer)).toBeUndefined();
  });

  it.each([
    ['a module without one', aModule({ path: '/opt/b.ko' }), '/opt/b.ko is not signed'],
    [
      'a module with another key',
      { ...good, path: '/opt/b.ko', sigKey: '02:AB' },
      '/opt/b.ko is signed by Acme (02:AB)',
    ],
    [
      'a module with another signer',
      { ...good, path: '/opt/b.ko', signer: 'Mallory' },
      '/opt/b.ko is signed by Mallory (01:AB)',
    ],
    [
      'a file that is no module',
      { kind: 'other' as const, path: '/opt/b.ko', problem: 'is broken' },
      '/opt/b.ko is broken',
    ],
  ])('are not good with %s', (_what, file, sentence) => {
    expect(problemOfSignatures([good, file], signer)).toContain(`serial number 1AB): ${sentence}.`);
  });
});
