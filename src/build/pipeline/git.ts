import { join } from 'node:path';

import { BuildFailure } from './failure.ts';
import { type GitCredentials, GitInputError, type GitSetup, gitSetup } from './git-config.ts';
import { classifyGitFault, type GitFault, SILENT_SERVER } from './git-fault.ts';
import { entriesOf, readIfThere } from './mounted-files.ts';
import { writePrivate } from './private-file.ts';
import type { GitSource } from './request.ts';
import type { StepContext } from './step.ts';
import { runTool, ToolError } from './tool.ts';

/** What Debian and most others have; where a ConfigMap names authorities, they are trusted besides these. */
const SYSTEM_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/** Keys of a Git Secret, and what they are to us. */
const SECRET_KEYS = {
  username: 'username',
  password: 'password',
  token: 'token',
  'ssh-privatekey': 'sshPrivateKey',
  known_hosts: 'knownHosts',
} as const satisfies Record<string, keyof GitCredentials>;

/** A git that is set up for the source of one build. */
export interface Git {
  readonly setup: GitSetup;
  readonly context: StepContext;
}

/** git failed; what that means is in `fault`. */
export class GitError extends Error {
  override readonly name = 'GitError';
  readonly fault: GitFault;
  /** What it printed last, redacted. */
  readonly lines: readonly string[];

  constructor(fault: GitFault, lines: readonly string[], cause: unknown) {
    super(fault.sentence, { cause });
    this.fault = fault;
    this.lines = lines;
  }
}

/**
 * Reads the Secret and the authorities, and writes what git needs to `<work>/private`.
 *
 * @throws BuildFailure of the user's where URL or Secret cannot be used
 */
export async function openGit(context: StepContext, source: GitSource): Promise<Git> {
  const directory = join(context.work, 'private');
  const credentials = await readCredentials(context.files.gitSecret);
  const authorities = await readAuthorities(context.files.gitCA);
  let setup: GitSetup;
  try {
    setup = gitSetup({
      url: source.url,
      directory,
      env: context.env,
      ...(credentials === undefined ? {} : { credentials }),
      ...(authorities === undefined ? {} : { authorities }),
    });
  } catch (error) {
    if (!(error instanceof GitInputError)) throw error;
    throw new BuildFailure('source', 'user', error.message, { cause: error });
  }
  for (const file of setup.files) await writePrivate(file);
  return { setup, context };
}

/**
 * Runs git in `cwd` and gives its standard output.
 *
 * @param timeoutMs after so many milliseconds the server counts as silent
 * @throws GitError; the signal's reason when the build was cancelled
 */
export async function runGit(
  git: Git,
  args: readonly string[],
  run: { cwd?: string; timeoutMs: number },
): Promise<string> {
  const { context, setup } = git;
  const timeout = AbortSignal.timeout(run.timeoutMs);
  try {
    return await runTool(
      'git',
      args,
      {
        env: setup.env,
        cwd: run.cwd ?? context.work,
        onLine: context.say,
        signal: AbortSignal.any([context.signal, timeout]),
      },
      context.redact,
    );
  } catch (error) {
    context.signal.throwIfAborted();
    if (timeout.aborted) throw new GitError(SILENT_SERVER, [], error);
    if (!(error instanceof ToolError)) throw error;
    if (error.exitCode === undefined) {
      const message = `git cannot be run in this builder image: ${error.lines.join(' ')}`;
      throw new BuildFailure('source', 'infrastructure', message, { cause: error });
    }
    throw new GitError(classifyGitFault(error.lines), error.lines, error);
  }
}

async function readCredentials(folder: string): Promise<GitCredentials | undefined> {
  const found: { -readonly [K in keyof GitCredentials]: GitCredentials[K] } = {};
  for (const [file, field] of Object.entries(SECRET_KEYS)) {
    const text = await readText(join(folder, file));
    if (text !== undefined) found[field] = text;
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

async function readAuthorities(folder: string): Promise<string | undefined> {
  const texts: string[] = [];
  for (const name of await entriesOf(folder)) {
    const text = await readText(join(folder, name));
    if (text !== undefined) texts.push(text);
  }
  if (texts.length === 0) return undefined;
  return [await readText(SYSTEM_AUTHORITIES), ...texts].filter((text) => text !== undefined).join('\n');
}

async function readText(path: string): Promise<string | undefined> {
  return (await readIfThere(path))?.toString('utf8');
}
