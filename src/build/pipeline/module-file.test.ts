import { describe, expect, it } from 'vitest';

import { MODULE_NAME, packingOf, unpackedXzSize } from './module-file.ts';

describe('the file of a module', () => {
  it.each(['a.ko', 'a.ko.xz', 'a.ko.zst', 'a.ko.gz'])('may be called %s', (name) => {
    expect(MODULE_NAME.test(name)).toBe(true);
  });

  it.each(['a.ko.bak', 'a.kox', 'ko', 'a.xz', '.a.ko.kmm-signing'])('is not called %s', (name) => {
    expect(MODULE_NAME.test(name)).toBe(false);
  });

  it.each([
    ['gzip', [0x1f, 0x8b, 8]],
    ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0]],
    ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
    ['none', [0x7f, 0x45, 0x4c, 0x46]],
    ['none', []],
  ])('is packed with %s by its first bytes', (packing, bytes) => {
    expect(packingOf(Buffer.from(bytes))).toBe(packing);
  });
});

it('the unpacked size of an xz file is the fifth column of the totals', () => {
  expect(unpackedXzSize('name\tx\nfile\t1\t1\t100\t2000\ntotals\t1\t1\t100\t2000\t0.05\tCRC32\t0\t1\n')).toBe(2000);
  expect(unpackedXzSize('name\tx\n')).toBeUndefined();
});
