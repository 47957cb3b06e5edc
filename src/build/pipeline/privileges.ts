import { readFile } from 'node:fs/promises';

/** Source: linux/capability.h. */
const CAP_SYS_ADMIN = 21n;

/** @param status of a process, as /proc/PID/status prints it */
export function hasSysAdmin(status: string): boolean {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return hex !== undefined && ((BigInt(`0x${hex}`) >> CAP_SYS_ADMIN) & 1n) === 1n;
}

/** How buildah can mount what it builds. */
export type Way =
  /** As this process is: root, or root of the pod's own user namespace. */
  | 'direct'
  /** In a user namespace that is made for it. */
  | 'user namespace';

/** @param environment in which whoever made a user namespace has set _CONTAINERS_USERNS_CONFIGURED, as buildah does and wants it */
export function wayOf(status: string, environment: Readonly<Record<string, string | undefined>>): Way {
  // Asking a second time would go on for ever where the namespace gives no more than there was.
  const isInside = (environment['_CONTAINERS_USERNS_CONFIGURED'] ?? '') !== '';
  return isInside || hasSysAdmin(status) ? 'direct' : 'user namespace';
}

export async function ownWay(): Promise<Way> {
  return wayOf(await readFile('/proc/self/status', 'utf8'), process.env);
}
