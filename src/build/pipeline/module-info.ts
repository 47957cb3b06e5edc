/** What modinfo(8) tells of a module. */
export interface ModuleInfo {
  /** As it is: the kernel's release, then what it was built with. */
  readonly vermagic: string;
  /** Common name of the certificate's issuer. */
  readonly signer?: string;
  /** Serial number of the certificate, as `AB:CD:..`. */
  readonly sigKey?: string;
}

/**
 * Reads the answer of `modinfo --null`: fields as `name=value`, each ended by a NUL.
 *
 * Whoever wrote the module could put a `signer` among its own fields. Those of the signature itself come last, so the last one counts, and only
 * where the file has a signature at all.
 */
export function parseModinfo(answer: string, signed: boolean): ModuleInfo {
  const fields = new Map<string, string>();
  for (const field of answer.split('\0')) {
    const [, name, value] = /^(\w+)=([^]*)$/.exec(field) ?? [];
    if (name !== undefined && value !== undefined) fields.set(name, value);
  }
  const signer = fields.get('signer');
  const sigKey = fields.get('sig_key');
  return {
    vermagic: (fields.get('vermagic') ?? '').trim(),
    ...(signed && signer !== undefined ? { signer } : {}),
    ...(signed && sigKey !== undefined ? { sigKey } : {}),
  };
}

/** The kernel release that a vermagic begins with; the empty string where there is none. */
export function kernelOfVermagic(vermagic: string): string {
  return vermagic.split(' ', 1)[0] ?? '';
}
