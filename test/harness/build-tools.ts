/** Runs `kmm build-image` as a build pod does: a process with its files, a work folder and a termination log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { BUILD_FILES_ROOT, buildFiles } from '../../src/build/pipeline/files.ts';
import { decodeReport, type Report } from '../../src/build/pipeline/report.ts';
import type { BuildRequest } from '../../src/build/pipeline/request.ts';
import type { Stage } from '../../src/build/pipeline/stages.ts';
import { eventually } from './eventually.ts';
import { signalProcess } from './processes.ts';
import { PROGRAM } from './program.ts';
import { run } from './run.ts';
import { scanFolder, scanText } from './secret-scan.ts';

const LOOSE = { insecure: false, insecureSkipTLSVerify: false };

/** Plain HTTP both ways, a Dockerfile of its own, nothing signed and no layers kept, unless told otherwise. */
export function aRequest(image: string, kernel: string, changes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    image,
    shared: false,
    kernel,
    arch: 'amd64',
    module: { name: 'dummy', namespace: 'default' },
    source: { kind: 'inline', dockerfile: 'FROM scratch' },
    buildArgs: { KERNEL_FULL_VERSION: kernel, KERNEL_VERSION: kernel, MOD_NAME: 'dummy', MOD_NAMESPACE: 'default' },
    secrets: [],
    pull: { ...LOOSE, insecure: true },
    push: { ...LOOSE, insecure: true },
    cache: false,
    ...changes,
  };
}

/** What is mounted into the pod beside the request. */
export interface MountedFiles {
  /** Credentials by registry. */
  readonly pull?: Readonly<Record<string, Credentials>>;
  readonly push?: Readonly<Record<string, Credentials>>;
  readonly dockerfile?: string;
  /** Texts by key. */
  readonly gitSecret?: Readonly<Record<string, string>>;
  /** PEM. */
  readonly gitCA?: string;
  /** Texts by name of the Secret, then by key. */
  readonly buildSecrets?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly signKey?: string;
  readonly signCert?: string;
  readonly registriesConf?: string;
  /** Path of an authority's certificate. */
  readonly authority?: string;
  /** Of the cluster's own registry: texts. */
  readonly clusterRegistryCA?: string;
  readonly clusterRegistryToken?: string;
}

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

export interface BuildRun {
  readonly code: number;
  readonly log: string;
  readonly report: Report;
}

/** A build pod's files and work folder; they stay from one run to the next, as an emptyDir does. */
export class BuildPod {
  readonly root: string;
  /** Words in front of the command line, which take something away from it (setpriv, unshare). */
  wrapper: readonly string[] = [];
  #wasKilled = false;

  private constructor(root: string) {
    this.root = root;
  }

  static async create(request: BuildRequest, mounted: MountedFiles = {}): Promise<BuildPod> {
    const pod = new BuildPod(await mkdtemp(join(tmpdir(), 'kmm-build-')));
    await pod.mount(request, mounted);
    return pod;
  }

  get work(): string {
    return join(this.root, 'work');
  }

  /** Takes the place of what was mounted. */
  async mount(request: BuildRequest, mounted: MountedFiles = {}): Promise<void> {
    const folder = join(this.root, 'files');
    await rm(folder, { recursive: true, force: true });
    const files = buildFiles(folder);
    const write = async (path: string, text: string): Promise<void> => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    };
    await write(files.request, JSON.stringify(request));
    for (const [to, credentials] of [
      [files.pullSecret, mounted.pull],
      [files.pushSecret, mounted.push],
    ] as const) {
      if (credentials !== undefined) await write(join(to, '.dockerconfigjson'), dockerConfig(credentials));
    }
    if (mounted.dockerfile !== undefined) await write(files.dockerfile, mounted.dockerfile);
    if (mounted.gitCA !== undefined) await write(join(files.gitCA, 'ca.crt'), mounted.gitCA);
    for (const [key, text] of Object.entries(mounted.gitSecret ?? {})) await write(join(files.gitSecret, key), text);
    if (mounted.signKey !== undefined) await write(files.signKey, mounted.signKey);
    if (mounted.signCert !== undefined) await write(files.signCert, mounted.signCert);
    if (mounted.registriesConf !== undefined)
      await write(join(files.registries, 'registries.conf'), mounted.registriesConf);
    if (mounted.clusterRegistryCA !== undefined) await write(files.clusterRegistryCA, mounted.clusterRegistryCA);
    if (mounted.clusterRegistryToken !== undefined)
      await write(files.clusterRegistryToken, mounted.clusterRegistryToken);
    if (mounted.authority !== undefined)
      await write(join(files.registries, 'test.crt'), await readFile(mounted.authority, 'utf8'));
    for (const [name, keys] of Object.entries(mounted.buildSecrets ?? {})) {
      for (const [key, text] of Object.entries(keys)) await write(join(files.buildSecrets, name, key), text);
    }
  }

  /** Adds a file to what is mounted; its path is that in the pod (`/run/kmm/...`). */
  async put(path: string, content: Buffer): Promise<void> {
    const file = join(this.root, 'files', relative(BUILD_FILES_ROOT, path));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }

  /** Runs it to its end. */
  async run(stage: Stage = 'all'): Promise<BuildRun> {
    const { child, log } = await this.#start(stage);
    const code = await exitOf(child);
    return { code, log: log(), report: await this.#report(log()) };
  }

  /** Runs it until its log matches, then kills all of it at once, as the end of a container does. */
  async killAt(log: RegExp): Promise<void> {
    const running = await this.#until(log);
    await this.#killAll(running.child);
    await running.exit;
    this.#wasKilled = true;
    scanText('build logs', `the log of ${this.root}`, running.log());
  }

  /** Tells it to end, as the kubelet does, when its log matches and `isTime` says so. */
  async terminateAt(log: RegExp, isTime: () => boolean = () => true): Promise<BuildRun> {
    const running = await this.#until(log);
    await eventually(
      () => {
        if (!isTime()) throw new Error('not yet');
      },
      { what: 'the time to end the build' },
    );
    running.child.kill('SIGTERM');
    const code = await running.exit;
    return { code, log: running.log(), report: await this.#report(running.log()) };
  }

  async remove(): Promise<void> {
    const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    for (const mount of mounts.filter((path) => path.startsWith(`${this.root}/`)).toReversed())
      await run('umount', [mount]);
    // A build that was killed could not tidy up.
    await scanFolder('work folders', this.work, this.#wasKilled ? ['private'] : []);
    await rm(this.root, { recursive: true, force: true });
  }

  async #until(wanted: RegExp): Promise<{ child: ChildProcess; exit: Promise<number>; log: () => string }> {
    const { child, log } = await this.#start('all');
    const exit = exitOf(child);
    await eventually(
      () => {
        if (!wanted.test(log()) && child.exitCode === null) throw new Error(`not yet; its log: ${log()}`);
      },
      { what: `a log of the build that matches ${wanted}`, timeoutMs: 60_000, intervalMs: 1 },
    );
    if (!wanted.test(log())) throw new Error(`it ended before its log matched ${wanted}: ${log()}`);
    return { child, exit, log };
  }

  async #start(stage: string): Promise<{ child: ChildProcess; log: () => string }> {
    const terminationLog = join(this.root, 'termination-log');
    this.#wasKilled = false;
    await rm(terminationLog, { force: true });
    const args = ['build-image', `--stage=${stage}`, `--files=${join(this.root, 'files')}`, `--work=${this.work}`];
    const words = [...this.wrapper, process.execPath, PROGRAM, ...args, `--termination-log=${terminationLog}`];
    const [program = '', ...rest] = words;
    const child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    return { child, log: () => text };
  }

  async #report(log: string): Promise<Report> {
    const message = await readFile(join(this.root, 'termination-log'), 'utf8').catch(() => '');
    scanText('build logs', `the log and report of ${this.root}`, `${log}\n${message}`);
    const report = decodeReport(message);
    if (report === undefined) throw new Error(`the build left no report; its log: ${log}`);
    return report;
  }

  /** The process first, so that it starts no more; its tools are groups of their own, known by their HOME. */
  async #killAll(child: ChildProcess): Promise<void> {
    child.kill('SIGKILL');
    await eventually(
      async () => {
        const pids = await this.#tools();
        for (const pid of pids) signalProcess(pid, 'SIGKILL');
        if (pids.length > 0) throw new Error(`pids ${pids.join(', ')} still run`);
      },
      { what: 'the end of all tools of the build', intervalMs: 5 },
    );
  }

  async #tools(): Promise<readonly number[]> {
    const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
    const ours = await Promise.all(
      pids.map(async (pid) => {
        const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
        return environment.includes(`${this.work}/`) ? [Number(pid)] : [];
      }),
    );
    return ours.flat();
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('close', (code) => resolve(code ?? 128));
  });
}

function dockerConfig(credentials: Readonly<Record<string, Credentials>>): string {
  const auths = Object.entries(credentials).map(([host, { name, password }]) => [
    host,
    { auth: Buffer.from(`${name}:${password}`).toString('base64') },
  ]);
  return JSON.stringify({ auths: Object.fromEntries(auths) });
}
