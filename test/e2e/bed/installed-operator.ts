/** The operator as users install it: the image of `make images` out of the bed's registry, by the Helm chart. */
import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { eventually } from '../../harness/eventually.ts';
import { OPERATOR_NAMESPACE } from '../../harness/operator.ts';
import { runOrThrow } from '../../harness/run.ts';
import { processesOf } from '../guest.ts';
import type { TestedCluster } from '../tested-cluster.ts';
import type { Bed } from './bed.ts';
import { REGISTRY_IMAGE } from './building.ts';
import { REGISTRY } from './guest-config.ts';
import type { BedOperator } from './operator.ts';
import type { OperatorPackage } from './operator-package.ts';
import { productName } from './product-image.ts';

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
/** A word of the command line of its process, which nothing else in a guest has. */
export const OPERATOR_PROCESS = 'manager';
/** An image with Node takes minutes to unpack under emulation. */
const TIMEOUT_MS = 600_000;

/** The number of replicas, which #scale() has taken, is helm's again. */
const OVER_OURS = ['--force-conflicts'];

interface Deploying {
  /** Values beside those that every installation has. */
  readonly more?: readonly string[];
  /** Of helm. */
  readonly options?: readonly string[];
}

interface Deployment extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
  };
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
  readonly #earlier: OperatorPackage | undefined;

  constructor(bed: Bed, from: OperatorPackage, earlier: OperatorPackage | undefined) {
    this.#bed = bed;
    this.#package = from;
    this.#earlier = earlier;
  }

  install(): Promise<void> {
    return this.#deploy(this.#package);
  }

  async #deploy(from: OperatorPackage, { more = [], options = [] }: Deploying = {}): Promise<void> {
    const [repository = '', tag = ''] = from.image.name.split(':');
    const values = [
      `image.repository=${REGISTRY}/${repository}`,
      `image.tag=${tag}`,
      `build.builderImage=${REGISTRY}/${productName('builder')}`,
      ...LEASE.map((flag, index) => `extraArgs[${index}]=${flag}`),
      ...more,
    ];
    await this.#helmUpgrade(from, values, options);
  }

  async #helmUpgrade(
    { helm, chart }: OperatorPackage,
    values: readonly string[],
    options: readonly string[] = [],
  ): Promise<void> {
    const place = ['--namespace', OPERATOR_NAMESPACE, '--create-namespace'];
    const words = [...place, ...options, ...values.flatMap((value) => ['--set', value])];
    await runOrThrow(helm, ['upgrade', '--install', RELEASE, chart, ...words], {
      env: {
        PATH: '/usr/bin:/bin',
        HOME: this.#bed.controlPlane.directory,
        KUBECONFIG: this.#bed.controlPlane.kubeconfig,
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  }

  /** The cluster has a registry of its own from now on, as where an administrator turns it on later. */
  async enableRegistry(): Promise<void> {
    const values = ['registry.enabled=true', `registry.image=${REGISTRY}/${REGISTRY_IMAGE}`];
    await this.#helmUpgrade(this.#package, values, ['--reset-then-reuse-values']);
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

  get hasEarlier(): boolean {
    return this.#earlier !== undefined;
  }

  async startEarlier(): Promise<void> {
    if (this.#earlier === undefined) throw new Error('there is no earlier operator');
    // Not one replica after the other: what comes before an upgrade is not what is looked at. One is enough, and starts sooner than two.
    await this.#scale(0);
    await this.#untilNoneRuns();
    await this.#deploy(this.#earlier, { more: ['replicas=1'], options: OVER_OURS });
    await this.start();
  }

  async upgrade(): Promise<void> {
    await this.#deploy(this.#package);
    await this.start();
  }

  async ensure(): Promise<void> {
    const { spec } = await this.#deployment();
    const [container] = spec.template.spec.containers;
    const isOurs = container?.image === `${REGISTRY}/${this.#package.image.name}`;
    if (spec.replicas !== 0 && isOurs) return;
    await this.#deploy(this.#package, { options: OVER_OURS });
    await this.start();
  }

  async kill(): Promise<void> {
    // Stopped, it does not hear that the kubelet asks it to end, and gives its Lease back to nobody. The kubelet kills it then; had
    // we done that, the kubelet would start it again while its pod goes, over which containerd 1.6 fails.
    for (const node of this.#bed.nodes) {
      const pids = await processesOf(node, OPERATOR_PROCESS);
      if (pids.length > 0) await node.exec(`kill -STOP ${pids.join(' ')}`);
    }
    await this.#scale(0);
    const pods = ['delete', 'pods', '-n', OPERATOR_NAMESPACE, '-l', PODS_OF_IT, '--grace-period=0', '--force'];
    await this.#bed.controlPlane.kubectl(pods);
    await this.#untilNoneRuns();
  }

  #untilNoneRuns(): Promise<void> {
    return eventually(
      async () => {
        for (const node of this.#bed.nodes) {
          const pids = await processesOf(node, OPERATOR_PROCESS);
          if (pids.length > 0) throw new Error(`pid ${pids.join(', ')} still runs on ${node.name}`);
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
