/** What has happened so far, kept apart from the code under test: the judge asks here whether a write had a reason. */
import { type LoadedRecord, parseLoadedRecord } from '../../src/controllers/module/loaded-record.ts';
import type { NodeKeys } from '../../src/controllers/module/snapshot.ts';
import type { Node, Pod } from '../../src/kube/core.ts';
import { aModule } from '../harness/modules.ts';
import { keysOf, stored } from '../harness/plan-world.ts';
import type { SimulatedCluster } from './cluster.ts';
import { podRecord, remembering } from './records.ts';
import { FIRST_WISH, isSelectedBy, moduleOf, NODES, type Wish } from './wish.ts';

export const KEYS: NodeKeys = keysOf(stored(aModule('m')));

/** What happened to one node since it was given its load label. */
export interface Holding {
  /** Index of the wish for which the label was given. */
  readonly wishIndex: number;
  readonly kernels: Set<string>;
  readonly drivers: Set<string | undefined>;
}

export class Memory {
  readonly #cluster: SimulatedCluster;
  readonly wishes: Wish[] = [FIRST_WISH];
  readonly holdings = new Map<string, Holding>();
  /** Index of the wish at which a pod was first seen, by uid. */
  readonly podWishes = new Map<string, number>();
  /** When a node was last seen to match for a while, by name. */
  readonly matchedAtMs = new Map<string, number>();
  /** Containers that ran when their machine went down and that no record was written of: their stale status may be believed. */
  readonly unrecorded = new Set<string>();
  /** In which boot a container was started, by its instance in records. */
  readonly bootOfInstance = new Map<string, { readonly boot: number; readonly id: string }>();
  deleting = false;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
  }

  get wish(): Wish {
    return this.wishes.at(-1) ?? FIRST_WISH;
  }

  ask(wish: Wish): void {
    if (this.deleting) return;
    this.wishes.push(wish);
    const { spec } = moduleOf(wish).build();
    this.#cluster.editModule(() => spec);
  }

  /** Notes what there is to see. Called after everything that happens, and before every write that is judged. */
  look(): void {
    const { pods, containers, nodes } = this.#cluster;
    for (const [uid, pod] of pods) {
      if (!this.podWishes.has(uid)) this.podWishes.set(uid, this.wishes.length - 1);
      const instance = podRecord(pod).container?.instance;
      const container = containers.get(uid);
      if (instance !== undefined && container !== undefined && !this.bootOfInstance.has(instance)) {
        this.bootOfInstance.set(instance, { boot: container.boot, id: container.id });
      }
    }
    for (const name of NODES) {
      const holding = this.holdings.get(name);
      const node = nodes.get(name);
      if (node === undefined) this.holdings.delete(name);
      holding?.kernels.add(node?.status?.nodeInfo?.kernelVersion ?? '');
      holding?.drivers.add(this.driverOf(name));
    }
  }

  poweredOff(name: string): void {
    const record = recordOf(this.#cluster.nodes.get(name));
    for (const [uid, pod] of this.#cluster.pods) {
      const container = this.#cluster.containers.get(uid);
      if (pod.spec?.nodeName !== name || container === undefined) continue;
      if (podRecord(pod).container?.instance !== record?.instance) this.unrecorded.add(container.id);
    }
  }

  driverOf(name: string): string | undefined {
    return this.#cluster.nodes.get(name)?.metadata.labels?.['driver'];
  }

  matches(name: string, wish: Wish): boolean {
    return isSelectedBy(wish, this.driverOf(name));
  }
}

const recordOfNode = remembering((node: Node) => parseLoadedRecord(node.metadata.annotations?.[KEYS.loaded]));

export function recordOf(node: Node | undefined): LoadedRecord | undefined {
  return node === undefined ? undefined : recordOfNode(node);
}

/** What a loader pod runs, to be compared with what a wish asks for. */
export function madeFrom({ spec }: Pod): string {
  return JSON.stringify([spec?.containers[0]?.image, spec?.containers[0]?.['args']]);
}
