/** Programs that run for the bed beside its control plane: those of this machine, through links in the control plane's folder. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';

import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { runOrThrow } from '../../harness/run.ts';
import { REGISTRY } from './guest-config.ts';

/** Links qemu and the registry's program into the folder's `bin`: whoever ends what runs from the folder ends them too. */
export async function linkPrograms(folder: string): Promise<void> {
  for (const program of ['qemu-system-x86_64', 'docker-registry']) {
    await symlink(await pathOf(program), join(folder, 'bin', program));
  }
}

/** @throws Error where this machine has no such program */
export async function pathOf(program: string, signal?: AbortSignal): Promise<string> {
  const options = signal === undefined ? {} : { signal };
  const { stdout } = await runOrThrow('sh', ['-c', 'command -v "$1"', 'sh', program], options);
  return stdout.trim();
}

/**
 * Starts a registry under a reference's host, for guests too; the folder has had linkPrograms().
 *
 * @param user the one whom it lets in; anybody where there is none
 */
export function startBedRegistry(
  folder: string,
  host = REGISTRY,
  user?: { readonly name: string; readonly password: string },
): Promise<RegistryServer> {
  const program = { path: join(folder, 'bin', 'docker-registry'), folder };
  const address = `0.0.0.0:${host.split(':')[1]}`;
  return startRegistry({ program, address, ...(user === undefined ? {} : { user }) });
}
