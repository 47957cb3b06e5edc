import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Of this process's own environment, what the tools must know of the site's network. */
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
/** Tells the container tools that they are in a user namespace made for them: without it they would make one of their own. */
const NAMESPACE = ['_CONTAINERS_USERNS_CONFIGURED', '_CONTAINERS_ROOTLESS_UID', '_CONTAINERS_ROOTLESS_GID'];

/** The whole environment of the tools; HOME and temporary files lie in the work folder, which this makes. */
export async function toolEnvironment(
  work: string,
  own: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Readonly<Record<string, string>>> {
  const home = join(work, 'home');
  const temporary = join(work, 'tmp');
  await mkdir(home, { recursive: true });
  await mkdir(temporary, { recursive: true });
  const passed = [...PROXIES, ...NAMESPACE].flatMap((name): [string, string][] => {
    const value = own[name] ?? '';
    return value === '' ? [] : [[name, value]];
  });
  return {
    ...Object.fromEntries(passed),
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: home,
    TMPDIR: temporary,
    LC_ALL: 'C.UTF-8',
    BUILDAH_ISOLATION: 'chroot',
  };
}
