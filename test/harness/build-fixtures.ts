/** What tiny images are made of: a static busybox and one module of a Debian kernel, taken out of Debian's packages once per machine. */
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isThere, machineCache } from '../../hack/machine-cache.ts';
import { buildahIn } from './buildah.ts';
import { eventually } from './eventually.ts';
import { run, runOrThrow } from './run.ts';

export interface BuildFixtures {
  /** Path of a static busybox. */
  readonly busybox: string;
  /** Path of a kernel module that Debian's own key has signed, a few kilobytes long. */
  readonly module: string;
  /** The kernel that it is for. */
  readonly kernel: string;
}

/** @throws Error when Debian's packages cannot be had and no earlier run has left them */
export async function buildFixtures(): Promise<BuildFixtures> {
  const cache = machineCache('build-fixtures');
  if (!(await isThere(join(cache, 'kernel')))) await download(cache);
  const kernel = (await readFile(join(cache, 'kernel'), 'utf8')).trim();
  return { busybox: join(cache, 'busybox'), module: join(cache, 'dummy.ko'), kernel };
}

async function download(cache: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-fixtures-'));
  try {
    const { stdout } = await runOrThrow('apt-cache', ['depends', '--important', 'linux-image-cloud-amd64']);
    const image = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (image === undefined) throw new Error('linux-image-cloud-amd64 depends on no kernel');
    await runOrThrow('apt-get', ['download', image, 'busybox-static'], { cwd: folder });
    for (const name of await readdir(folder)) await runOrThrow('dpkg', ['-x', name, 'root'], { cwd: folder });
    const kernel = image.replace('linux-image-', '');
    const made = join(folder, 'made');
    await mkdir(made);
    await rename(join(folder, 'root', 'bin', 'busybox'), join(made, 'busybox'));
    await rename(
      join(folder, 'root', 'lib', 'modules', kernel, 'kernel', 'drivers', 'net', 'dummy.ko'),
      join(made, 'dummy.ko'),
    );
    await writeFile(join(made, 'kernel'), `${kernel}\n`);
    await mkdir(join(cache, '..'), { recursive: true });
    // Two test files may do this at once: the later finds the folder of the earlier, which is as good.
    await runOrThrow('cp', ['-a', made, `${cache}.${process.pid}`]);
    await run('mv', ['-T', '-n', `${cache}.${process.pid}`, cache]);
    await rm(`${cache}.${process.pid}`, { recursive: true, force: true });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await eventually(() => access(join(cache, 'kernel')), { what: `the fixtures in ${cache}`, timeoutMs: 1_000 });
}

/** Pushes an image with busybox as /bin/sh and the module as /src/dummy.ko, for FROM lines; `host` speaks plain HTTP. */
export async function pushBaseImage(host: string, reference = 'base:1'): Promise<string> {
  const { busybox, module } = await buildFixtures();
  const folder = await mkdtemp(join(tmpdir(), 'kmm-base-'));
  const image = `${host}/${reference}`;
  try {
    await mkdir(join(folder, 'context', 'bin'), { recursive: true });
    await mkdir(join(folder, 'context', 'src'));
    await runOrThrow('cp', [busybox, join(folder, 'context', 'bin', 'busybox')]);
    for (const applet of ['sh', 'cp', 'mkdir', 'cat', 'echo', 'ls', 'sleep', 'head', 'wc', 'dd', 'find', 'kill']) {
      await runOrThrow('ln', ['-s', 'busybox', join(folder, 'context', 'bin', applet)]);
    }
    await runOrThrow('cp', [module, join(folder, 'context', 'src', 'dummy.ko')]);
    await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
    const buildah = buildahIn(folder);
    await buildah(
      'build',
      '--isolation=chroot',
      `--file=${join(folder, 'Dockerfile')}`,
      `--tag=${image}`,
      join(folder, 'context'),
    );
    await buildah('push', '--tls-verify=false', image);
    return image;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
