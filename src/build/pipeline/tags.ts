import { LONGEST_TAG, registryOfRepository, splitImageReference } from '../../kernel/image-reference.ts';

/** Hex digits of the build key in a tag: enough to tell the builds of one kernel apart. */
const KEY_DIGITS = 8;

export interface ImageNames {
  /** The host (and port) of the registry. */
  readonly registry: string;
  /** With the registry, without tag. */
  readonly repository: string;
  /** The reference as the user wrote it, with the tag that it means. */
  readonly users: string;
}

/** Undefined for a reference by digest: an image that is yet to be made has none. */
export function imageNames(reference: string): ImageNames | undefined {
  const { name, tag = 'latest', digest } = splitImageReference(reference);
  if (digest !== undefined) return undefined;
  return { registry: registryOfRepository(name), repository: name, users: `${name}:${tag}` };
}

export function registryOf(reference: string): string {
  return registryOfRepository(splitImageReference(reference).name);
}

/**
 * The reference that only one kernel's image of one build gets: `repository:<tag>-<kernel>-<arch>-<key8>`.
 *
 * A tag has 128 characters at most: of a longer one the front is cut, because what tells kernels apart stands at the end. What a tag may
 * not hold (the + of some releases) becomes _; two kernels that then look alike still differ in the key.
 */
export function ownReference(
  reference: string,
  { kernel, arch }: { readonly kernel: string; readonly arch: string },
  buildKey: string,
): string {
  return tagged(reference, { kernel, arch }, `-${buildKey.slice(0, KEY_DIGITS)}`);
}

/**
 * Where an image waits for its signature. No finished image has such a name, so nobody takes it for one: those end in the key.
 *
 * @param key of the request: the build key takes the certificate, which only the pod that signs sees
 */
export function unsignedReference(
  reference: string,
  { kernel, arch }: { readonly kernel: string; readonly arch: string },
  key: string,
): string {
  return tagged(reference, { kernel, arch }, `-${key.slice(0, KEY_DIGITS)}-unsigned`);
}

function tagged(
  reference: string,
  { kernel, arch }: { readonly kernel: string; readonly arch: string },
  end: string,
): string {
  const { name, tag = 'latest' } = splitImageReference(reference);
  const legal = `${tag}-${kernel}-${arch}`.replaceAll(/[^A-Za-z0-9_.-]/g, '_');
  // A tag begins with no . and no -, and the cut may lie before one.
  const front = legal.slice(-(LONGEST_TAG - end.length)).replace(/^[.-]+/, '');
  return `${name}:${front}${end}`;
}

/** What loaders run: it never changes what it means. */
export function byDigest(reference: string, digest: string): string {
  return `${splitImageReference(reference).name}@${digest}`;
}
