import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { EXIT_CODES } from '../build/pipeline/failure.ts';
import { BUILD_FILES_ROOT } from '../build/pipeline/files.ts';
import { runPipeline } from '../build/pipeline/pipeline.ts';
import { ownWay } from '../build/pipeline/privileges.ts';
import { encodeReport, type Report } from '../build/pipeline/report.ts';
import { STAGES, type Stage } from '../build/pipeline/stages.ts';
import { filePath, helpText, type OptionDefinitions, oneOf, readCommandLine, type ValueKind } from './options.ts';

interface BuildImageOptions {
  readonly stage: Stage;
  readonly files: string;
  readonly work: string;
  readonly terminationLog: string;
}

const directory: ValueKind<string> = { ...filePath, placeholder: 'directory', expected: 'the path of a directory' };

const DEFINITIONS: OptionDefinitions<BuildImageOptions> = {
  stage: {
    flag: 'stage',
    kind: oneOf(STAGES),
    default: 'all',
    description: 'The container of the build pod that this is, or all of them in one process.',
  },
  files: {
    flag: 'files',
    kind: directory,
    default: BUILD_FILES_ROOT,
    description: 'Where the request, the Secrets and the certificates are mounted.',
  },
  work: {
    flag: 'work',
    kind: directory,
    default: '/var/lib/kmm-build',
    description: 'A folder of this build alone; the stages hand each other their results in it.',
  },
  terminationLog: {
    flag: 'termination-log',
    kind: filePath,
    default: '/dev/termination-log',
    description: 'Where the report goes, as JSON.',
  },
};

const BAD_COMMAND_LINE = 1;
const USER_NAMESPACE = ['--user', '--map-root-user', '--map-auto', '--mount'];

/** Runs `kmm build-image` and leaves its outcome in process.exitCode: 0, 10 for what the user must mend, 20 for what may pass by itself. */
export async function runBuildImage(argv: readonly string[]): Promise<void> {
  const raw = readCommandLine('kmm build-image', Object.values(DEFINITIONS), argv);
  if (raw.helpWanted) {
    process.stdout.write(helpText('kmm build-image', Object.values(DEFINITIONS), 'flags'));
    return;
  }
  const errors = [...raw.errors];
  const read = <T>({
    flag,
    kind,
    default: preset = '',
  }: {
    flag: string;
    kind: ValueKind<T>;
    default?: string;
  }): T | undefined => {
    const text = raw.values.get(flag) ?? preset;
    const value = kind.read(text);
    if (value === undefined) errors.push(`--${flag}: "${text}" is not ${kind.expected}.`);
    return value;
  };
  const stage = read(DEFINITIONS.stage);
  const files = read(DEFINITIONS.files);
  const work = read(DEFINITIONS.work);
  const terminationLog = read(DEFINITIONS.terminationLog);
  if (
    errors.length > 0 ||
    stage === undefined ||
    files === undefined ||
    work === undefined ||
    terminationLog === undefined
  ) {
    for (const error of errors) process.stderr.write(`kmm build-image: ${error}\n`);
    process.exitCode = BAD_COMMAND_LINE;
    return;
  }
  if ((await ownWay()) === 'user namespace') {
    process.exitCode = await runInUserNamespace(argv);
    return;
  }
  await buildImage({ stage, files, work, terminationLog });
}

async function buildImage({ stage, files, work, terminationLog }: BuildImageOptions): Promise<void> {
  const abort = new AbortController();
  const stop = (): void => abort.abort(new Error('the process was told to end'));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  const print = (line: string): void => {
    process.stdout.write(`${new Date().toISOString()} ${line}\n`);
  };
  const report = await runPipeline({ stage, filesRoot: files, work, print, signal: abort.signal });
  process.exitCode = report.result === 'failed' ? EXIT_CODES[report.cause] : EXIT_CODES.done;
  print(`report: ${summary(report)}`);
  try {
    await writeFile(terminationLog, encodeReport(report));
  } catch (error) {
    process.stderr.write(
      `kmm build-image: the report cannot be written to ${terminationLog}: ${error instanceof Error ? error.message : ''}\n`,
    );
  }
}

function summary(report: Report): string {
  if (report.result === 'passed') return 'this stage is done';
  return report.result === 'failed'
    ? `failed in the step ${report.step}`
    : `${report.result} ${report.reference} (${report.image})`;
}

/**
 * Starts this same command in a user namespace of its own, where it may mount, and gives its exit code.
 *
 * `buildah unshare` would be the way for a user who is not root; for root without CAP_SYS_ADMIN buildah 1.28 goes round in circles there, each
 * time in one more namespace. The ids come from /etc/subuid and /etc/subgid.
 */
function runInUserNamespace(argv: readonly string[]): Promise<number> {
  const [program = ''] = process.argv.slice(1);
  const args = [...USER_NAMESPACE, '--', process.execPath, ...process.execArgv, program, 'build-image', ...argv];
  return new Promise((resolve) => {
    const child = spawn('unshare', args, {
      stdio: 'inherit',
      env: { ...process.env, _CONTAINERS_USERNS_CONFIGURED: 'done' },
    });
    const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.on('SIGTERM', pass);
    process.on('SIGINT', pass);
    child.once('error', (error) => {
      process.stderr.write(`kmm build-image: unshare cannot be started: ${error.message}\n`);
      resolve(EXIT_CODES.infrastructure);
    });
    child.once('close', (code, signal) => {
      // unshare itself ends with 1 where it cannot make the namespace; nothing of that is the user's to mend.
      const isOurs = code === EXIT_CODES.done || code === EXIT_CODES.user || code === EXIT_CODES.infrastructure;
      resolve(isOurs ? code : signal === null ? EXIT_CODES.infrastructure : 128 + constants.signals[signal]);
    });
  });
}
