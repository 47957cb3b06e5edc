/** The world of the model: a cluster, an operator and a judge, in which commands happen one after the other. */
import { MINUTE, NOW, stored } from '../harness/plan-world.ts';
import { PreconditionFailed, SimulatedCluster } from './cluster.ts';
import type { Command } from './commands.ts';
import { Judge } from './judge.ts';
import { BROKEN_IMAGE, kubeletActs, kubeletRegisters, kubeletReportsNode } from './kubelet.ts';
import { Memory } from './memory.ts';
import { CACHE_KINDS, OperatorCrashed, SimulatedOperator } from './operator.ts';
import { podRecord } from './records.ts';
import { FIRST_WISH, KERNELS, moduleOf, NODES } from './wish.ts';
import {
  daemonSetControllerActs,
  garbageCollectorActs,
  nodeControllerActs,
  taintEvictionActs,
} from './workload-controllers.ts';

const OPTIONS = { selectorGracePeriodMs: 10 * MINUTE, priorityClassName: '' };

/** A world in which nothing is written for so many rounds, six minutes each, has settled: every grace and wait is over by then. */
const QUIET_ROUNDS = 3;
const MOST_ROUNDS = 100;

export class World {
  readonly cluster: SimulatedCluster;
  readonly memory: Memory;
  readonly #judge: Judge;
  operator: SimulatedOperator;

  constructor() {
    this.cluster = new SimulatedCluster(stored(moduleOf(FIRST_WISH)), NOW);
    for (const [index, name] of NODES.entries()) {
      this.cluster.machines.set(name, { kernel: KERNELS[index % 2] ?? KERNELS[0], boot: 1, up: true });
      kubeletRegisters(this.cluster, name);
    }
    this.memory = new Memory(this.cluster);
    this.operator = new SimulatedOperator(this.cluster, OPTIONS);
    this.#judge = new Judge(this.cluster, this.memory, () => this.operator.planned, OPTIONS.selectorGracePeriodMs);
    this.cluster.observer = this.#judge;
  }

  run(command: Command): void {
    this.#do(command);
    this.#look();
  }

  /** Everybody acts once, and the operator knows of it. */
  round(): void {
    this.syncAll();
    this.reconcile();
    daemonSetControllerActs(this.cluster);
    garbageCollectorActs(this.cluster);
    for (const name of NODES) kubeletActs(this.cluster, name);
    this.#look();
  }

  /** Nobody but the cluster and the operator does anything any more, until nothing changes. */
  settle(): void {
    // Within a minute a kubelet that runs reports its node, and the node controller marks one whose kubelet is silent.
    for (const name of NODES) kubeletReportsNode(this.cluster, name);
    nodeControllerActs(this.cluster);
    let quiet = 0;
    for (let round = 0; quiet < QUIET_ROUNDS; round += 1) {
      if (round > MOST_ROUNDS) throw new Error('the world does not settle');
      const { revision } = this.cluster;
      this.round();
      this.#advance(6 * MINUTE);
      quiet = revision === this.cluster.revision ? quiet + 1 : 0;
    }
  }

  /** Machines come up, and a person corrects what is broken. Gives whether anything was. */
  correct(): boolean {
    const { cluster, memory } = this;
    const before = cluster.revision;
    const refused = cluster.refusesPods;
    cluster.refusesPods = false;
    for (const name of NODES) {
      cluster.powerOn(name);
      kubeletRegisters(cluster, name);
      kubeletReportsNode(cluster, name);
    }
    const images = Object.entries(memory.wish.images).map(([kernel, image]): [string, string | undefined] => [
      kernel,
      image?.includes(BROKEN_IMAGE) ? 'registry.test/m:good' : image,
    ]);
    const corrected = { ...memory.wish, images: Object.fromEntries(images) };
    if (JSON.stringify(corrected) !== JSON.stringify(memory.wish)) memory.ask(corrected);
    return refused || cluster.revision !== before;
  }

  restart(): void {
    this.operator = new SimulatedOperator(this.cluster, OPTIONS);
    this.syncAll();
  }

  reconcile(): void {
    this.#reconcileModule();
    this.operator.reconcileNodes();
  }

  syncAll(): void {
    for (const kind of CACHE_KINDS) this.operator.sync(kind);
  }

  #look(): void {
    this.memory.look();
    this.#judge.neverTwoLoaders();
  }

  #do(command: Command): void {
    const { cluster, memory } = this;
    switch (command.op) {
      case 'rounds':
        for (let round = 0; round < command.count; round += 1) this.round();
        return;
      case 'sync':
        return this.operator.sync(command.kind);
      case 'reconcile':
        return this.reconcile();
      case 'plan':
        return this.#reconcileModule();
      case 'node-reconcile':
        return this.operator.reconcileNode(command.node);
      case 'restart':
        return this.restart();
      case 'shuffle':
        return this.operator.shuffleNodes();
      case 'crash':
        this.#crashAfter(command.writes);
        return this.restart();
      case 'daemonsets':
        return daemonSetControllerActs(cluster);
      case 'collect':
        return garbageCollectorActs(cluster);
      case 'node-controller':
        return nodeControllerActs(cluster);
      case 'kubelet':
        return kubeletActs(cluster, command.node);
      case 'kubelet-node':
        return kubeletReportsNode(cluster, command.node);
      case 'slow':
        cluster.slowStops = command.on;
        return;
      case 'refuse-pods':
        cluster.refusesPods = command.on;
        return;
      case 'off':
        memory.poweredOff(command.node);
        return cluster.powerOff(command.node);
      case 'on':
        // A boot takes longer than news of what was before.
        this.syncAll();
        return cluster.powerOn(command.node, command.kernel);
      case 'reboot':
        this.#do({ op: 'off', node: command.node });
        this.#do({ op: 'on', node: command.node, kernel: command.kernel });
        if (command.podsFirst) kubeletActs(cluster, command.node);
        return kubeletReportsNode(cluster, command.node);
      case 'not-ready':
        return cluster.markNotReady(command.node);
      case 'delete-node':
        return cluster.deleteNode(command.node);
      case 'register':
        return kubeletRegisters(cluster, command.node);
      case 'crash-loader':
        for (const [uid, pod] of cluster.pods) {
          if (pod.spec?.nodeName === command.node && podRecord(pod).role === 'module-loader') cluster.crash(uid);
        }
        return;
      case 'cordon':
        return this.#taint(command.node, 'node.kubernetes.io/unschedulable', 'NoSchedule', command.present);
      case 'taint':
        return this.#taint(command.node, 'theirs', 'NoExecute', command.present);
      case 'label':
        return cluster.setLabel(command.node, 'driver', command.value);
      case 'edit':
        return memory.ask({ ...memory.wish, ...command.wish });
      case 'map':
        return memory.ask({ ...memory.wish, images: { ...memory.wish.images, [command.kernel]: command.image } });
      case 'delete-module':
        memory.deleting = true;
        return cluster.deleteModule();
      case 'time':
        if (command.ms >= MINUTE) {
          nodeControllerActs(cluster);
          this.syncAll();
        }
        return this.#pass(command.ms);
    }
  }

  #taint(node: string, key: string, effect: 'NoSchedule' | 'NoExecute', present: boolean): void {
    this.cluster.setTaint(node, { key, effect }, present);
    for (const pod of taintEvictionActs(this.cluster)) this.#judge.podEvicted(pod);
  }

  /** Nothing that takes long goes unnoticed by an operator that runs. */
  #pass(ms: number): void {
    // Kubelets that run report in time too.
    for (const name of NODES) kubeletActs(this.cluster, name);
    this.memory.look();
    this.syncAll();
    this.reconcile();
    this.#advance(ms);
  }

  #advance(ms: number): void {
    const { cluster, memory } = this;
    for (const name of NODES) if (memory.matches(name, memory.wish)) memory.matchedAtMs.set(name, cluster.nowMs + ms);
    cluster.nowMs += ms;
  }

  #reconcileModule(): void {
    try {
      this.operator.reconcileModule();
    } catch (error) {
      if (!(error instanceof PreconditionFailed)) throw error;
    }
  }

  #crashAfter(writes: number): void {
    this.operator.writesLeft = writes;
    try {
      this.reconcile();
    } catch (error) {
      if (!(error instanceof OperatorCrashed)) throw error;
    }
  }
}
