/**
 * The operator as a pod has it: service-account files at the path where the kubelet puts them, and KUBERNETES_SERVICE_HOST.
 *
 * The path is fixed, so the process gets a mount namespace of its own in which /var/run is a fresh tmpfs; the machine's own
 * /var/run is never touched, and the namespace is gone with the process.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ControlPlane } from '../harness/control-plane.ts';
import { OPERATOR_NAMESPACE, OperatorProcess } from '../harness/operator.ts';
import { freePorts } from '../harness/ports.ts';
import { run } from '../harness/run.ts';

const SERVICE_ACCOUNT = 'kmm';
const TOKEN_SECONDS = 86_400;

/** How the operator finds the API server: as in a pod or, where no mount namespace can be had, by a kubeconfig. */
export type Identity = 'pod' | 'kubeconfig';

export interface StartedOperator {
  readonly process: OperatorProcess;
  /** Just before the process was started, milliseconds since the epoch. */
  readonly startedAt: number;
}

/** Root makes a mount namespace as it is, others within a user namespace; some machines allow neither. */
const UNSHARE_VARIANTS: readonly (readonly string[])[] = [['--mount'], ['--map-root-user', '--mount']];

const MOUNT_VAR_RUN = 'mount -t tmpfs -o mode=0755 tmpfs "$(readlink -f /var/run)"';
const RUN_AS_POD = `${MOUNT_VAR_RUN} && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount &&
cp "$0"/* /var/run/secrets/kubernetes.io/serviceaccount/ && exec "$@"`;

/** Starts operators of one control plane. Make one with {@link OperatorPods.prepare}. */
export class OperatorPods {
  readonly identity: Identity;
  readonly #controlPlane: ControlPlane;
  readonly #launcher: readonly string[];
  #started = 0;

  private constructor(controlPlane: ControlPlane, launcher: readonly string[] | undefined) {
    this.#controlPlane = controlPlane;
    this.identity = launcher === undefined ? 'kubeconfig' : 'pod';
    this.#launcher = launcher ?? [];
  }

  /** Copies the bundle beside the control plane, so that a build that runs meanwhile takes nothing away from under it. */
  static async prepare(controlPlane: ControlPlane, bundle: string): Promise<OperatorPods> {
    const { directory } = controlPlane;
    await cp(bundle, join(directory, 'operator'), { recursive: true });
    await symlink(process.execPath, join(directory, 'bin', 'node'));
    const files = join(directory, 'service-account');
    await mkdir(files);
    const token = await controlPlane.kubectl(
      `create token ${SERVICE_ACCOUNT} -n ${OPERATOR_NAMESPACE} --duration=${TOKEN_SECONDS}s`.split(' '),
    );
    await writeFile(join(files, 'token'), token.trim(), { mode: 0o600 });
    await writeFile(join(files, 'namespace'), OPERATOR_NAMESPACE);
    await copyFile(controlPlane.pki.ca, join(files, 'ca.crt'));
    return new OperatorPods(controlPlane, await launcherFor(directory, files));
  }

  /** Starts the operator; it is not ready yet. */
  async start(nodeOptions: readonly string[]): Promise<StartedOperator> {
    const { directory, server } = this.#controlPlane;
    const [metrics = 0, probes = 0] = await freePorts(2);
    const { hostname, port } = new URL(server);
    const pod = this.identity === 'pod';
    const kubeconfig = pod ? [] : [`--kubeconfig=${await this.#kubeconfig()}`];
    const [program = '', ...args] = [
      ...this.#launcher,
      join(directory, 'bin', 'node'),
      ...nodeOptions,
      join(directory, 'operator', 'kmm.mjs'),
      'manager',
      `--metrics-bind-address=127.0.0.1:${metrics}`,
      `--health-probe-bind-address=127.0.0.1:${probes}`,
      ...kubeconfig,
    ];
    const logFile = join(directory, `operator-${++this.#started}.log`);
    const log = openSync(logFile, 'a');
    const startedAt = Date.now();
    const child = spawn(program, args, {
      cwd: directory,
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        ...(pod ? { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port } : {}),
      },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    return { process: new OperatorProcess(child, logFile, metrics, probes), startedAt };
  }

  #kubeconfig(): Promise<string> {
    return this.#controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, SERVICE_ACCOUNT);
  }
}

/**
 * The words before `node ...` that make it run as in a pod; undefined where that is impossible. Each of them executes the next, so the
 * process that was started is the operator in the end.
 */
async function launcherFor(directory: string, files: string): Promise<readonly string[] | undefined> {
  const unshare = ['/usr/bin/unshare', '/bin/unshare'].find((file) => existsSync(file));
  if (unshare === undefined) return undefined;
  // Under the cluster's folder, so that whoever ends what runs there ends this too, were it caught before it becomes node.
  const program = join(directory, 'bin', 'unshare');
  await symlink(unshare, program);
  for (const variant of UNSHARE_VARIANTS) {
    const launcher = [program, ...variant, '/bin/sh', '-c', RUN_AS_POD, files];
    // Also says no where the temporary folder itself lies under /var/run.
    const tried = await run(program, [...launcher.slice(1), join(directory, 'bin', 'node'), '--version']);
    if (tried.code === 0) return launcher;
  }
  return undefined;
}
