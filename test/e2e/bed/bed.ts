/** The bed: a control plane, a registry and two nodes that are virtual machines with kernels of their own, in one network namespace. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Progress } from '../../../hack/control-plane/progress.ts';
import { NODES, type Node } from '../../../src/kube/core.ts';
import { AdminClient } from '../../harness/admin.ts';
import { attachControlPlane, type ControlPlane, startControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { freePorts } from '../../harness/ports.ts';
import type { RunOptions } from '../../harness/run.ts';
import { makeSchedulable, type TestedCluster } from '../tested-cluster.ts';
import { startDns } from './dns.ts';
import { LOCKED_REGISTRY, REGISTRY, SERVER_ADDRESSES } from './guest-config.ts';
import { type BedImage, push } from './images.ts';
import { InstalledOperator } from './installed-operator.ts';
import type { Kernel } from './kernels.ts';
import { layOutNetwork, nodePlace } from './network.ts';
import { type BedOperator, ProcessOperator } from './operator.ts';
import type { EarlierOperator, OperatorPackage } from './operator-package.ts';
import { linkPrograms, startBedRegistry } from './programs.ts';
import type { Software } from './software.ts';
import { VirtualNode, type Wire } from './virtual-node.ts';

/** What was made before, outside of the bed's network: see material.ts. */
export interface Material {
  readonly software: Software;
  /** The newer first. */
  readonly kernels: readonly [Kernel, Kernel];
  readonly disk: string;
  readonly images: readonly BedImage[];
  /** What a cluster that builds images needs beside; that of the builder is among the images then. */
  readonly services?: Services;
  /** With it the operator is installed as users do, without it it is a process. */
  readonly operator?: OperatorPackage;
  /** What an upgrade begins with. */
  readonly earlier?: EarlierOperator;
}

/** Paths of what makes Services of a cluster work. */
export interface Services {
  readonly kubeProxy: string;
  readonly dns: string;
}

const PLACES = ['vm1', 'vm2'].map((name, index) => nodePlace(name, index + 1));
/** How long a node may be silent before it is NotReady. */
const GRACE = '20s';
/** Upper bound of a boot on a busy machine; 20 to 45 s where it is quiet. */
const READY_TIMEOUT_MS = 600_000;

/** Starts the control plane and the registries: a bed whose machines are off. Whoever has it boots it, and ends it. */
export async function layOutBed(material: Material, progress: Progress, signal: AbortSignal): Promise<Bed> {
  await layOutNetwork();
  progress.start('Starting the control plane');
  const controlPlane = await startControlPlane({
    name: 'e2e',
    nodeMonitorGracePeriod: GRACE,
    kubelets: { addresses: SERVER_ADDRESSES },
    simulation: false,
    signal,
  });
  try {
    const { directory } = controlPlane;
    await mkdir(join(directory, 'nodes'));
    await linkPrograms(directory);
    await writeFile(join(directory, 'bed.json'), JSON.stringify(material));
    await startBedRegistry(directory);
    const user = { name: 'somebody', password: randomBytes(12).toString('hex') };
    await startBedRegistry(directory, LOCKED_REGISTRY, user);
    const bed = await Bed.around(controlPlane, material);
    if (material.services !== undefined) await startDns(material.services.dns, controlPlane);
    progress.done();
    return bed;
  } catch (error) {
    progress.abandon();
    await controlPlane.stop();
    throw error;
  }
}

/** The bed that another process of this machine started in `directory`; that one still ends it. */
export async function attachBed(directory: string): Promise<Bed> {
  const material: Material = JSON.parse(await readFile(join(directory, 'bed.json'), 'utf8'));
  return Bed.around(await attachControlPlane(directory), material);
}

export class Bed implements TestedCluster {
  readonly controlPlane: ControlPlane;
  readonly admin: AdminClient;
  readonly kernels: readonly [newer: Kernel, older: Kernel];
  readonly #material: Material;
  readonly vm1: VirtualNode;
  readonly vm2: VirtualNode;
  readonly operator: BedOperator;
  readonly registry = REGISTRY;
  readonly selector = { 'kubernetes.io/os': 'linux' };

  private constructor(controlPlane: ControlPlane, admin: AdminClient, material: Material) {
    this.controlPlane = controlPlane;
    this.admin = admin;
    this.kernels = material.kernels;
    this.#material = material;
    const [vm1, vm2] = PLACES.map((place) =>
      VirtualNode.attach(join(controlPlane.directory, 'nodes', place.name), place),
    );
    if (vm1 === undefined || vm2 === undefined) throw new Error('a bed has two nodes');
    this.vm1 = vm1;
    this.vm2 = vm2;
    this.operator =
      material.operator === undefined
        ? new ProcessOperator(controlPlane, material.earlier?.program)
        : new InstalledOperator(this, material.operator, material.earlier?.package);
  }

  static async around(controlPlane: ControlPlane, material: Material): Promise<Bed> {
    return new Bed(controlPlane, await AdminClient.load(controlPlane.kubeconfig), material);
  }

  /** Whether images can be built in its cluster. */
  get builds(): boolean {
    return this.#material.services !== undefined;
  }

  get software(): Software {
    return this.#material.software;
  }

  get nodes(): readonly VirtualNode[] {
    return [this.vm1, this.vm2];
  }

  kubectl(args: readonly string[], options?: RunOptions): Promise<string> {
    return this.controlPlane.kubectl(args, options);
  }

  operatorLog(): Promise<string> {
    return this.operator.log();
  }

  close(): Promise<void> {
    return this.admin.close();
  }

  /** Creates the nodes and fills the registry; returns when both nodes are Ready: vm1 on the newer kernel, vm2 on the older. */
  async boot(signal: AbortSignal): Promise<void> {
    const [newer, older] = this.kernels;
    await this.#createNodes();
    await Promise.all([
      ...imagesOf(this.#material).map((image) => push(image, { registry: REGISTRY, insecure: true }, signal)),
      this.vm1.start(newer),
      this.vm2.start(older),
    ]);
    await Promise.all([this.untilReady(this.vm1, newer), this.untilReady(this.vm2, older)]);
  }

  /** Writes disk and configuration of nodes that have none yet. */
  async #createNodes(): Promise<void> {
    const { directory, pki, server } = this.controlPlane;
    const { software, disk, services } = this.#material;
    const [one = 0, other = 0] = await freePorts(2);
    const wires: readonly Wire[] = [
      { listenOn: one, sendTo: other },
      { listenOn: other, sendTo: one },
    ];
    for (const [index, place] of PLACES.entries()) {
      const wire = wires[index];
      if (wire === undefined) throw new Error('a wire has two ends');
      await VirtualNode.create(
        join(directory, 'nodes', place.name),
        { ...place, software, apiServerPort: Number(new URL(server).port), nodes: PLACES },
        {
          disk,
          authority: { certificate: pki.ca, key: pki.caKey },
          wire,
          ...(services === undefined ? {} : { kubeProxy: services.kubeProxy }),
        },
      );
    }
  }

  node(name: string): Promise<Node> {
    return this.admin.get(NODES, { name });
  }

  /**
   * The node once it is Ready.
   *
   * @param kernel the one that it must report
   * @param earlierBoot a bootID that it must not report any more
   */
  untilReady({ name }: VirtualNode, kernel?: Kernel, earlierBoot?: string): Promise<Node> {
    return eventually(
      async () => {
        const node = await this.node(name);
        const { kernelVersion, bootID } = node.status?.nodeInfo ?? {};
        const ready = readiness(node);
        const wrongKernel = kernel !== undefined && kernelVersion !== kernel.release;
        if (ready === 'True' && !wrongKernel && bootID !== earlierBoot) return node;
        throw new Error(`Ready is ${ready}, kernel ${kernelVersion}, boot ${bootID}`);
      },
      { what: `node ${name} to be Ready`, timeoutMs: READY_TIMEOUT_MS, intervalMs: 300 },
    );
  }

  /** Off and on again with this kernel; returns when the node is Ready in the new boot. */
  async reboot(node: VirtualNode, kernel: Kernel, kernelArguments: readonly string[] = []): Promise<void> {
    const { bootID } = (await this.node(node.name)).status?.nodeInfo ?? {};
    await node.shutDown();
    await node.start(kernel, kernelArguments);
    await this.untilReady(node, kernel, bootID);
  }

  /** Both nodes on and Ready, each with the kernel that it started with and no arguments of a test's, and the operator runs. */
  async restore(): Promise<void> {
    await makeSchedulable(this);
    for (const [node, kernel] of [[this.vm1, this.kernels[0]] as const, [this.vm2, this.kernels[1]] as const]) {
      if (await node.isOn()) await node.resume();
      else await node.start(kernel);
      const { status } = await this.untilReady(node);
      const isOther = status?.nodeInfo?.kernelVersion !== kernel.release;
      if (isOther || (await node.kernelArguments()).length > 0) await this.reboot(node, kernel);
    }
    await this.operator.ensure();
  }

  /** The node once the node controller has given it up: longer silent than the bed's grace. */
  untilUnreachable({ name }: VirtualNode): Promise<Node> {
    return eventually(
      async () => {
        const node = await this.node(name);
        if (readiness(node) !== 'Unknown') throw new Error(`Ready is ${readiness(node)}`);
        return node;
      },
      { what: `node ${name} to be given up`, timeoutMs: 120_000, intervalMs: 300 },
    );
  }
}

function imagesOf({ images, operator, earlier }: Material): readonly BedImage[] {
  const packages = [operator, earlier?.package].filter((from) => from !== undefined);
  return [...images, ...packages.map(({ image }) => image)];
}

function readiness(node: Node): string {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'not said';
}
