import { createHash, randomUUID } from 'node:crypto';

import { NODES, type Node, type Taint } from '../../src/kube/core.ts';
import type { AdminClient } from './admin.ts';
import { eventually } from './eventually.ts';
import { containersOf, Pods } from './pods.ts';
import { KUBELET_STOPPED_LABEL, UNREACHABLE_ANNOTATION } from './stages.ts';

export interface SimulatedNode {
  /** `sim-<behaviour>` in it decides what pods on this node do (stages.ts). */
  readonly name: string;
  /** `status.nodeInfo.kernelVersion`. */
  readonly kernel: string;
  /** Go's name of the architecture; amd64 unless told. */
  readonly arch?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
}

export interface RebootOptions {
  /** Another kernel to come up with. */
  readonly kernel?: string;
  /**
   * What becomes of the containers on the node: `restarted` as a kubelet does (running, not ready, then ready), or
   * `stale`: the node says it has booted while its pods still carry the status from before, as they do for a moment.
   */
  readonly containers?: 'restarted' | 'stale';
}

/** Simulated nodes: kwok keeps them Ready; this class is what happens to them. */
export class Nodes {
  readonly #admin: AdminClient;
  readonly #pods: Pods;
  readonly #created = new Set<string>();

  constructor(admin: AdminClient) {
    this.#admin = admin;
    this.#pods = new Pods(admin);
  }

  /** Creates nodes, many requests at a time, and returns when the API server shows no startup taint on them. */
  async create(...nodes: readonly SimulatedNode[]): Promise<void> {
    await inParallel(nodes, 32, async (node) => {
      this.#created.add(node.name);
      await this.#admin.create(NODES, nodeObject(node));
    });
    const wanted = new Set(nodes.map((node) => node.name));
    await eventually(
      async () => {
        const found = (await this.#admin.list(NODES)).filter((node) => wanted.has(node.metadata.name ?? ''));
        const waiting = found.filter(hasNotReadyTaint).length + wanted.size - found.length;
        if (waiting > 0) throw new Error(`${waiting} of ${wanted.size} nodes are not`);
      },
      { what: `${wanted.size} nodes to be schedulable`, timeoutMs: 120_000, intervalMs: nodes.length > 100 ? 500 : 50 },
    );
  }

  /** `count` nodes named `<prefix>-<n>`, the kernels dealt round. */
  async createMany(
    count: number,
    options: { prefix: string; kernels: readonly string[]; labels?: Readonly<Record<string, string>> },
  ): Promise<readonly string[]> {
    const nodes = Array.from({ length: count }, (_, index) => ({
      name: `${options.prefix}-${index}`,
      kernel: options.kernels[index % options.kernels.length] ?? '',
      labels: options.labels,
    }));
    await this.create(...nodes);
    return nodes.map((node) => node.name);
  }

  get(name: string): Promise<Node> {
    return this.#admin.get(NODES, { name });
  }

  /** Another boot: a new bootID, the node NotReady and Ready again, and its containers started anew. */
  async reboot(name: string, options: RebootOptions = {}): Promise<void> {
    const node = await this.get(name);
    const nodeInfo = {
      ...node.status?.nodeInfo,
      bootID: randomUUID(),
      ...(options.kernel === undefined ? {} : { kernelVersion: options.kernel }),
    };
    await this.#patchStatus(name, { nodeInfo, conditions: [ready('False', 'KubeletNotReady')] });
    const pods = options.containers === 'stale' ? [] : await this.#pods.on(name);
    const restarted = pods.filter((pod) =>
      containersOf(pod).some((container) => container.state?.running !== undefined),
    );
    // A pod may be deleted meanwhile: the node has another boot, and perhaps another kernel.
    for (const pod of restarted) await this.#pods.restart(pod, { ready: false, mayBeGone: true });
    await this.#patchStatus(name, { conditions: [ready('True', 'KubeletReady')] });
    for (const pod of restarted) await this.#pods.setReady(pod, true, { mayBeGone: true });
  }

  /** Holds until it is set again: `Unknown` is what the node controller writes when a node stops answering. */
  async setReady(name: string, state: boolean | 'Unknown'): Promise<void> {
    await this.#admin.patch(
      NODES,
      { name },
      {
        metadata: { annotations: { [UNREACHABLE_ANNOTATION]: state === 'Unknown' ? 'true' : null } },
      },
    );
    const condition =
      state === 'Unknown'
        ? ready('Unknown', 'NodeStatusUnknown')
        : ready(state ? 'True' : 'False', state ? 'KubeletReady' : 'KubeletNotReady');
    await this.#patchStatus(name, { conditions: [condition] });
  }

  /** The kubelet stops: pods on the node neither start nor end, and their deletion waits for ever. */
  async stopKubelet(name: string): Promise<void> {
    await this.label(name, { [KUBELET_STOPPED_LABEL]: '' });
  }

  async startKubelet(name: string): Promise<void> {
    await this.label(name, { [KUBELET_STOPPED_LABEL]: null });
  }

  async cordon(name: string): Promise<void> {
    await this.#admin.patch(NODES, { name }, { spec: { unschedulable: true } });
  }

  async uncordon(name: string): Promise<void> {
    await this.#admin.patch(NODES, { name }, { spec: { unschedulable: null } });
  }

  /** Adds taints to those that are there, or in the place of those with the same key. */
  async taint(name: string, ...taints: readonly Taint[]): Promise<void> {
    const keys = new Set(taints.map(({ key }) => key));
    await this.#changeTaints(name, (standing) => [...standing.filter(({ key }) => !keys.has(key)), ...taints]);
  }

  /** A list of taints is one value to the API server: what others have put there stays. */
  async untaint(name: string, key: string): Promise<void> {
    await this.#changeTaints(name, (standing) => standing.filter((taint) => taint.key !== key));
  }

  /** A patch replaces the whole list, of which the node controller has its part: so it is bound to the version that was read. */
  async #changeTaints(name: string, change: (taints: readonly Taint[]) => readonly Taint[]): Promise<void> {
    await eventually(
      async () => {
        const { metadata, spec } = await this.get(name);
        const { resourceVersion } = metadata;
        await this.#admin.patch(
          NODES,
          { name },
          { metadata: { resourceVersion }, spec: { taints: change(spec?.taints ?? []) } },
        );
      },
      { what: `the taints of ${name} to be changed` },
    );
  }

  /** Sets labels; null takes one away. */
  async label(name: string, labels: Readonly<Record<string, string | null>>): Promise<void> {
    await this.#admin.patch(NODES, { name }, { metadata: { labels } });
  }

  async annotate(name: string, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    await this.#admin.patch(NODES, { name }, { metadata: { annotations } });
  }

  async delete(name: string): Promise<void> {
    await this.#admin.delete(NODES, { name });
    this.#created.delete(name);
  }

  /** Removes every node that this object created. */
  async deleteAll(): Promise<void> {
    await inParallel([...this.#created], 32, (name) => this.delete(name));
  }

  #patchStatus(name: string, status: unknown): Promise<Node> {
    return this.#admin.patch(NODES, { name }, { status }, { type: 'strategic', subresource: 'status' });
  }
}

/** As a kubelet registers: with its whole status, so that kwok has nothing to write. */
function nodeObject({ name, kernel, arch = 'amd64', labels = {}, taints }: SimulatedNode) {
  const resources = { cpu: '64', memory: '256Gi', pods: '250', 'ephemeral-storage': '1Ti' };
  const id = createHash('sha256').update(name).digest('hex');
  return {
    metadata: {
      name,
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/arch': arch, 'kubernetes.io/os': 'linux', ...labels },
      annotations: { 'kwok.x-k8s.io/node': 'fake' },
    },
    spec: { taints },
    status: {
      phase: 'Running',
      capacity: resources,
      allocatable: resources,
      addresses: [{ type: 'Hostname', address: name }],
      conditions: [
        ready('True', 'KubeletReady'),
        ...['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'].map((type) =>
          condition(type, 'False', 'Simulated'),
        ),
      ],
      nodeInfo: {
        architecture: arch,
        bootID: randomUUID(),
        containerRuntimeVersion: 'containerd://2.0.0',
        kernelVersion: kernel,
        kubeProxyVersion: '',
        kubeletVersion: 'v1.36.3',
        machineID: id.slice(0, 32),
        operatingSystem: 'linux',
        osImage: 'Simulated Linux',
        systemUUID: id.slice(32),
      },
    },
  };
}

function ready(status: 'True' | 'False' | 'Unknown', reason: string) {
  return condition('Ready', status, reason);
}

function condition(type: string, status: string, reason: string) {
  const now = new Date().toISOString();
  return { type, status, reason, message: '', lastHeartbeatTime: now, lastTransitionTime: now };
}

function hasNotReadyTaint(node: Node): boolean {
  return node.spec?.taints?.some((taint) => taint.key === 'node.kubernetes.io/not-ready') === true;
}

/** Runs `work` over the items, at most `width` at a time; the first failure is thrown. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: Math.min(width, items.length) }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
