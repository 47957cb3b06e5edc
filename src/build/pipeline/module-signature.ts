/** The end of a signed kernel module: module, PKCS#7 message, 12 bytes of header, this line. Source: include/linux/module_signature.h. */
const MARK = Buffer.from('~Module signature appended~\n', 'latin1');
const HEADER_BYTES = 12;
/** Bytes of a file's end that {@link hasSignature} wants. */
export const SIGNATURE_TAIL_BYTES = HEADER_BYTES + MARK.length;

/** Whether a file that ends so carries a signature (whoever's, valid or not). */
export function hasSignature(tail: Uint8Array): boolean {
  return tail.length >= SIGNATURE_TAIL_BYTES && Buffer.from(tail).subarray(-MARK.length).equals(MARK);
}

/**
 * The module without any signature: `sign-file` only appends, and the kernel looks at the last one alone.
 *
 * @returns a view of the same bytes
 */
export function withoutSignatures(module: Buffer): Buffer {
  let left = module;
  while (hasSignature(left)) {
    const header = left.length - SIGNATURE_TAIL_BYTES;
    // struct module_signature: algo, hash, id_type, signer_len, key_id_len, three bytes of padding, sig_len in network order.
    const parts = left.readUInt8(header + 3) + left.readUInt8(header + 4) + left.readUInt32BE(header + 8);
    // Not a signature, whatever it says: what it claims to be is longer than all there is.
    if (parts > header) return left;
    left = left.subarray(0, header - parts);
  }
  return left;
}
