import { crc32, inflateRawSync } from 'node:zlib';

/** Source: APPNOTE.TXT of PKWARE, 4.3.7, 4.3.12 and 4.3.16. */
const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
const STORED = 0;
const DEFLATED = 8;

/**
 * The bytes of one file in a zip archive that is smaller than 4 GB; its checksum is compared.
 *
 * @throws Error when this is no such archive, the file is not in it, or its bytes are not those that were packed
 */
export function fileInZip(archive: Buffer, name: string): Buffer {
  const end = archive.lastIndexOf(Buffer.from('PK\u0005\u0006'));
  if (end < 0 || archive.readUInt32LE(end) !== END_OF_DIRECTORY) throw new Error('this is no zip archive');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(at) !== DIRECTORY_ENTRY) throw new Error('the directory of the zip archive is damaged');
    const nameLength = archive.readUInt16LE(at + 28);
    if (archive.toString('utf8', at + 46, at + 46 + nameLength) === name) return unpacked(archive, at, name);
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`the zip archive has no ${name}`);
}

function unpacked(archive: Buffer, entry: number, name: string): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const packedLength = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  if (archive.readUInt32LE(local) !== LOCAL_HEADER) throw new Error(`${name} is not where the zip archive says`);
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const packed = archive.subarray(start, start + packedLength);
  if (method !== STORED && method !== DEFLATED) throw new Error(`${name} is packed in a way that is not known here`);
  const bytes = method === STORED ? Buffer.from(packed) : inflateRawSync(packed);
  if (crc32(bytes) !== archive.readUInt32LE(entry + 16)) throw new Error(`${name} is damaged in the zip archive`);
  return bytes;
}
