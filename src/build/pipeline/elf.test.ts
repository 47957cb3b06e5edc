import { describe, expect, it } from 'vitest';

import { readElfHeader } from './elf.ts';

function header(machine: number, options: { bits?: 32 | 64; order?: 'little' | 'big'; type?: number } = {}): Buffer {
  const { bits = 64, order = 'little', type = 1 } = options;
  const bytes = Buffer.alloc(64);
  bytes.write('\x7fELF', 'latin1');
  bytes[4] = bits === 64 ? 2 : 1;
  bytes[5] = order === 'little' ? 1 : 2;
  if (order === 'little') bytes.writeUInt16LE(type, 16);
  else bytes.writeUInt16BE(type, 16);
  if (order === 'little') bytes.writeUInt16LE(machine, 18);
  else bytes.writeUInt16BE(machine, 18);
  return bytes;
}

describe('the head of an ELF file', () => {
  it.each([
    ['amd64', header(62)],
    ['arm64', header(183)],
    ['386', header(3, { bits: 32 })],
    ['arm', header(40, { bits: 32 })],
    ['ppc64le', header(21)],
    ['ppc64', header(21, { order: 'big' })],
    ['s390x', header(22, { order: 'big' })],
    ['riscv64', header(243)],
    ['loong64', header(258)],
    ['mips64le', header(8)],
    ['mips', header(8, { bits: 32, order: 'big' })],
    ['unknown (9999)', header(9999)],
  ])('is of %s', (arch, bytes) => {
    expect(readElfHeader(bytes)).toEqual({ arch, relocatable: true });
  });

  it('of a program is not relocatable', () => {
    expect(readElfHeader(header(62, { type: 2 }))?.relocatable).toBe(false);
  });

  it.each([
    ['a text', Buffer.from('#!/bin/sh\n'.repeat(9))],
    ['nothing', Buffer.alloc(0)],
    ['a cut head', header(62).subarray(0, 19)],
  ])('is not in %s', (_what, bytes) => {
    expect(readElfHeader(bytes)).toBeUndefined();
  });
});
