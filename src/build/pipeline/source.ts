import { readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';

import { BuildFailure } from './failure.ts';
import { type Git, GitError, openGit, runGit } from './git.ts';
import type { GitFault } from './git-fault.ts';
import { describeRefs, findRef, isRefName, parseLsRemote, wantedRefs } from './git-ref.ts';
import type { GitSource } from './request.ts';
import type { StepContext } from './step.ts';

export interface CheckedOut {
  /** Absolute paths, without links, both in `<work>/source`. */
  readonly contextDir: string;
  readonly dockerfile: string;
}

/** Milliseconds. */
const ASKING = 120_000;
const FETCHING = 30 * 60_000;
const LOCAL = 10 * 60_000;

/**
 * The commit that the request's ref is now: a branch, else a tag, else a full commit id, which is believed. Absent ref: the remote's HEAD.
 *
 * @throws BuildFailure
 */
export async function resolveCommit(context: StepContext): Promise<string> {
  const source = gitSourceOf(context);
  return (await find(await openGit(context, source), source)).commit;
}

/**
 * Fetches `commit`, as shallow as the server allows, with its submodules, into `<work>/source`. What an earlier, killed run left there is used
 * where it is whole, and replaced where it is not.
 *
 * @throws BuildFailure, also where the context or the Dockerfile is not there or lies outside of the checkout
 */
export async function checkOut(context: StepContext, commit: string): Promise<CheckedOut> {
  const source = gitSourceOf(context);
  const git = await openGit(context, source);
  const folder = join(context.work, 'source');
  if (!(await isCheckedOut(git, folder, commit))) {
    const partial = `${folder}.partial`;
    await rm(folder, { recursive: true, force: true });
    await rm(partial, { recursive: true, force: true });
    await naming(repository(source), async () => {
      await fetchCommit(git, source, partial, commit);
      await runGit(git, ['checkout', '--quiet', '--detach', '--force', commit], { cwd: partial, timeoutMs: LOCAL });
    });
    await naming(`A submodule of the Git repository ${source.url}`, () => fetchSubmodules(git, partial));
    // Only a whole checkout ever has the name: that is what makes a second run safe.
    await rename(partial, folder);
  }
  return locate(folder, source);
}

function gitSourceOf({ request }: StepContext): GitSource {
  if (request.source.kind !== 'git')
    throw new Error(`the source of ${request.image} is ${request.source.kind}, not git`);
  return request.source;
}

async function find(
  git: Git,
  source: GitSource,
): Promise<{ readonly commit: string; readonly ref: string | undefined }> {
  const { ref } = source;
  if (ref !== undefined && !isRefName(ref)) {
    throw new BuildFailure(
      'source',
      'user',
      `git.ref is ${ref}, which can be no name of a branch or tag and no commit id.`,
    );
  }
  return naming(repository(source), async () => {
    const found = findRef(ref, await listRemote(git, wantedRefs(ref)));
    if (found.kind === 'found') return found;
    const there = describeRefs(await listRemote(git, ['refs/heads/*', 'refs/tags/*']));
    const what = ref === undefined ? 'no HEAD, so git.ref has to name what to build' : `no branch or tag ${ref}`;
    const hint =
      ref !== undefined && /^[0-9a-f]{4,}$/i.test(ref) ? ' A commit has to be given with all of its digits.' : '';
    throw new BuildFailure('source', 'user', `${repository(source)} has ${what}. It has ${there}.${hint}`);
  });
}

async function listRemote(git: Git, patterns: readonly string[]) {
  return parseLsRemote(await runGit(git, ['ls-remote', '--', git.setup.url, ...patterns], { timeoutMs: ASKING }));
}

/** Says of a git that failed what it was reading. */
async function naming<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    const { blame, sentence } = error.fault;
    const log = error.lines.join('\n');
    throw new BuildFailure('source', blame, `${what} cannot be read. ${sentence}`, { log, cause: error });
  }
}

/** Nobody's password is in the URL: such a one was refused before. */
function repository({ url }: GitSource): string {
  return `The Git repository ${url}`;
}

async function isCheckedOut(git: Git, folder: string, commit: string): Promise<boolean> {
  if ((await statOrNothing(join(folder, '.git'))) === undefined) return false;
  try {
    const head = await runGit(git, ['rev-parse', 'HEAD'], { cwd: folder, timeoutMs: LOCAL });
    return head.trim() === commit;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}

/** The commit alone; where the server does not hand one out, the tip of its ref; where that has moved on, everything. */
async function fetchCommit(git: Git, source: GitSource, folder: string, commit: string): Promise<void> {
  const objects = commit.length === 64 ? ['--object-format=sha256'] : [];
  await runGit(git, ['init', '--quiet', ...objects, '--', folder], { timeoutMs: LOCAL });
  // Submodules at relative URLs are relative to this.
  await runGit(git, ['remote', 'add', '--', 'origin', git.setup.url], { cwd: folder, timeoutMs: LOCAL });
  let last: unknown;
  for (const args of waysToFetch(source, commit)) {
    try {
      // What an earlier way gave without its history stays without it unless that is asked for.
      const all = args.includes(EVERY_BRANCH) && (await statOrNothing(join(folder, '.git', 'shallow'))) !== undefined;
      const options = ['--quiet', '--force', '--update-shallow', '--no-tags', ...(all ? ['--unshallow'] : [])];
      await runGit(git, ['fetch', ...options, ...args], { cwd: folder, timeoutMs: FETCHING });
      if (await hasCommit(git, folder, commit)) return;
    } catch (error) {
      // Another way is of use only where the server refused this one.
      if (!isRefusal(error, ['refused-commit', 'no-shallow', 'no-ref'])) throw error;
      last = error;
    }
  }
  throw new BuildFailure(
    'source',
    'user',
    `${repository(source)} has no commit ${commit}, or it belongs to no branch and no tag. Correct git.ref.`,
    { cause: last },
  );
}

const EVERY_BRANCH = '+refs/heads/*:refs/remotes/origin/*';

function waysToFetch(source: GitSource, commit: string): readonly (readonly string[])[] {
  const refs = wantedRefs(source.ref).filter((ref) => !ref.endsWith('^{}'));
  return [
    ['--depth=1', 'origin', commit],
    ...refs.map((ref) => ['--depth=1', 'origin', ref]),
    ['origin', EVERY_BRANCH, '+refs/tags/*:refs/tags/*'],
  ];
}

function isRefusal(error: unknown, kinds: readonly GitFault['kind'][]): boolean {
  return error instanceof GitError && kinds.includes(error.fault.kind);
}

async function hasCommit(git: Git, folder: string, commit: string): Promise<boolean> {
  try {
    await runGit(git, ['cat-file', '-e', `${commit}^{commit}`], { cwd: folder, timeoutMs: LOCAL });
    return true;
  } catch (error) {
    if (error instanceof GitError) return false;
    throw error;
  }
}

async function fetchSubmodules(git: Git, folder: string): Promise<void> {
  if ((await statOrNothing(join(folder, '.gitmodules'))) === undefined) return;
  const update = ['submodule', '--quiet', 'update', '--init', '--recursive', '--force'];
  try {
    await runGit(git, [...update, '--depth=1'], { cwd: folder, timeoutMs: FETCHING });
  } catch (error) {
    // A server may hand out a branch and not the commit that the parent names.
    if (!isRefusal(error, ['refused-commit', 'no-shallow', 'unknown'])) throw error;
    git.context.say('a submodule cannot be had without its history: fetching all of it');
    // What was cut off at the tip would stay so: they begin anew.
    await runGit(git, ['submodule', '--quiet', 'deinit', '--all', '--force'], { cwd: folder, timeoutMs: LOCAL });
    await rm(join(folder, '.git', 'modules'), { recursive: true, force: true });
    await runGit(git, update, { cwd: folder, timeoutMs: FETCHING });
  }
}

/** What the request says of the checkout, in absolute paths that no link leads out of it. */
async function locate(folder: string, source: GitSource): Promise<CheckedOut> {
  const root = await realpath(folder);
  const contextDir = await inside(root, root, source.contextDir ?? '', 'git.contextDir');
  if (!(await stat(contextDir)).isDirectory()) {
    throw new BuildFailure(
      'source',
      'user',
      `git.contextDir is ${source.contextDir}, which is a file of the Git repository and no folder.`,
    );
  }
  const dockerfile = await inside(root, contextDir, source.dockerfile ?? 'Dockerfile', 'git.dockerfile');
  if (!(await stat(dockerfile)).isFile()) {
    throw new BuildFailure(
      'source',
      'user',
      `git.dockerfile is ${source.dockerfile}, which is a folder of the Git repository and no file.`,
    );
  }
  return { contextDir, dockerfile };
}

async function inside(root: string, base: string, path: string, field: string): Promise<string> {
  const outside = () =>
    new BuildFailure(
      'source',
      'user',
      `${field} is ${path}, which leads out of the Git repository. Name a path in it.`,
    );
  const wanted = resolve(base, `./${path}`);
  if (path.includes('\0') || !isWithin(root, wanted)) throw outside();
  let real: string;
  try {
    real = await realpath(wanted);
  } catch (error) {
    throw new BuildFailure(
      'source',
      'user',
      `${field} is ${path}, which is not there. ${await listFolder(root, base)} Correct ${field}, or git.ref.`,
      { cause: error },
    );
  }
  if (!isWithin(root, real)) throw outside();
  return real;
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

const MOST_NAMES = 12;

async function listFolder(root: string, folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name !== '.git').sort();
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  const where = relative(root, folder);
  return `In ${where === '' ? 'the repository' : where} there are: ${names.slice(0, MOST_NAMES).join(', ')}${more}.`;
}

async function statOrNothing(path: string) {
  try {
    return await stat(path);
  } catch {
    return undefined;
  }
}
