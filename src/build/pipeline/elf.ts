/** What the head of an ELF file says; elf(5). */
export interface ElfHeader {
  /** In Go's words, as GOARCH; `unknown (N)` for a machine that is not in our list. */
  readonly arch: string;
  /** Kernel modules are relocatable objects. */
  readonly relocatable: boolean;
}

/** Bytes of a file's head that {@link readElfHeader} wants. */
export const ELF_HEADER_BYTES = 20;

const MACHINES: ReadonlyMap<number, (is64: boolean, little: boolean) => string> = new Map([
  [3, () => '386'],
  [8, (is64: boolean, little: boolean) => `mips${is64 ? '64' : ''}${little ? 'le' : ''}`],
  [21, (_is64: boolean, little: boolean) => (little ? 'ppc64le' : 'ppc64')],
  [22, () => 's390x'],
  [40, () => 'arm'],
  [62, () => 'amd64'],
  [183, () => 'arm64'],
  [243, (is64: boolean) => (is64 ? 'riscv64' : 'riscv')],
  [258, () => 'loong64'],
]);

/** Undefined for what is no ELF file. */
export function readElfHeader(bytes: Uint8Array): ElfHeader | undefined {
  if (bytes.length < ELF_HEADER_BYTES) return undefined;
  const [m0, m1, m2, m3, kind, order] = bytes;
  if (m0 !== 0x7f || m1 !== 0x45 || m2 !== 0x4c || m3 !== 0x46) return undefined;
  const little = order === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, ELF_HEADER_BYTES);
  const machine = view.getUint16(18, little);
  return {
    arch: MACHINES.get(machine)?.(kind === 2, little) ?? `unknown (${machine})`,
    relocatable: view.getUint16(16, little) === 1,
  };
}
