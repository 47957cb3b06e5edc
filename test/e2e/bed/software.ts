/** What nodes run: Debian's own kernels, containerd and runc, or the newest there is. */
import { type KernelHeaders, newestKernel, twoKernels } from '../../harness/kernel-headers.ts';
import { type ContainerRuntime, containerRuntime } from './binaries.ts';
import type { Making } from './cache.ts';

/**
 * `debian`: what a release brings, which is years old; no user namespaces. `newest`: containerd and runc from their Go modules, and on the
 * first node the newest kernel that there is a package of, which can give pods with Secrets a user namespace; on the second one the release's own.
 */
export const SOFTWARE = ['debian', 'newest'] as const;
export type Software = (typeof SOFTWARE)[number];

/** The newer first. */
export async function kernelsOf(
  software: Software,
  { signal }: Making,
): Promise<readonly [newer: KernelHeaders, older: KernelHeaders]> {
  const [newer, older] = await twoKernels(signal);
  if (newer === undefined || older === undefined) throw new Error('tests compile for fewer than two kernels');
  if (software === 'debian') return [newer, older];
  const newest = await newestKernel(signal);
  // Where the release's own series is the latest, they are those two.
  return newest.release === newer.release ? [newer, older] : [newest, newer];
}

/** Beside Debian's own, where it is not that. */
export async function runtimeOf(software: Software, making: Making): Promise<ContainerRuntime | undefined> {
  return software === 'debian' ? undefined : containerRuntime(making);
}
