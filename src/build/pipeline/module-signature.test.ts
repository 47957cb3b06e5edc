import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { hasSignature, withoutSignatures } from './module-signature.ts';

/** As scripts/sign-file.c appends it. */
function signed(module: Buffer, signature: Buffer, lengths: { signer?: number; keyId?: number } = {}): Buffer {
  const header = Buffer.alloc(12);
  header[2] = 2;
  header[3] = lengths.signer ?? 0;
  header[4] = lengths.keyId ?? 0;
  header.writeUInt32BE(signature.length - header.readUInt8(3) - header.readUInt8(4), 8);
  return Buffer.concat([module, signature, header, Buffer.from('~Module signature appended~\n')]);
}

describe('the signature at the end of a module', () => {
  it('is taken away, however many there are, and leaves the module as it was', () => {
    const bytes = fc.uint8Array({ maxLength: 300 }).map((array): Buffer => Buffer.from(array));
    fc.assert(
      fc.property(bytes, fc.array(bytes, { minLength: 1, maxLength: 3 }), (module, signatures) => {
        const all = signatures.reduce((left, signature) => signed(left, signature), Buffer.from(module));
        expect(hasSignature(all)).toBe(true);
        expect(withoutSignatures(all).equals(module)).toBe(true);
      }),
    );
  });

  it('of the older form, with names in it, is taken away as a whole', () => {
    const module = Buffer.from('module');
    expect(withoutSignatures(signed(module, Buffer.alloc(40), { signer: 7, keyId: 20 })).toString()).toBe('module');
  });

  it('that claims to be longer than the file is left alone', () => {
    const broken = signed(Buffer.alloc(0), Buffer.from('x')).subarray(1);
    expect(withoutSignatures(broken).equals(broken)).toBe(true);
  });

  it('is not in a file without its last line', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('~Module signature appended~\n'), Buffer.alloc(100)]) {
      expect(hasSignature(bytes)).toBe(false);
      expect(withoutSignatures(bytes).equals(bytes)).toBe(true);
    }
  });
});
