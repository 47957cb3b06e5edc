/** An image of Debian with its package manager, as users begin from: no public registry has to be asked. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildahIn } from '../harness/buildah.ts';
import { runOrThrow } from '../harness/run.ts';

const SUITE = 'bookworm';

/**
 * Makes it of Debian's packages, which takes about half a minute, and pushes it to a registry that speaks plain HTTP.
 *
 * @returns its reference
 * @throws Error where Debian's packages cannot be had
 */
export async function pushDebian(host: string, signal: AbortSignal): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-debian-'));
  const buildah = buildahIn(folder, signal);
  try {
    const archive = join(folder, 'debian.tar');
    // kmod has depmod; the machine's own name and servers are no part of an image.
    const forget = '--customize-hook=rm -f "$1"/etc/hostname "$1"/etc/resolv.conf';
    const words = ['--variant=apt', '--include=kmod', '--skip=output/dev', '--quiet', forget, SUITE, archive];
    await runOrThrow('mmdebstrap', words, { signal });
    const container = await buildah('from', '--quiet', 'scratch');
    await buildah('add', '--quiet', container, archive, '/');
    const image = `${host}/debian:12`;
    await buildah('commit', '--quiet', '--format=oci', '--rm', container, image);
    await buildah('push', '--quiet', '--tls-verify=false', image, `docker://${image}`);
    return image;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
