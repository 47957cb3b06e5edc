import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fileInZip } from './zip.ts';

/** An archive as zip(1) writes it, of files that are deflated. */
function zipOf(files: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const packed = deflateRawSync(text);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(text), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(text.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), fields, Buffer.from(name), packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.concat([Buffer.from('PK\u0001\u0002'), Buffer.from([20, 0]), fields, tail, Buffer.from(name)]),
    );
    parts.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006');
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

describe('a file in a zip archive', () => {
  const archive = zipOf({ 'a/first': 'one', 'b/second': 'two'.repeat(100) });

  it('is found by its name, wherever it stands', () => {
    expect(fileInZip(archive, 'a/first').toString()).toBe('one');
    expect(fileInZip(archive, 'b/second').toString()).toBe('two'.repeat(100));
  });

  it('is refused when it is not there, or not what was packed', () => {
    expect(() => fileInZip(archive, 'c')).toThrow('has no c');
    expect(() => fileInZip(Buffer.from('no archive'), 'a/first')).toThrow('no zip archive');
    const damaged = zipOf({ 'a/first': 'one' });
    damaged.writeUInt32LE(0, damaged.lastIndexOf(Buffer.from('PK\u0001\u0002')) + 16);
    expect(() => fileInZip(damaged, 'a/first')).toThrow('damaged');
  });
});
