import { once } from 'node:events';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { BuildFailure } from '../../../src/build/pipeline/failure.ts';
import { GitError, openGit, runGit } from '../../../src/build/pipeline/git.ts';
import type { GitSource } from '../../../src/build/pipeline/request.ts';
import { checkOut, resolveCommit } from '../../../src/build/pipeline/source.ts';
import { aBuildContext, type BuildContext } from '../../harness/build-context.ts';
import { type GitRepositories, makeGitRepositories } from '../../harness/git-repositories.ts';
import { type GitServer, startGitDaemon, startGitServer } from '../../harness/git-server.ts';
import { freePorts } from '../../harness/ports.ts';
import { runOrThrow } from '../../harness/run.ts';
import { type SshServer, startSshServer } from '../../harness/ssh-server.ts';
import { testSecret } from '../../harness/test-secrets.ts';

let repositories: GitRepositories;
let server: GitServer;

beforeAll(async () => {
  repositories = await makeGitRepositories();
  server = await startGitServer({ root: repositories.root });
});

afterAll(async () => {
  await server?.stop();
  await repositories?.remove();
});

function aContext(source: Partial<GitSource>, files: Readonly<Record<string, string>> = {}): Promise<BuildContext> {
  const git: GitSource = { kind: 'git', url: `${server.url}/driver.git`, ...source };
  return aBuildContext({ request: { source: git }, files });
}

/** What both halves of the step say, one after the other, as the pipeline calls them. */
async function fetchSource(context: BuildContext) {
  const commit = await resolveCommit(context);
  return { commit, ...(await checkOut(context, commit)) };
}

async function history(folder: string): Promise<readonly string[]> {
  const { stdout } = await runOrThrow('git', ['-c', 'safe.directory=*', '-C', folder, 'rev-list', 'HEAD']);
  return stdout.trim().split('\n');
}

async function failureOf(work: Promise<unknown>): Promise<BuildFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BuildFailure) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

describe('what a ref is', () => {
  it('is the tip of a branch', async () => {
    await using context = await aContext({ ref: 'stable' });
    expect(await resolveCommit(context)).toBe(repositories.commits.first);
  });

  it('is the commit that an annotated tag points to, not the tag', async () => {
    await using context = await aContext({ ref: 'v1' });
    expect(await resolveCommit(context)).toBe(repositories.commits.first);
  });

  it('is a full commit id as it is', async () => {
    await using context = await aContext({ ref: repositories.commits.first });
    expect(await resolveCommit(context)).toBe(repositories.commits.first);
  });

  it('is the HEAD of the remote where none is given', async () => {
    await using context = await aContext({});
    expect(await resolveCommit(context)).toBe(repositories.commits.third);
  });

  it('is the user’s failure where it is not there, and says what is', async () => {
    await using context = await aContext({ ref: 'develop' });
    const failure = await failureOf(resolveCommit(context));
    expect(failure).toMatchObject({ step: 'source', blame: 'user' });
    expect(failure.message).toBe(
      `The Git repository ${server.url}/driver.git has no branch or tag develop. It has branches: main, stable; tags: v1.`,
    );
  });

  it('is the user’s failure in a repository without a commit', async () => {
    await using context = await aContext({ url: `${server.url}/empty.git` });
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('has no HEAD');
    expect(failure.message).toContain('no branch and no tag');
  });
});

describe('a checkout', () => {
  it('is one commit deep, with its submodule as deep, at absolute paths', async () => {
    await using context = await aContext({ ref: 'main' });
    const { contextDir, dockerfile } = await fetchSource(context);
    expect(contextDir).toBe(join(context.work, 'source'));
    expect(dockerfile).toBe(join(context.work, 'source', 'Dockerfile'));
    expect(await readFile(dockerfile, 'utf8')).toContain('third');
    expect(await readFile(join(contextDir, 'library', 'library.h'), 'utf8')).toContain('LIBRARY 2');
    expect(await history(contextDir)).toEqual([repositories.commits.third]);
    expect(await history(join(contextDir, 'library'))).toHaveLength(1);
  });

  it('has a commit that belongs to no branch where the server hands it out', async () => {
    await using context = await aContext({ ref: repositories.commits.orphan });
    expect(await readFile((await fetchSource(context)).dockerfile, 'utf8')).toContain('orphan');
  });

  it('may be built from a folder of it, and with a Dockerfile that a link in it names', async () => {
    await using context = await aContext({ contextDir: 'inner', dockerfile: './Dockerfile' });
    const { contextDir, dockerfile } = await fetchSource(context);
    expect(contextDir).toBe(join(context.work, 'source', 'sub'));
    expect(await readFile(dockerfile, 'utf8')).toContain('sub');
  });

  it('is used by a second run as it is, and made anew where a kill left half of it', async () => {
    await using context = await aContext({ ref: 'main' });
    const first = await fetchSource(context);
    const { ino } = await stat(first.dockerfile);
    await fetchSource(context);
    expect((await stat(first.dockerfile)).ino).toBe(ino);
    await rm(join(context.work, 'source', '.git'), { recursive: true });
    await writeFile(first.dockerfile, 'half');
    expect(await readFile((await fetchSource(context)).dockerfile, 'utf8')).toContain('third');
    expect(await readdir(context.work)).not.toContain('source.partial');
  });

  it('of another commit replaces the one that is there', async () => {
    await using context = await aContext({});
    expect(await readFile((await checkOut(context, repositories.commits.first)).dockerfile, 'utf8')).toContain('first');
    expect(await readFile((await checkOut(context, repositories.commits.second)).dockerfile, 'utf8')).toContain(
      'second',
    );
  });

  it.each([
    ['a Dockerfile that is a link out of it', { dockerfile: 'escape' }, 'git.dockerfile is escape, which leads out'],
    ['a Dockerfile above it', { dockerfile: '../../private/gitconfig' }, 'which leads out of the Git repository'],
    ['a context that is a link out of it', { contextDir: 'up' }, 'git.contextDir is up, which leads out'],
    ['a context above it', { contextDir: 'sub/../..' }, 'which leads out of the Git repository'],
    [
      'a Dockerfile that is not there',
      { contextDir: 'sub', dockerfile: 'Containerfile' },
      'In sub there are: Dockerfile.',
    ],
    ['a context that is a file', { contextDir: 'Dockerfile' }, 'which is a file of the Git repository and no folder'],
    ['a Dockerfile that is a folder', { dockerfile: 'sub' }, 'which is a folder of the Git repository and no file'],
  ])('with %s is the user’s failure', async (_what, source, sentence) => {
    await using context = await aContext(source);
    const failure = await failureOf(fetchSource(context));
    expect(failure).toMatchObject({ step: 'source', blame: 'user' });
    expect(failure.message).toContain(sentence);
  });

  it('of a commit that is nowhere is the user’s failure', async () => {
    const commit = '0123456789'.repeat(4);
    await using context = await aContext({ ref: commit });
    const failure = await failureOf(fetchSource(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain(`has no commit ${commit}`);
  });
});

describe('an old server that hands out tips of refs only', () => {
  let old: GitServer;
  beforeAll(async () => {
    old = await startGitServer({ root: repositories.root, old: true });
  });
  afterAll(() => old?.stop());

  it.each(['stable', 'main', 'v1'])('gives %s, and a submodule’s commit that is no tip', async (ref) => {
    await using context = await aContext({ url: `${old.url}/driver.git`, ref });
    const { commit, contextDir, dockerfile } = await fetchSource(context);
    expect(await readFile(join(contextDir, 'library', 'library.h'), 'utf8')).toContain('LIBRARY 2');
    expect(await readFile(dockerfile, 'utf8')).toContain(commit === repositories.commits.first ? 'first' : 'third');
  });

  it('gives a commit that its branch has left behind, with all of the history', async () => {
    await using context = await aContext({ url: `${old.url}/driver.git`, ref: 'main' });
    const { contextDir, dockerfile } = await checkOut(context, repositories.commits.second);
    expect(await readFile(dockerfile, 'utf8')).toContain('second');
    expect(await history(contextDir)).toContain(repositories.commits.first);
  });

  it('gives no commit that is of no branch and no tag', async () => {
    await using context = await aContext({ url: `${old.url}/driver.git`, ref: repositories.commits.orphan });
    const failure = await failureOf(fetchSource(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('or it belongs to no branch and no tag');
  });
});

describe('a private repository over HTTP', () => {
  const password = `${testSecret('git')}p@ss w:rd/%41`;
  const token = testSecret('git-token');
  const wrong = testSecret('git-wrong');
  let closed: GitServer;
  beforeAll(async () => {
    closed = await startGitServer({ root: repositories.root, users: { alice: password, git: token } });
  });
  afterAll(() => closed?.stop());

  const aClosed = (files: Readonly<Record<string, string>>) =>
    aContext({ url: `${closed.url}/driver.git`, ref: 'stable' }, files);

  it.each([
    [
      'username and password, with the line ends of echo',
      { 'git-secret/username': 'alice\n', 'git-secret/password': `${password}\n` },
    ],
    ['a token', { 'git-secret/token': token }],
    ['a token of a user', { 'git-secret/token': password, 'git-secret/username': 'alice' }],
  ])('is read with %s, submodule and all', async (_what, files) => {
    await using context = await aClosed(files);
    const { contextDir } = await fetchSource(context);
    expect(await readdir(join(context.work, 'source', 'library'))).toContain('library.h');
    const config = await readFile(join(contextDir, '.git', 'config'), 'utf8');
    for (const secret of Object.values(files)) expect(config).not.toContain(secret.trim());
    expect((await stat(join(context.work, 'private', 'git-credentials'))).mode & 0o777).toBe(0o600);
  });

  it('says that credentials are not accepted, and nothing of them', async () => {
    await using context = await aClosed({ 'git-secret/username': 'alice', 'git-secret/password': wrong });
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('does not accept the username and password');
    expect(`${failure.message} ${failure.log} ${context.log.join()}`).not.toContain(wrong);
  });

  it('takes them out of what git prints, before anybody sees or keeps it', async () => {
    await using context = await aClosed({ 'git-secret/token': token });
    const git = await openGit(context, { kind: 'git', url: `${closed.url}/driver.git` });
    // As a hook, a helper or a server does that repeats what it was given.
    const alias = `alias.tell=!cat '${context.files.gitSecret}/token' >&2; exit 3`;
    const error = await runGit(git, ['-c', alias, 'tell'], { timeoutMs: 10_000 }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(GitError);
    expect(error).toMatchObject({ lines: ['***'] });
    expect(context.log).toContain('***');
  });

  it('says that credentials are wanted where there are none', async () => {
    await using context = await aClosed({});
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('wants credentials');
    expect(failure.message).toContain('git.secret');
  });
});

describe('a repository over HTTPS with its own authority', () => {
  let tls: GitServer;
  beforeAll(async () => {
    tls = await startGitServer({ root: repositories.root, tls: true });
  });
  afterAll(() => tls?.stop());

  it('is read where the authority is given', async () => {
    await using context = await aContext({ url: `${tls.url}/driver.git` }, { 'git-ca/ca.crt': tls.authority });
    expect((await fetchSource(context)).commit).toBe(repositories.commits.third);
  });

  it('is the user’s failure where it is not', async () => {
    await using context = await aContext({ url: `${tls.url}/driver.git` });
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('git.caConfigMap');
  });
});

describe('a repository over ssh', () => {
  let ssh: SshServer;
  beforeAll(async () => {
    ssh = await startSshServer();
  });
  afterAll(() => ssh?.stop());

  const url = () => `ssh://${ssh.user}@127.0.0.1:${ssh.port}${repositories.root}/driver.git`;

  it('is read with its key and known_hosts, submodule and all', async () => {
    await using context = await aContext(
      { url: url(), ref: 'v1' },
      // Without the line end that ssh wants: it is easily lost on the way into a Secret.
      { 'git-secret/ssh-privatekey': ssh.privateKey.trimEnd(), 'git-secret/known_hosts': ssh.knownHosts },
    );
    const { commit, contextDir } = await fetchSource(context);
    expect(commit).toBe(repositories.commits.first);
    expect(await readdir(join(contextDir, 'library'))).toContain('library.h');
    expect((await stat(join(context.work, 'private', 'git-ssh-key'))).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['another host key in known_hosts', { key: 'privateKey', hosts: 'wrongKnownHosts' }, 'host key'],
    ['a key that is not let in', { key: 'strangeKey', hosts: 'knownHosts' }, 'does not accept the ssh-privatekey'],
  ] as const)('is the user’s failure with %s', async (_what, { key, hosts }, sentence) => {
    await using context = await aContext(
      { url: url() },
      { 'git-secret/ssh-privatekey': ssh[key], 'git-secret/known_hosts': ssh[hosts] },
    );
    const failure = await failureOf(resolveCommit(context));
    expect(failure).toMatchObject({ step: 'source', blame: 'user' });
    expect(failure.message).toContain(sentence);
  });

  it('is the user’s failure without known_hosts, and without a key', async () => {
    await using context = await aContext({ url: url() }, { 'git-secret/ssh-privatekey': ssh.privateKey });
    expect((await failureOf(resolveCommit(context))).message).toContain('has ssh-privatekey and no known_hosts');
    await using bare = await aContext({ url: url() });
    expect((await failureOf(resolveCommit(bare))).message).toContain('needs the keys ssh-privatekey and known_hosts');
  });

  it('is the user’s failure where there is no such repository, or the key has a passphrase', async () => {
    const files = { 'git-secret/ssh-privatekey': ssh.privateKey, 'git-secret/known_hosts': ssh.knownHosts };
    await using absent = await aContext({ url: url().replace('driver', 'other') }, files);
    const failure = await failureOf(resolveCommit(absent));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('has no such repository');
    await using broken = await aContext({ url: url() }, { ...files, 'git-secret/ssh-privatekey': 'no key' });
    expect((await failureOf(resolveCommit(broken))).message).toContain('cannot be read');
  });
});

it('a repository at git:// is read, submodule and all', async () => {
  const daemon = await startGitDaemon(repositories.root);
  try {
    await using context = await aContext({ url: `${daemon.url}/driver.git`, ref: 'main' });
    const { commit, contextDir } = await fetchSource(context);
    expect(commit).toBe(repositories.commits.third);
    expect(await readdir(join(contextDir, 'library'))).toContain('library.h');
    await using absent = await aContext({ url: `${daemon.url}/other.git` });
    expect(await failureOf(resolveCommit(absent))).toMatchObject({ step: 'source', blame: 'user' });
  } finally {
    await daemon.stop();
  }
});

describe('a server that does not serve', () => {
  it.each([500, 503, 429])('is the infrastructure’s failure where it answers %i', async (status) => {
    await using broken = await startGitServer({ root: repositories.root, status });
    await using context = await aContext({ url: `${broken.url}/driver.git` });
    expect(await failureOf(resolveCommit(context))).toMatchObject({ step: 'source', blame: 'infrastructure' });
  });

  it('is the infrastructure’s failure where nobody listens', async () => {
    const [port] = await freePorts(1);
    await using context = await aContext({ url: `http://127.0.0.1:${port}/driver.git` });
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('infrastructure');
    expect(failure.message).toContain('cannot be reached');
  });

  it('is the user’s failure where it has no such repository', async () => {
    await using context = await aContext({ url: `${server.url}/nothing.git` });
    const failure = await failureOf(resolveCommit(context));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain('no such repository');
  });
});

describe('a server that accepts a connection and says nothing', () => {
  let silent: Server;
  beforeAll(async () => {
    silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterAll(() => silent?.close());

  const aSilent = (signal: AbortSignal) => {
    const address = silent.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    const source: GitSource = { kind: 'git', url: `git://127.0.0.1:${address.port}/driver.git` };
    return aBuildContext({ request: { source }, signal });
  };

  it('is the infrastructure’s failure after a while', async () => {
    await using context = await aSilent(new AbortController().signal);
    const { source } = context.request;
    if (source.kind !== 'git') throw new Error('the source is not git');
    const git = await openGit(context, source);
    await expect(runGit(git, ['ls-remote', '--', git.setup.url], { timeoutMs: 300 })).rejects.toMatchObject({
      fault: { kind: 'unreachable', blame: 'infrastructure' },
    });
  });

  it('keeps nobody from cancelling', async () => {
    const controller = new AbortController();
    await using context = await aSilent(controller.signal);
    silent.once('connection', () => controller.abort(new Error('cancelled')));
    await expect(resolveCommit(context)).rejects.toThrow('cancelled');
  });
});

it('a file of the builder is no repository, whatever the URL says', async () => {
  await using context = await aContext({ url: `file://${repositories.root}/driver.git` });
  expect((await failureOf(resolveCommit(context))).message).toContain('Only https, http, ssh and git are read');
});
