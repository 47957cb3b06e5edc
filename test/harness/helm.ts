/** The chart on a cluster of the tests: real helm, and an operator that runs as the Deployment it made says. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ensureHelm } from '../../hack/helm/helm.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import type { ControlPlane } from './control-plane.ts';
import { OPERATOR_NAMESPACE, type OperatorOptions } from './operator.ts';
import { type Deployment, objectsIn } from './rendered.ts';
import { type RunResult, run } from './run.ts';

export const CHART = fileURLToPath(new URL('../../charts/kmm', import.meta.url));
export const RELEASE = 'kmm';

export class Helm {
  readonly #program: string;
  readonly #directory: string;
  readonly #kubeconfig: string;

  private constructor(program: string, directory: string, kubeconfig: string) {
    this.#program = program;
    this.#directory = directory;
    this.#kubeconfig = kubeconfig;
  }

  /** helm with the administrator's kubeconfig, and nothing of the user's own settings. */
  static async on({ directory, kubeconfig }: Pick<ControlPlane, 'directory' | 'kubeconfig'>): Promise<Helm> {
    const home = join(directory, 'helm');
    await mkdir(home, { recursive: true });
    return new Helm(await ensureHelm(), home, kubeconfig);
  }

  try(...args: readonly string[]): Promise<RunResult> {
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.#directory, KUBECONFIG: this.#kubeconfig };
    return run(this.#program, args, { env, cwd: this.#directory });
  }

  /** As `try`, with what helm printed; throws what it said when it fails. */
  async run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0) throw new Error(`helm ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** The objects of the chart with these values (`--set`), without a cluster. */
  async template(...values: readonly string[]): Promise<readonly KubeObject[]> {
    const set = values.flatMap((value) => ['--set', value]);
    return objectsIn(await this.run('template', RELEASE, CHART, '--namespace', OPERATOR_NAMESPACE, ...set));
  }

  /** Packages a chart under another version, and gives the archive's path. */
  async package(chart: string, version: string): Promise<string> {
    await this.run('package', chart, '--version', version, '--app-version', version, '--destination', this.#directory);
    return join(this.#directory, `kmm-${version}.tgz`);
  }
}

/**
 * How to start the operator that is installed on the cluster: as its Deployment's ServiceAccount and with its flags, but for the ports,
 * which belong to the pod.
 */
export async function deployedOperator(controlPlane: ControlPlane): Promise<OperatorOptions> {
  const text = await controlPlane.kubectl(['get', 'deployment', RELEASE, '-n', OPERATOR_NAMESPACE, '-o', 'json']);
  const { spec }: Deployment = JSON.parse(text);
  const [command, ...flags] = spec.template.spec.containers[0]?.args ?? [];
  if (command !== 'manager') throw new Error(`the Deployment runs ${command}`);
  return {
    flags: flags.filter((flag) => !/^--(metrics|health-probe)-bind-address=/.test(flag)),
    kubeconfig: await controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, spec.template.spec.serviceAccountName),
  };
}
