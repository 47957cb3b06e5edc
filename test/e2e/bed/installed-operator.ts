/** The operator as users install it: the image of `make images` out of the bed's registry, by the Helm chart. */
import { join } from 'node:path';

import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { eventually } from '../../harness/eventually.ts';
import { OPERATOR_NAMESPACE } from '../../harness/operator.ts';
import { runOrThrow } from '../../harness/run.ts';
import type { TestedCluster } from '../tested-cluster.ts';
import type { Bed } from './bed.ts';
import { REGISTRY_IMAGE } from './building.ts';
import { REGISTRY } from './guest-config.ts';
import type { BedOperator } from './operator.ts';
import type { OperatorPackage } from './operator-package.ts';
import { productName } from './product-image.ts';

const CHART = join(import.meta.dirname, '..', '..', '..', 'charts', 'kmm');
const RELEASE = 'kmm';
const PODS_OF_IT = 'app.kubernetes.io/name=kmm,app.kubernetes.io/component=manager';
/**
 * A guest that gets a third of a processor cannot renew a Lease in the usual 10 s; and whoever reboots the leader's node waits for its Lease
 * to run out.
 */
const LEASE = [
  '--leader-elect-lease-duration=30s',
  '--leader-elect-renew-deadline=20s',
  '--leader-elect-retry-period=4s',
];
/** The command line of its process for pgrep, which is not to find itself; the front of the registry is the same program. */
export const OPERATOR_PROCESS = '[/]opt/kmm/kmm.mjs manager';
/** An image with Node takes minutes to unpack under emulation. */
const TIMEOUT_MS = 600_000;

interface Deployment extends KubeObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
  };
}

const DEPLOYMENTS = defineResource<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
});

/** The last lines that each of its replicas logged. */
export function installedOperatorLog(cluster: Pick<TestedCluster, 'kubectl'>): Promise<string> {
  const lines = ['--tail=60', '--prefix', '--all-containers'];
  return cluster.kubectl(['logs', '-n', OPERATOR_NAMESPACE, '-l', PODS_OF_IT, ...lines], {
    signal: AbortSignal.timeout(30_000),
  });
}

export class InstalledOperator implements BedOperator {
  readonly manner = 'as pods, installed with the Helm chart';
  readonly #bed: Bed;
  readonly #package: OperatorPackage;

  constructor(bed: Bed, from: OperatorPackage) {
    this.#bed = bed;
    this.#package = from;
  }

  install(): Promise<void> {
    return this.#deploy([]);
  }

  async #deploy(more: readonly string[]): Promise<void> {
    const [repository = '', tag = ''] = this.#package.image.name.split(':');
    await this.#upgrade([
      `image.repository=${REGISTRY}/${repository}`,
      `image.tag=${tag}`,
      `build.builderImage=${REGISTRY}/${productName('builder')}`,
      ...LEASE.map((flag, index) => `extraArgs[${index}]=${flag}`),
      ...more,
    ]);
  }

  async #upgrade(values: readonly string[], options: readonly string[] = []): Promise<void> {
    const place = ['--namespace', OPERATOR_NAMESPACE, '--create-namespace'];
    const words = [...place, ...options, ...values.flatMap((value) => ['--set', value])];
    await runOrThrow(this.#package.helm, ['upgrade', '--install', RELEASE, CHART, ...words], {
      env: {
        PATH: '/usr/bin:/bin',
        HOME: this.#bed.controlPlane.directory,
        KUBECONFIG: this.#bed.controlPlane.kubeconfig,
      },
    });
  }

  /** The cluster has a registry of its own from now on, as where an administrator turns it on later. */
  async enableRegistry(): Promise<void> {
    const values = ['registry.enabled=true', `registry.image=${REGISTRY}/${REGISTRY_IMAGE}`];
    await this.#upgrade(values, ['--reset-then-reuse-values']);
    await this.start();
    for (const workload of ['deployment/kmm-registry', 'daemonset/kmm-registry-node']) {
      const words = ['rollout', 'status', workload, '-n', OPERATOR_NAMESPACE, `--timeout=${TIMEOUT_MS / 1000}s`];
      await this.#bed.controlPlane.kubectl(words);
    }
  }

  async start(): Promise<void> {
    const { spec } = await this.#deployment();
    if (spec.replicas === 0) await this.#scale(2);
    await eventually(
      async () => {
        const { metadata, spec, status } = await this.#deployment();
        const { observedGeneration, replicas, updatedReplicas, availableReplicas = 0 } = status ?? {};
        const isNew = observedGeneration === metadata.generation && updatedReplicas === spec.replicas;
        // None of the ones before is left, either.
        if (isNew && replicas === spec.replicas && availableReplicas === spec.replicas) return;
        throw new Error(`${availableReplicas} of ${spec.replicas} replicas are available, ${updatedReplicas} new`);
      },
      { what: 'the operator to be available', timeoutMs: TIMEOUT_MS, intervalMs: 500 },
    );
  }

  async upgrade(priorityClassName: string): Promise<void> {
    await this.#deploy([`modules.priorityClassName=${priorityClassName}`]);
    await this.start();
  }

  async kill(): Promise<void> {
    await this.#scale(0);
    const pods = ['delete', 'pods', '-n', OPERATOR_NAMESPACE, '-l', PODS_OF_IT, '--grace-period=0', '--force'];
    await this.#bed.controlPlane.kubectl(pods);
    await eventually(
      async () => {
        for (const node of this.#bed.nodes) {
          const { output } = await node.exec(`pgrep -f '${OPERATOR_PROCESS}'`);
          if (output.trim() !== '') throw new Error(`pid ${output.trim()} still runs on ${node.name}`);
        }
      },
      { what: 'the end of the operator', timeoutMs: TIMEOUT_MS, intervalMs: 500 },
    );
  }

  log(): Promise<string> {
    return installedOperatorLog(this.#bed);
  }

  #deployment(): Promise<Deployment> {
    return this.#bed.admin.get(DEPLOYMENTS, { namespace: OPERATOR_NAMESPACE, name: RELEASE });
  }

  async #scale(replicas: number): Promise<void> {
    await this.#bed.admin.patch(DEPLOYMENTS, { namespace: OPERATOR_NAMESPACE, name: RELEASE }, { spec: { replicas } });
  }
}
