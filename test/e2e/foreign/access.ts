/** A privileged pod on each node: what asks its kernel, where the machine is not ours. */
import type { KubeObject } from '../../../src/kube/objects.ts';
import { run } from '../../harness/run.ts';
import { TOOLS_IMAGE } from '../bed/images.ts';
import { type ExecResult, RealNode } from '../real-node.ts';

/** Of these pods. */
export const ACCESS_NAMESPACE = 'kmm-e2e';
/** Of the nodes that take part. */
export const NODE_LABEL = 'kmm-e2e.test/node';

const TRACING = '/sys/kernel/tracing';
/** A tracing instance of our own: whatever else traces there is not disturbed. Source: Documentation/trace/ftrace.rst, Instances. */
const INSTANCE = `${TRACING}/instances/kmm-e2e`;

/** Turns on what notes loads and unloads of modules, waits to be ended, and takes the instance away again. */
const HOLD = `set -e
[ -e ${TRACING}/trace ] || mount -t tracefs tracefs ${TRACING}
mkdir -p ${INSTANCE}
echo 1 > ${INSTANCE}/events/module/enable
trap 'echo 0 > ${INSTANCE}/events/module/enable; rmdir ${INSTANCE}; exit 0' TERM
while :; do sleep 3600 & wait; done`;

export function accessDaemonSet(registry: string): KubeObject {
  const labels = { app: 'kmm-e2e-access' };
  const container = {
    name: 'access',
    image: `${registry}/${TOOLS_IMAGE}`,
    command: ['sh', '-c', HOLD],
    readinessProbe: { exec: { command: ['test', '-e', `${INSTANCE}/trace`] }, periodSeconds: 10, timeoutSeconds: 20 },
    securityContext: { privileged: true },
  };
  const spec = {
    nodeSelector: { [NODE_LABEL]: 'yes' },
    tolerations: [{ operator: 'Exists' }],
    // The kernel's own list of processes.
    hostPID: true,
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 10,
    containers: [container],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { namespace: ACCESS_NAMESPACE, name: 'access' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  } as KubeObject;
}

/** A node that is asked through its pod. */
export class ForeignNode extends RealNode {
  readonly name: string;
  readonly tracing = INSTANCE;
  readonly consoleLog = undefined;
  readonly #kubectl: string;
  readonly #pod: string;

  /** @param kubectl path of the program, which KUBECONFIG tells where the cluster is */
  constructor(kubectl: string, { name, pod }: { readonly name: string; readonly pod: string }) {
    super();
    this.#kubectl = kubectl;
    this.name = name;
    this.#pod = pod;
  }

  async exec(command: string, signal: AbortSignal = AbortSignal.timeout(60_000)): Promise<ExecResult> {
    const { code, stdout, stderr } = await run(
      this.#kubectl,
      ['exec', '-n', ACCESS_NAMESPACE, this.#pod, '--', 'sh', '-c', command],
      { signal },
    );
    return { code, output: stdout + stderr };
  }
}
