/** The numbers a kernel release begins with, as written: `5.16.11-200.fc35.x86_64` has xyz `5.16.11`, x `5`, y `16`, z `11`. */
export interface KernelNumbers {
  readonly xyz: string;
  readonly x: string;
  readonly y: string;
  readonly z: string;
}

/**
 * Takes the numbers off the front of a kernel release, whatever follows them; undefined where it does not begin with two of them, as that
 * of a kernel which somebody built and named by hand.
 *
 * A release without a third number (Debian's `6.13-rc7-amd64`) is that series' first kernel, so z is `0`. KMM 2.x takes the third word
 * there, whatever it is (`6.13.rc7`), and fails when there is none.
 */
export function kernelNumbers(release: string): KernelNumbers | undefined {
  const [, x, y, z = '0'] = /^([0-9]+)\.([0-9]+)(?:\.([0-9]+))?/.exec(release) ?? [];
  return x === undefined || y === undefined ? undefined : { xyz: `${x}.${y}.${z}`, x, y, z };
}
