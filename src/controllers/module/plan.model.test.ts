/**
 * The plans against a simulated cluster in which anything may happen in any order. What must hold is judged by a history that is kept
 * here, not by the code under test.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import { keyOf, keysOf, MINUTE, NOW, stored } from '../../../test/harness/plan-world.ts';
import {
  BROKEN_IMAGE,
  bootID,
  PreconditionFailed,
  SimulatedCluster,
  type WriteObserver,
} from '../../../test/harness/simulated-cluster.ts';
import {
  CACHE_KINDS,
  type CacheKind,
  OperatorCrashed,
  SimulatedOperator,
} from '../../../test/harness/simulated-operator.ts';
import type { DaemonSet, Node, Pod } from '../../kube/core.ts';
import { trimDaemonSet, trimPod } from '../records.ts';
import { parseLoadedRecord } from './loaded-record.ts';

const KERNELS = ['5.4.0', '6.1.0'] as const;
type Kernel = (typeof KERNELS)[number];
const NODES = ['n1', 'n2', 'n3', 'n4'] as const;
type NodeName = (typeof NODES)[number];

const OPTIONS = { selectorGracePeriodMs: 10 * MINUTE, priorityClassName: '' };

/** What a person asks for, as this test thinks of it. */
interface Wish {
  /** Value of the label `driver` that is selected; undefined selects every node. */
  readonly driver: string | undefined;
  /** Image by kernel; a kernel that is not mapped has none. */
  readonly images: Readonly<Partial<Record<Kernel, string>>>;
  readonly argument: string;
  readonly plugin: boolean;
  readonly maxUnavailable: number;
}

const FIRST_WISH: Wish = {
  driver: 'a',
  images: { '5.4.0': 'registry.test/m:1', '6.1.0': 'registry.test/m:1' },
  argument: '1',
  plugin: true,
  maxUnavailable: 1,
};

function moduleOf({ driver, images, argument, plugin, maxUnavailable }: Wish): ModuleBuilder {
  const base = aModule('m')
    .withSelector(driver === undefined ? {} : { driver })
    .withLoader({ args: [argument] })
    .withMaxUnavailable(maxUnavailable)
    // Something is always mapped, as the CRD wants it.
    .withKernel('none', 'registry.test/none:1');
  const mapped = KERNELS.reduce((builder, kernel) => {
    const image = images[kernel];
    return image === undefined ? builder : builder.withKernel(kernel, image);
  }, base);
  return plugin ? mapped.withDevicePlugin() : mapped;
}

type Command =
  | { readonly op: 'sync'; readonly kind: CacheKind }
  | {
      readonly op:
        | 'reconcile'
        | 'plan'
        | 'restart'
        | 'daemonsets'
        | 'collect'
        | 'delete-module'
        | 'shuffle'
        | 'node-controller';
    }
  | { readonly op: 'rounds'; readonly count: number }
  | { readonly op: 'crash'; readonly writes: number }
  | { readonly op: 'node-reconcile' | 'kubelet' | 'kubelet-node' | 'off' | 'not-ready'; readonly node: NodeName }
  | { readonly op: 'delete-node' | 'register' | 'crash-loader'; readonly node: NodeName }
  | { readonly op: 'on'; readonly node: NodeName; readonly kernel: Kernel | undefined }
  | { readonly op: 'reboot'; readonly node: NodeName; readonly kernel: Kernel; readonly podsFirst: boolean }
  | { readonly op: 'cordon' | 'taint'; readonly node: NodeName; readonly present: boolean }
  | { readonly op: 'label'; readonly node: NodeName; readonly value: string | undefined }
  | { readonly op: 'slow'; readonly slow: boolean }
  | { readonly op: 'edit'; readonly wish: Partial<Wish> }
  | { readonly op: 'map'; readonly kernel: Kernel; readonly image: string | undefined }
  | { readonly op: 'time'; readonly ms: number };

const node = fc.constantFrom(...NODES);
const kernel = fc.constantFrom(...KERNELS);
const op = <const Op extends string>(name: Op) => fc.constant({ op: name });
const onNode = <const Op extends string>(name: Op) => fc.record({ op: fc.constant(name), node });

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('rounds' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: op('reconcile') },
  { weight: 3, arbitrary: op('plan') },
  { weight: 4, arbitrary: op('daemonsets') },
  { weight: 4, arbitrary: onNode('node-reconcile') },
  { weight: 4, arbitrary: onNode('kubelet') },
  { weight: 2, arbitrary: onNode('kubelet-node') },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('sync' as const), kind: fc.constantFrom(...CACHE_KINDS) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('crash' as const), writes: fc.nat(4) }) },
  { weight: 1, arbitrary: op('restart') },
  { weight: 1, arbitrary: op('collect') },
  { weight: 1, arbitrary: op('shuffle') },
  { weight: 1, arbitrary: op('node-controller') },
  { weight: 2, arbitrary: onNode('off') },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('on' as const), node, kernel: fc.option(kernel, { nil: undefined }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('reboot' as const), node, kernel, podsFirst: fc.boolean() }),
  },
  { weight: 1, arbitrary: onNode('not-ready') },
  { weight: 1, arbitrary: onNode('delete-node') },
  { weight: 1, arbitrary: onNode('register') },
  { weight: 2, arbitrary: onNode('crash-loader') },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constantFrom('cordon' as const, 'taint' as const), node, present: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('label' as const), node, value: fc.constantFrom('a', 'b', undefined) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('slow' as const), slow: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('edit' as const),
      wish: fc.oneof(
        fc.record({ driver: fc.constantFrom('a', 'b', undefined) }),
        fc.record({ argument: fc.constantFrom('1', '2', '3') }),
        fc.record({ plugin: fc.boolean() }),
        fc.record({ maxUnavailable: fc.constantFrom(1, 2) }),
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('map' as const),
      kernel,
      image: fc.constantFrom('registry.test/m:1', 'registry.test/m:2', `registry.test/${BROKEN_IMAGE}:1`, undefined),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('time' as const), ms: fc.constantFrom(1_000, 11_000, 5 * MINUTE) }),
  },
  { weight: 1, arbitrary: op('delete-module') },
);

/** What happened to one node since it was given its load label. */
interface Holding {
  readonly key: string;
  readonly wishIndex: number;
  readonly kernels: Set<string>;
  readonly drivers: Set<string | undefined>;
}

class World implements WriteObserver {
  readonly cluster: SimulatedCluster;
  readonly wishes: Wish[] = [FIRST_WISH];
  operator: SimulatedOperator;
  readonly #keys = keysOf(stored(aModule('m')));
  readonly #holdings = new Map<string, Holding>();
  /** Index of the wish at which a pod was first seen, by uid. */
  readonly #podWishes = new Map<string, number>();
  /** When a node was last seen to match for a while, by name. */
  readonly #matchedAtMs = new Map<string, number>();
  /** Containers that ran when their machine went down and that no record was written of: their stale status may be believed. */
  readonly #unrecorded = new Set<string>();
  /** In which boot a container was started, by its instance in records. */
  readonly #bootOfInstance = new Map<string, { readonly boot: number; readonly id: string }>();
  /** Nodes that were NotReady, or another kernel's, when the operator last heard of nodes. */
  #wasDown: ReadonlySet<string> = new Set();
  /** Nodes that were NotReady while they were being replaced: what goes on meanwhile does not count them. */
  readonly #downWhileReplaced = new Set<string>();
  deleting = false;
  /** Index of the latest wish that the operator certainly knows, and of the one for which labels lie on its desk. */
  #seenWish = 0;
  #plannedWish = 0;
  /** Whether the operator certainly knows that the Module is being deleted. */
  #seenDeleting = false;
  /** Uids of the pods that were there when the operator last heard of pods. */
  #seenPods: ReadonlySet<string> = new Set();

  constructor() {
    this.cluster = new SimulatedCluster(stored(moduleOf(FIRST_WISH)), NOW);
    for (const [index, name] of NODES.entries()) {
      this.cluster.addMachine(name, KERNELS[index % 2] ?? KERNELS[0], { driver: 'a' });
    }
    this.cluster.observer = this;
    this.operator = new SimulatedOperator(this.cluster, OPTIONS);
  }

  get wish(): Wish {
    return this.wishes.at(-1) ?? FIRST_WISH;
  }

  run(command: Command): void {
    this.#do(command);
    this.#remember();
    this.#neverTwoLoaders();
  }

  #do(command: Command): void {
    const { cluster } = this;
    switch (command.op) {
      case 'sync':
        return this.#sync(command.kind);
      case 'reconcile':
        return this.reconcile();
      case 'plan':
        return this.#reconcileModule();
      case 'crash':
        this.operator.writesLeft = command.writes;
        this.#untilCrash(() => {
          this.#reconcileModule();
          this.operator.reconcileNodes();
        });
        return this.restart();
      case 'restart':
        return this.restart();
      case 'rounds':
        for (let round = 0; round < command.count; round += 1) this.round();
        return;
      case 'node-reconcile':
        return this.operator.reconcileNode(command.node);
      case 'daemonsets':
        return cluster.daemonSetControllerActs();
      case 'collect':
        return cluster.garbageCollectorActs();
      case 'shuffle':
        return this.operator.shuffleNodes();
      case 'node-controller':
        return cluster.nodeControllerActs();
      case 'kubelet':
        return cluster.kubeletActs(command.node);
      case 'kubelet-node':
        return cluster.kubeletReportsNode(command.node);
      case 'off':
        this.#noteUnrecorded(command.node);
        return cluster.powerOff(command.node);
      case 'on':
        // A boot takes longer than news of what was before.
        this.syncAll();
        return cluster.powerOn(command.node, command.kernel);
      case 'reboot':
        this.#do({ op: 'off', node: command.node });
        this.#do({ op: 'on', node: command.node, kernel: command.kernel });
        if (command.podsFirst) cluster.kubeletActs(command.node);
        return cluster.kubeletReportsNode(command.node);
      case 'not-ready':
        return cluster.markNotReady(command.node);
      case 'delete-node':
        return cluster.deleteNode(command.node);
      case 'register':
        return cluster.register(command.node, { driver: 'a' });
      case 'crash-loader':
        for (const [uid, pod] of cluster.pods) {
          if (pod.spec?.nodeName === command.node && trimPod(pod).role === 'module-loader') cluster.crash(uid);
        }
        return;
      case 'cordon':
        return cluster.setTaint(
          command.node,
          { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' },
          command.present,
        );
      case 'taint':
        return cluster.setTaint(command.node, { key: 'theirs', effect: 'NoExecute' }, command.present);
      case 'label':
        return cluster.setLabel(command.node, 'driver', command.value);
      case 'slow':
        cluster.slowStops = command.slow;
        return;
      case 'edit':
        return this.ask({ ...this.wish, ...command.wish });
      case 'map':
        return this.ask({ ...this.wish, images: { ...this.wish.images, [command.kernel]: command.image } });
      case 'time':
        // Within a minute the node controller marks a node whose kubelet is silent, and everybody has heard of it.
        if (command.ms >= MINUTE) {
          cluster.nodeControllerActs();
          this.syncAll();
        }
        return this.pass(command.ms);
      case 'delete-module':
        this.deleting = true;
        return cluster.deleteModule();
    }
  }

  ask(wish: Wish): void {
    if (this.deleting) return;
    this.wishes.push(wish);
    const { spec } = moduleOf(wish).build();
    this.cluster.editModule(() => spec);
  }

  syncAll(): void {
    for (const kind of CACHE_KINDS) this.#sync(kind);
  }

  #sync(kind: CacheKind): void {
    this.operator.sync(kind);
    if (kind === 'module') {
      this.#seenWish = this.wishes.length - 1;
      this.#seenDeleting = this.deleting;
    }
    if (kind === 'nodes') {
      this.#wasDown = new Set(NODES.filter((name) => !this.cluster.isReady(name) || this.#isElsewhere(name)));
    }
    if (kind === 'pods') this.#seenPods = new Set(this.cluster.pods.keys());
  }

  restart(): void {
    this.operator = new SimulatedOperator(this.cluster, OPTIONS);
    this.syncAll();
  }

  reconcile(): void {
    this.#reconcileModule();
    this.operator.reconcileNodes();
  }

  /** Everybody acts once, and the operator knows of it. */
  round(): void {
    this.syncAll();
    this.reconcile();
    this.cluster.daemonSetControllerActs();
    this.cluster.garbageCollectorActs();
    for (const name of NODES) this.cluster.kubeletActs(name);
    this.#remember();
    this.#neverTwoLoaders();
  }

  /** Nothing that takes long goes unnoticed by an operator that runs. */
  pass(ms: number): void {
    // Kubelets that run report in time too.
    for (const name of NODES) this.cluster.kubeletActs(name);
    this.#remember();
    this.syncAll();
    this.reconcile();
    for (const name of NODES) if (this.#matches(name, this.wish)) this.#matchedAtMs.set(name, this.cluster.nowMs + ms);
    this.cluster.nowMs += ms;
  }

  /** Whether the node reports another kernel than that of its load label. */
  #isElsewhere(name: string): boolean {
    const node = this.cluster.nodes.get(name);
    return keyOf(node?.status?.nodeInfo?.kernelVersion ?? '') !== node?.metadata.labels?.[this.#keys.load];
  }

  #reconcileModule(): void {
    this.#plannedWish = this.#seenWish;
    try {
      this.operator.reconcileModule();
    } catch (error) {
      if (!(error instanceof PreconditionFailed)) throw error;
    }
  }

  #untilCrash(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof OperatorCrashed)) throw error;
    }
  }

  #driverOf(name: string): string | undefined {
    return this.cluster.nodes.get(name)?.metadata.labels?.['driver'];
  }

  #matches(name: string, { driver }: Wish): boolean {
    return driver === undefined || driver === this.#driverOf(name);
  }

  #remember(): void {
    const { cluster } = this;
    for (const [uid, pod] of cluster.pods) {
      if (!this.#podWishes.has(uid)) this.#podWishes.set(uid, this.wishes.length - 1);
      const instance = trimPod(pod).container?.instance;
      const container = cluster.containers.get(uid);
      if (instance !== undefined && container !== undefined && !this.#bootOfInstance.has(instance)) {
        this.#bootOfInstance.set(instance, { boot: container.boot, id: container.id });
      }
    }
    for (const name of NODES) {
      const holding = this.#holdings.get(name);
      const node = cluster.nodes.get(name);
      if (node === undefined) this.#holdings.delete(name);
      holding?.kernels.add(node?.status?.nodeInfo?.kernelVersion ?? '');
      holding?.drivers.add(this.#driverOf(name));
      if (this.#recordOf(node)?.replacingSince === undefined) this.#downWhileReplaced.delete(name);
      else if (!cluster.isReady(name)) this.#downWhileReplaced.add(name);
    }
  }

  #recordOf(node: Node | undefined) {
    return parseLoadedRecord(node?.metadata.annotations?.[this.#keys.loaded]);
  }

  #noteUnrecorded(name: string): void {
    const record = this.#recordOf(this.cluster.nodes.get(name));
    for (const [uid, pod] of this.cluster.pods) {
      const container = this.cluster.containers.get(uid);
      if (pod.spec?.nodeName !== name || container === undefined) continue;
      if (trimPod(pod).container?.instance !== record?.instance) this.#unrecorded.add(container.id);
    }
  }

  // What is checked when the operator writes.

  nodePatched(before: Node, after: Node): void {
    const name = before.metadata.name ?? '';
    this.#remember();
    // The answer to its write tells the operator how the node is.
    if (!this.cluster.isReady(name)) this.#wasDown = new Set([...this.#wasDown, name]);
    const { load, ready } = this.#keys;
    const given = after.metadata.labels?.[load];
    const had = before.metadata.labels?.[load];
    if (had !== undefined && given !== had) {
      this.#mayTake(name, had);
      const sameKernel = keyOf(before.status?.nodeInfo?.kernelVersion ?? '') === had;
      if (
        sameKernel &&
        this.cluster.isReady(name) &&
        !this.#wasDown.has(name) &&
        this.#knownPluginsOn(name).length > 0
      ) {
        throw new Error(`${name} lost its load label under its device plugin`);
      }
      if (this.#seenDeleting) this.#loadersAreGone(before);
    }
    if (given !== undefined && given !== had) {
      this.#holdings.set(name, {
        key: given,
        wishIndex: this.#plannedWish,
        kernels: new Set([after.status?.nodeInfo?.kernelVersion ?? '']),
        drivers: new Set([this.#driverOf(name)]),
      });
    }
    if (before.metadata.labels?.[ready] === undefined && after.metadata.labels?.[ready] !== undefined) {
      this.#mayBeReady(after);
    }
    if (this.#recordOf(before)?.replacingSince === undefined && this.#recordOf(after)?.replacingSince !== undefined) {
      this.#mayReplace(name);
    }
  }

  /** I1: the load label goes only for a reason that a person, or a kernel, gave. */
  #mayTake(name: string, had: string): void {
    const holding = this.#holdings.get(name);
    if (this.deleting || holding === undefined) return;
    if ([...holding.kernels].some((release) => keyOf(release) !== had)) return;
    const since = this.wishes.slice(holding.wishIndex);
    const kernel = KERNELS.find((release) => keyOf(release) === had);
    if (kernel !== undefined && since.some(({ images }) => images[kernel] === undefined)) return;
    const edited = since.filter(({ driver }, index) => index > 0 && driver !== since[index - 1]?.driver);
    if (edited.some(({ driver }) => [...holding.drivers].some((value) => driver !== undefined && value !== driver)))
      return;
    const unmatchedMs = this.cluster.nowMs - (this.#matchedAtMs.get(name) ?? NOW);
    if (!this.#matches(name, this.wish) && unmatchedMs >= OPTIONS.selectorGracePeriodMs) return;
    throw new Error(`the load label ${had} was taken from ${name} for no allowed reason`);
  }

  /** Of a Module that is deleted, labels go last. */
  #loadersAreGone({ metadata }: Node): void {
    const { name = '' } = metadata;
    if (!this.cluster.isReady(name) || this.#wasDown.has(name) || this.cluster.module === undefined) return;
    const left = [...this.cluster.pods.values()].filter(
      (pod) => pod.spec?.nodeName === name && this.#seenPods.has(pod.metadata.uid ?? ''),
    );
    if (left.length > 0) throw new Error(`${name} lost its label before pod ${left[0]?.metadata.name} was gone`);
  }

  /** The ready label is about a container that was started in the boot of the record, or in a later one that the API is yet to learn of. */
  #mayBeReady(after: Node): void {
    const name = after.metadata.name ?? '';
    const record = this.#recordOf(after);
    const started = this.#bootOfInstance.get(record?.instance ?? '');
    if (record === undefined || started === undefined) throw new Error(`${name} is ready without a container`);
    if (this.#unrecorded.has(started.id)) return;
    const boot = Number(record.bootID.split('-').at(-1));
    if (started.boot < boot) throw new Error(`${name} is ready in boot ${boot} by a container of boot ${started.boot}`);
  }

  #mayReplace(name: string): void {
    const replaced = NODES.filter(
      (each) =>
        this.#recordOf(this.cluster.nodes.get(each))?.replacingSince !== undefined &&
        !this.#downWhileReplaced.has(each) &&
        !this.#isLeaving(each),
    );
    const most = Math.max(...this.wishes.slice(-2).map(({ maxUnavailable }) => maxUnavailable));
    if (replaced.length > most) throw new Error(`${replaced.join(', ')} are replaced at once (${name} is the last)`);
  }

  /** A node that is on its way out may carry the mark for a moment longer, and is not being replaced. */
  #isLeaving(name: string): boolean {
    const node = this.cluster.nodes.get(name);
    const kernel = KERNELS.find((release) => release === node?.status?.nodeInfo?.kernelVersion);
    if (kernel === undefined || node?.metadata.labels?.[this.#keys.load] !== keyOf(kernel)) return true;
    return this.wish.images[kernel] === undefined || !this.#matches(name, this.wish);
  }

  /** I1: the operator deletes a loader only when its Module goes, or because a person asked for another; users of it go first. */
  podDeleted(pod: Pod): void {
    this.#remember();
    const { role, node, kernelKey } = trimPod(pod);
    const name = `${role} pod ${pod.metadata.name} on ${node}`;
    if (this.deleting) return;
    if (role !== 'module-loader') throw new Error(`${name} was deleted`);
    const since = this.wishes.slice(this.#podWishes.get(pod.metadata.uid ?? '') ?? 0);
    const made = JSON.stringify([pod.spec?.containers[0]?.image, pod.spec?.containers[0]?.['args']]);
    const kernel = KERNELS.find((release) => keyOf(release) === kernelKey);
    const asked = since.some(
      ({ images, argument }) =>
        kernel !== undefined && images[kernel] !== undefined && JSON.stringify([images[kernel], [argument]]) !== made,
    );
    if (!asked) throw new Error(`${name} was deleted although nobody asked for another`);
    if (this.cluster.containers.get(pod.metadata.uid ?? '')?.ready !== true) return;
    const labels = this.cluster.nodes.get(node)?.metadata.labels;
    if (labels?.[this.#keys.ready] !== undefined) throw new Error(`${name} was deleted under the ready label`);
    if (this.#knownPluginsOn(node).length > 0) throw new Error(`${name} was deleted under its device plugin`);
  }

  /** A DaemonSet goes only when none of its pods is wanted; with its Module, only after the device plugin. */
  daemonSetDeleted(daemonSet: DaemonSet): void {
    if (trimDaemonSet(daemonSet).role !== 'module-loader') return;
    const name = `DaemonSet ${daemonSet.metadata.name}`;
    if (this.#seenDeleting) {
      const used = NODES.filter(
        (each) => !this.#wasDown.has(each) && this.cluster.isReady(each) && this.#knownPluginsOn(each).length > 0,
      );
      if (used.length > 0) throw new Error(`${name} was deleted under the device plugin of ${used.join(', ')}`);
      return;
    }
    // The answer to a write of its status may have told it.
    if (this.deleting) return;
    for (const pod of this.cluster.pods.values()) {
      if (pod.metadata.ownerReferences?.[0]?.uid !== daemonSet.metadata.uid) continue;
      const label = this.cluster.nodes.get(pod.spec?.nodeName ?? '')?.metadata.labels?.[this.#keys.load];
      if (label === trimPod(pod).kernelKey) throw new Error(`${name} was deleted in use`);
    }
  }

  /** Device-plugin pods that are on the node and that the operator has seen. */
  #knownPluginsOn(name: string): Pod[] {
    return [...this.cluster.pods.values()].filter(
      (pod) =>
        pod.spec?.nodeName === name &&
        trimPod(pod).role === 'device-plugin' &&
        this.#seenPods.has(pod.metadata.uid ?? ''),
    );
  }

  /** The preStop of the old kernel's loader would unload the new kernel's module. */
  #neverTwoLoaders(): void {
    for (const name of NODES) {
      const running = [...this.cluster.pods]
        .filter(([uid, pod]) => pod.spec?.nodeName === name && this.cluster.isRunning(uid))
        .map(([, pod]) => trimPod(pod))
        .filter(({ role }) => role === 'module-loader');
      if (new Set(running.map(({ kernelKey }) => kernelKey)).size > 1) {
        throw new Error(`loaders of ${running.map(({ kernelKey }) => kernelKey).join(' and ')} run on ${name}`);
      }
    }
  }

  // How it ends.

  /** Machines come up (a deletion must end without that), a person corrects what is broken, and then nobody touches anything. */
  settle(): void {
    const { cluster } = this;
    if (this.deleting) cluster.nodeControllerActs();
    for (const name of NODES) {
      if (this.deleting && cluster.machines.get(name)?.up === false) continue;
      cluster.powerOn(name);
      cluster.register(name, { driver: 'a' });
      cluster.kubeletReportsNode(name);
    }
    const images = Object.entries(this.wish.images).map(([kernel, image]): [string, string | undefined] => [
      kernel,
      image?.includes(BROKEN_IMAGE) ? 'registry.test/m:good' : image,
    ]);
    this.ask({ ...this.wish, images: Object.fromEntries(images) });
    let quiet = 0;
    for (let round = 0; quiet < 8; round += 1) {
      if (round > 150) throw new Error('the world does not settle');
      const before = this.#picture();
      const { writes } = this.operator;
      this.round();
      this.pass(2 * MINUTE);
      quiet = writes === this.operator.writes && before === this.#picture() ? quiet + 1 : 0;
    }
  }

  #picture(): string {
    const { pods, daemonSets, nodes, module } = this.cluster;
    return JSON.stringify([[...pods.values()], [...daemonSets.values()], [...nodes.values()], module?.status]);
  }

  /** I2: an operator that starts now has nothing to do. */
  expectSilence(): void {
    this.restart();
    this.reconcile();
    expect(this.operator.writes, 'writes after a restart').toBe(0);
  }

  expectAsWished(): void {
    const { cluster, wish } = this;
    if (this.deleting) {
      expect(cluster.module, 'the Module').toBeUndefined();
      expect([...cluster.daemonSets.keys()], 'DaemonSets').toEqual([]);
      // Those of a dead node stop when it comes back.
      const left = [...cluster.pods.values()].filter(({ spec }) => cluster.isReady(spec?.nodeName ?? ''));
      expect(left, 'pods on nodes that are alive').toEqual([]);
      for (const node of cluster.nodes.values()) expect(this.#marksOf(node)).toEqual({});
      return;
    }
    for (const name of NODES)
      expect({ name, ...this.#stateOf(name) }).toEqual({ name, ...this.#wishedFor(name, wish) });
    expect(cluster.module?.status?.conditions?.find(({ type }) => type === 'Degraded')).toMatchObject({
      status: 'False',
    });
  }

  #marksOf(node: Node): Record<string, string> {
    const all = { ...node.metadata.labels, ...node.metadata.annotations };
    return Object.fromEntries(Object.entries(all).filter(([key]) => Object.values(this.#keys).includes(key)));
  }

  #stateOf(name: string): Record<string, unknown> {
    const { cluster } = this;
    const here = [...cluster.pods.values()].filter(({ spec }) => spec?.nodeName === name);
    const node = cluster.nodes.get(name);
    const record = this.#recordOf(node);
    return {
      loaders: here
        .filter((pod) => trimPod(pod).role === 'module-loader' && cluster.isRunning(pod.metadata.uid ?? ''))
        .map(({ spec }) => JSON.stringify([spec?.containers[0]?.image, spec?.containers[0]?.['args']])),
      plugins: here.filter((pod) => trimPod(pod).role === 'device-plugin').length,
      ready: node?.metadata.labels?.[this.#keys.ready] !== undefined,
      boot: record?.bootID,
      replaced: record?.replacingSince,
    };
  }

  #wishedFor(name: string, { images, argument, plugin }: Wish): Record<string, unknown> {
    const machine = this.cluster.machines.get(name);
    const kernel = KERNELS.find((release) => release === machine?.kernel);
    const image = kernel === undefined ? undefined : images[kernel];
    const tainted = this.cluster.nodes.get(name)?.spec?.taints?.some(({ key }) => key === 'theirs') ?? false;
    // A taint keeps the label from being given, never takes it.
    const holds = this.cluster.nodes.get(name)?.metadata.labels?.[this.#keys.load] !== undefined;
    if (image === undefined || !this.#matches(name, this.wish) || (tainted && !holds)) {
      return { loaders: [], plugins: 0, ready: false, boot: undefined, replaced: undefined };
    }
    return {
      loaders: [JSON.stringify([image, [argument]])],
      plugins: plugin ? 1 : 0,
      ready: true,
      boot: bootID(name, machine?.boot ?? 0),
      replaced: undefined,
    };
  }
}

function play(commands: readonly Command[]): void {
  const world = new World();
  for (const command of commands) world.run(command);
  world.settle();
  world.expectAsWished();
  world.expectSilence();
}

const rounds = (count: number): Command => ({ op: 'rounds', count });

it.each<[string, readonly Command[]]>([
  [
    'a kubelet that tells of its pods before it tells of its boot does not leave the node unready for ever',
    [rounds(3), { op: 'off', node: 'n3' }, { op: 'on', node: 'n3', kernel: undefined }, rounds(3)],
  ],
  [
    'a Node that is registered again under its name after a reboot is not ready by the container of the boot before',
    [
      rounds(4),
      { op: 'off', node: 'n4' },
      { op: 'on', node: 'n4', kernel: undefined },
      { op: 'delete-node', node: 'n4' },
      { op: 'register', node: 'n4' },
      { op: 'sync', kind: 'nodes' },
      { op: 'reconcile' },
      { op: 'sync', kind: 'nodes' },
      { op: 'reconcile' },
    ],
  ],
  [
    'a node whose grace ends while it is being replaced is no longer being replaced',
    [
      rounds(1),
      { op: 'slow', slow: true },
      { op: 'edit', wish: { argument: '2' } },
      rounds(1),
      { op: 'label', node: 'n3', value: 'b' },
      rounds(3),
      { op: 'time', ms: 1_000 },
    ],
  ],
])('regression: %s', (_story, commands) => {
  play(commands);
});

/**
 * CI plays the same histories each time. After a change of a plan, hunt with others: MODEL_RUNS=20000 MODEL_SEED=$RANDOM. A failure prints
 * its seed and path. Known and not yet judged: a budget that is lowered while two nodes are being replaced counts as a violation here.
 */
const RUNS = Number(process.env['MODEL_RUNS'] ?? 200);
const SEED = Number(process.env['MODEL_SEED'] ?? 1);

it('whatever happens, in whatever order: nothing is unloaded without a reason, and all comes to what is wished', () => {
  fc.assert(fc.property(fc.array(command, { maxLength: 60, size: 'max' }), play), { numRuns: RUNS, seed: SEED });
}, 600_000);
