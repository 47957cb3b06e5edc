/** The operator as a process of its own, under its ServiceAccount and with nothing but its generated rights. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { CacheDigest } from '../../src/controllers/cache-digest.ts';
import type { ControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';
import { installCrd } from './modules.ts';
import { OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT } from './operator-identity.ts';
import { freePorts } from './ports.ts';
import { PROGRAM } from './program.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export { OPERATOR_NAMESPACE, OPERATOR_USER } from './operator-identity.ts';

export interface OperatorOptions {
  /** More flags of `kmm manager`, as in `--selector-grace-period=2s`. */
  readonly flags?: readonly string[];
  /** The program to run; the sources unless told. `dist/kmm.mjs` is the bundle. */
  readonly program?: string;
  /** Arguments of Node itself. */
  readonly nodeOptions?: readonly string[];
  /** More environment of the process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another kubeconfig than one with a token of the operator's ServiceAccount. */
  readonly kubeconfig?: string;
}

/** One line of the operator's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/**
 * Applies the CRD and the generated roles, and waits until Modules are served. The admission policy is optional for users; here it is
 * on unless told, so that every test shows that it refuses nothing the operator needs.
 */
export async function installOperator(
  controlPlane: ControlPlane,
  { admissionPolicy = true }: { readonly admissionPolicy?: boolean } = {},
): Promise<void> {
  await controlPlane.kubectl(['apply', '--server-side', '-k', join(ROOT, 'config/rbac')]);
  if (admissionPolicy) await installAdmissionPolicy(controlPlane);
  await installCrd({ controlPlane });
}

/** @param component its folder in config/components */
export async function installAdmissionPolicy(
  controlPlane: ControlPlane,
  component: 'admission-policy' | 'admission-policy-namespaces' = 'admission-policy',
): Promise<void> {
  await controlPlane.kubectl(['apply', '--server-side', '-k', join(ROOT, 'config/components', component)]);
}

/** A kubeconfig with the operator's rights; through `server` where it goes by a proxy. */
export function operatorKubeconfig(controlPlane: ControlPlane, server = controlPlane.server): Promise<string> {
  return controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, { server });
}

/**
 * What the operator's image gives Node; docs/bench.md tells what they save. Without them V8 lets garbage pile up while the machine has
 * memory left: the semi-spaces alone grow to 128 MB.
 */
export const IMAGE_NODE_OPTIONS = ['--optimize-for-size', '--max-semi-space-size=2'];

/** What the memory of an operator may grow to where it is installed as config/manager has it, before the kernel ends it; MB. */
export const INSTALLED_MEMORY_MB = 256;

let started = 0;

/** Starts an operator that has been installed, and returns when its caches are synced (`/readyz`). */
export async function startOperator(
  controlPlane: ControlPlane,
  options: OperatorOptions = {},
): Promise<OperatorProcess> {
  const operator = await spawnOperator(controlPlane, options);
  await operator.waitUntilReady();
  return operator;
}

/** As startOperator, and returns at once. */
export async function spawnOperator(
  controlPlane: ControlPlane,
  options: OperatorOptions = {},
): Promise<OperatorProcess> {
  const [metrics = 0, probes = 0] = await freePorts(2);
  const kubeconfig = options.kubeconfig ?? (await operatorKubeconfig(controlPlane));
  // Run from the cluster's folder, so that whoever ends what runs there ends the operator too.
  const node = join(controlPlane.directory, 'bin', 'node');
  if (!existsSync(node)) await symlink(process.execPath, node);
  const logFile = join(controlPlane.directory, `operator-${process.pid}-${++started}.log`);
  const log = openSync(logFile, 'a');
  const child = spawn(
    node,
    [
      ...(options.nodeOptions ?? []),
      options.program ?? PROGRAM,
      'manager',
      `--kubeconfig=${kubeconfig}`,
      `--metrics-bind-address=127.0.0.1:${metrics}`,
      `--health-probe-bind-address=127.0.0.1:${probes}`,
      ...(options.flags ?? []),
    ],
    {
      cwd: controlPlane.directory,
      env: {
        PATH: '/usr/bin:/bin',
        HOME: controlPlane.directory,
        ...options.env,
      },
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  return new OperatorProcess(child, logFile, metrics, probes);
}

export class OperatorProcess {
  readonly #child: ChildProcess;
  readonly #metrics: number;
  readonly #probes: number;
  /** Path of the file that its log goes to. */
  readonly logFile: string;
  /** Exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  #ended = false;

  constructor(child: ChildProcess, logFile: string, metrics: number, probes: number) {
    this.#child = child;
    this.logFile = logFile;
    this.#metrics = metrics;
    this.#probes = probes;
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        this.#ended = true;
        resolve(code ?? signal ?? 'SIGKILL');
      });
    });
    // Whoever awaits it sees the error; nobody has to.
    this.exited.catch(() => undefined);
  }

  /** @throws Error with the last of its log when it has not started */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the operator has not started');
    return this.#child.pid;
  }

  /** Where it serves /metrics, on loopback. */
  get metricsPort(): number {
    return this.#metrics;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  async waitUntilReady(): Promise<void> {
    await eventually(
      async (signal) => {
        // An operator that has ended never becomes ready; waiting for it would hide why.
        if (this.#ended) return;
        const { status, text } = await this.#get(this.#probes, '/readyz', signal);
        if (status !== 200) throw new Error(text);
      },
      { what: 'the operator to be ready' },
    );
    if (this.#ended) throw new Error(`the operator ended with ${await this.exited}: ${await this.#lastLines()}`);
  }

  /** What `/readyz` says; undefined while nobody listens. */
  async readyz(): Promise<string | undefined> {
    try {
      return (await this.#get(this.#probes, '/readyz', AbortSignal.timeout(5_000))).text;
    } catch {
      return undefined;
    }
  }

  /** Prometheus text of `/metrics`. */
  async metrics(): Promise<string> {
    const { text } = await this.#get(this.#metrics, '/metrics', AbortSignal.timeout(5_000));
    return text;
  }

  /** `/metrics` as whoever has this token asks for it. */
  async metricsAs(token: string | undefined): Promise<{ readonly status: number; readonly text: string }> {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return this.#get(this.#metrics, '/metrics', AbortSignal.timeout(10_000), headers);
  }

  /** Value of the series whose name and labels are `series`, as in `kmm_modules`; undefined when it is not there. */
  async metric(series: string): Promise<number | undefined> {
    const line = (await this.metrics()).split('\n').find((line) => line.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }

  /** What its caches hold, as it logs it when it is asked by a signal. */
  async cacheDigests(): Promise<Readonly<Record<string, CacheDigest>>> {
    const told = async () => (await this.log()).filter(({ msg }) => msg === 'cache digests');
    const before = (await told()).length;
    this.#child.kill('SIGUSR2');
    return eventually(
      async () => {
        const line: (LogLine & { readonly caches?: Readonly<Record<string, CacheDigest>> }) | undefined = (
          await told()
        )[before];
        if (line?.caches === undefined) throw new Error('it has told nothing yet');
        return line.caches;
      },
      { what: 'the operator to tell what its caches hold' },
    );
  }

  async log(): Promise<readonly LogLine[]> {
    const text = await readFile(this.logFile, 'utf8');
    return text.split('\n').flatMap((line) => (line.startsWith('{') ? [parseLine(line)] : []));
  }

  /** SIGTERM; gives the exit code when it has drained. */
  async stop(): Promise<number | NodeJS.Signals> {
    this.#child.kill('SIGTERM');
    return this.exited;
  }

  /** SIGKILL: as when its node dies. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** Lets this process end while the operator runs on; whoever ends what runs from the cluster's folder ends it. */
  detach(): void {
    this.#child.unref();
  }

  /** SIGSTOP: it does nothing more, and nobody is told. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  async #get(
    port: number,
    path: string,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly status: number; readonly text: string }> {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal, headers });
    return { status: answer.status, text: await answer.text() };
  }

  async #lastLines(): Promise<string> {
    const text = await readFile(this.logFile, 'utf8');
    return text.trim().split('\n').slice(-10).join('\n');
  }
}

function parseLine(line: string): LogLine {
  return JSON.parse(line);
}
