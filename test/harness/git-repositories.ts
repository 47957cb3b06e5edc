import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { runOrThrow } from './run.ts';

/** Bare repositories in a temporary folder, and their commits. */
export interface GitRepositories {
  /** Holds `driver.git`, `library.git` (a submodule of the driver's, at the relative URL `../library.git`) and `empty.git`. */
  readonly root: string;
  /** Of `driver.git`: `main` has three commits, `stable` is a branch and `v1` an annotated tag of the first. */
  readonly commits: {
    readonly first: string;
    /** Of main, and the tip of nothing. */
    readonly second: string;
    /** The tip of main. */
    readonly third: string;
    /** Of no branch and no tag. */
    readonly orphan: string;
  };
  remove(): Promise<void>;
}

/**
 * The driver's files: `Dockerfile` (`FROM scratch` and a comment that names the commit: first, second, third), `sub/Dockerfile`, `library/library.h` by
 * the submodule, `escape` (a link to a Dockerfile outside of the checkout), `up` (a link to the folder above it) and `inner` (a link to sub).
 */
export async function makeGitRepositories(): Promise<GitRepositories> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kmm-git-')));
  const root = join(folder, 'repositories');
  await mkdir(root);
  const library = await workingCopy(join(folder, 'library'), { 'library.h': '#define LIBRARY 1\n' });
  await library.commit('first');
  await writeFile(join(library.folder, 'library.h'), '#define LIBRARY 2\n');
  await library.commit('second');
  await publish(library.folder, join(root, 'library.git'));

  const driver = await workingCopy(join(folder, 'driver'), {
    Dockerfile: 'FROM scratch\n# first\n',
    'sub/Dockerfile': 'FROM scratch\n# sub\n',
  });
  await symlink('/etc/hostname', join(driver.folder, 'escape'));
  await symlink('..', join(driver.folder, 'up'));
  await symlink('sub', join(driver.folder, 'inner'));
  await driver.git(
    '-c',
    'protocol.file.allow=always',
    'submodule',
    '--quiet',
    'add',
    join(root, 'library.git'),
    'library',
  );
  await driver.git('config', '-f', '.gitmodules', 'submodule.library.url', '../library.git');
  const first = await driver.commit('first');
  await driver.git('tag', '-a', '-m', 'the first', 'v1');
  await driver.git('branch', 'stable');
  await writeFile(join(driver.folder, 'Dockerfile'), 'FROM scratch\n# second\n');
  const second = await driver.commit('second');
  await writeFile(join(driver.folder, 'Dockerfile'), 'FROM scratch\n# third\n');
  const third = await driver.commit('third');
  await writeFile(join(driver.folder, 'Dockerfile'), 'FROM scratch\n# orphan\n');
  const orphan = await driver.commit('orphan');
  await publish(driver.folder, join(root, 'driver.git'));
  // The submodule goes on, so the commit that the driver names is the tip of nothing.
  await writeFile(join(library.folder, 'library.h'), '#define LIBRARY 3\n');
  await library.commit('third');
  await library.git('push', '--quiet', join(root, 'library.git'), 'main');
  // Only now does nothing name it any more.
  await runOrThrow('git', ['-C', join(root, 'driver.git'), 'update-ref', 'refs/heads/main', third], {
    env: ENVIRONMENT,
  });
  await runOrThrow('git', ['init', '--quiet', '--bare', '-b', 'main', join(root, 'empty.git')], { env: ENVIRONMENT });
  return {
    root,
    commits: { first, second, third, orphan },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A bare repository with one commit of these files, `root`/`name`; gives the commit. */
export async function makeRepository(
  root: string,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-git-'));
  try {
    const copy = await workingCopy(join(folder, 'copy'), files);
    const commit = await copy.commit('all of it');
    await publish(copy.folder, join(root, name));
    return commit;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Nothing of the configuration of whoever runs the tests. */
const ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.com',
};

async function workingCopy(folder: string, files: Readonly<Record<string, string>>) {
  const git = async (...args: string[]) =>
    (await runOrThrow('git', ['-C', folder, ...args], { env: ENVIRONMENT })).stdout.trim();
  await mkdir(folder);
  await git('init', '--quiet', '-b', 'main');
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return {
    folder,
    git,
    async commit(message: string): Promise<string> {
      await git('add', '--all');
      await git('commit', '--quiet', '-m', message);
      return git('rev-parse', 'HEAD');
    },
  };
}

async function publish(from: string, to: string): Promise<void> {
  await runOrThrow('git', ['clone', '--quiet', '--bare', from, to], { env: ENVIRONMENT });
}
