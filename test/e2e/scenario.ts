/** What scenarios stand on: the cluster of the run, and the Module kmm_hello as a user writes it. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, type TestContext } from 'vitest';

import {
  type IMAGE_BUILD_ROLE,
  loadLabel,
  MODULE_NAME_LABEL,
  ROLE_LABEL,
  type Role,
  readyLabel,
} from '../../src/api/labels.ts';
import { MODULES, type Module } from '../../src/api/module.ts';
import { NODES, type Node, PODS, type Pod } from '../../src/kube/core.ts';
import type { Condition } from '../../src/kube/objects.ts';
import { isNotFound } from '../harness/admin.ts';
import { NAMESPACES } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import type { ModuleBuilder } from '../harness/modules.ts';
import { attachBed, Bed } from './bed/bed.ts';
import { DEVICE_PLUGIN_IMAGE, HELLO_REPOSITORY, TOOLS_IMAGE } from './bed/images.ts';
import type { Kernel } from './bed/kernels.ts';
import { diagnose } from './diagnostics.ts';
import { ForeignCluster } from './foreign/cluster.ts';
import { kernelLines, type ModuleEvent, moduleEvents } from './guest.ts';
import { type HelloMapping, helloModule, readerPod } from './hello/module.ts';
import type { RealNode } from './real-node.ts';
import { PRIVILEGED, type TestedCluster } from './tested-cluster.ts';

/** Milliseconds that anything which runs in a guest may take: seconds on a quiet machine, minutes on one that tests something else too. */
const PATIENCE_MS = 600_000;
/** The same where an image is built first: its builder is pulled, and gcc runs under emulation. */
const BUILD_PATIENCE_MS = 1_800_000;
const INTERVAL_MS = 300;

interface ReaderOptions {
  /** Those that are waited for. */
  readonly phases?: readonly string[];
  readonly resource?: string;
}

interface ScenarioOptions {
  /** It has images built in the cluster, which takes a bed. */
  readonly builds?: boolean;
}

/** Call it at the top level of a scenario's file. */
export function useScenario(name: string, options: ScenarioOptions = {}): Scenario {
  const scenario = new Scenario(`kmm-e2e-${name}`, options);
  let hasBegun = false;
  beforeAll(() => scenario.start());
  beforeEach(() => {
    hasBegun = true;
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await scenario.tell(task.name);
  });
  afterAll(async () => {
    // Where what comes before the tests fails, none of them runs.
    if (!hasBegun) await scenario.tell('before its tests');
    try {
      await scenario.stop();
    } catch (error) {
      await scenario.tell('after its tests');
      throw error;
    } finally {
      await scenario.cluster.close();
    }
  });
  return scenario;
}

export class Scenario {
  /** Of everything that the scenario creates. */
  readonly namespace: string;
  readonly ref: { readonly namespace: string; readonly name: string };
  readonly #patienceMs: number;
  readonly #builds: boolean;
  #cluster: TestedCluster | undefined;
  #hasNamespace = false;

  constructor(namespace: string, { builds = false }: ScenarioOptions) {
    this.namespace = namespace;
    this.#builds = builds;
    this.#patienceMs = builds ? BUILD_PATIENCE_MS : PATIENCE_MS;
    this.ref = { namespace, name: 'hello' };
  }

  get cluster(): TestedCluster {
    if (this.#cluster === undefined) throw new Error('the scenario is started before its first test, not before');
    return this.#cluster;
  }

  /** @throws Error where the cluster is none of ours: nobody can turn its machines off */
  get bed(): Bed {
    const { cluster } = this;
    if (cluster instanceof Bed) return cluster;
    throw new Error(`${this.namespace} needs machines of ours: run it on a bed`);
  }

  /** The bed; on a cluster of somebody else's the test is skipped. */
  bedOr(skip: TestContext['skip']): Bed {
    if (this.cluster instanceof Bed) return this.cluster;
    return skip('it needs machines, a registry or an operator of ours');
  }

  async start(): Promise<void> {
    const place = inject('place');
    this.#cluster = 'bed' in place ? await attachBed(place.bed) : new ForeignCluster(place.foreign);
    if (this.#builds && !this.bed.builds)
      throw new Error('this bed was started for scenarios that build nothing: start another');
    await this.cluster.admin.create(NAMESPACES, { metadata: { name: this.namespace, labels: PRIVILEGED } });
    this.#hasNamespace = true;
  }

  /** Leaves the nodes as they were found, also after a failure: on, Ready, and without the module. */
  async stop(): Promise<void> {
    const { cluster } = this;
    // One that was there before is somebody's.
    if (!this.#hasNamespace) return;
    await cluster.restore();
    await cluster.admin.delete(MODULES, this.ref);
    await this.untilGone();
    await cluster.admin.delete(NAMESPACES, { name: this.namespace });
    await eventually(async () => expect(await this.pods()).toEqual([]), {
      what: `the pods of ${this.namespace} to be gone`,
      timeoutMs: PATIENCE_MS,
      intervalMs: INTERVAL_MS,
    });
  }

  /** Prints what a person would look at after a failure. */
  async tell(test: string): Promise<void> {
    const folder = join('out', 'e2e', `${this.namespace}-${test.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60)}`);
    process.stderr.write(`\n${await diagnose(this.cluster, folder)}\n`);
  }

  /** kmm_hello with its device plugin. */
  helloWithPlugin(): ModuleBuilder {
    return this.hello().withDevicePlugin({ image: this.image(DEVICE_PLUGIN_IMAGE) });
  }

  /** kmm_hello as docs/usage/loader-containers.md has it, from a prebuilt image for each kernel. */
  hello(): ModuleBuilder {
    return this.helloFrom({ containerImage: this.image(`${HELLO_REPOSITORY}:\${KERNEL_FULL_VERSION}`) });
  }

  /** The same, with its image from elsewhere. */
  helloFrom(mapping: HelloMapping): ModuleBuilder {
    return helloModule(this.ref, this.cluster.selector, [{ regexp: '.+', ...mapping }]);
  }

  /** The same, with a mapping for each kernel. */
  helloFor(mappingOf: (kernel: Kernel) => HelloMapping): ModuleBuilder {
    return helloModule(
      this.ref,
      this.cluster.selector,
      this.bed.kernels.map((kernel) => ({ literal: kernel.release, ...mappingOf(kernel) })),
    );
  }

  /** The reference of an image of the tests'. */
  image(name: string): string {
    return `${this.cluster.registry}/${name}`;
  }

  node({ name }: RealNode): Promise<Node> {
    return this.cluster.admin.get(NODES, { name });
  }

  async apply(module: ModuleBuilder): Promise<void> {
    await this.cluster.admin.create(MODULES, module.build());
  }

  module(): Promise<Module> {
    return this.cluster.admin.get(MODULES, this.ref);
  }

  async deleteModule(): Promise<void> {
    await this.cluster.admin.delete(MODULES, this.ref);
  }

  /** The Module once it says of its present generation that so many nodes, or all, have it and nothing is in progress or wrong. */
  untilLoaded(nodes = this.cluster.nodes.length): Promise<Module> {
    return this.eventually(`Module ${this.ref.name} to be loaded on ${nodes} nodes`, async () => {
      const module = await this.module();
      expect(module.status).toMatchObject({
        observedGeneration: module.metadata.generation,
        loaded: `${nodes}/${nodes}`,
        conditions: expect.arrayContaining([
          expect.objectContaining({ type: 'Ready', status: 'True' }),
          expect.objectContaining({ type: 'Progressing', status: 'False' }),
          expect.objectContaining({ type: 'Degraded', status: 'False' }),
        ]),
      });
      return module;
    });
  }

  /** The Module once its condition is as expected. */
  untilCondition(expected: Partial<Condition> & Pick<Condition, 'type'>): Promise<Condition> {
    return this.eventually(`Module ${this.ref.name} to be ${JSON.stringify(expected)}`, async () => {
      const found = (await this.module()).status?.conditions?.find(({ type }) => type === expected.type);
      if (found === undefined) throw new Error(`it has no condition ${expected.type}`);
      expect(found).toMatchObject(expected);
      return found;
    });
  }

  untilGone(): Promise<void> {
    return this.eventually(`Module ${this.ref.name} to be gone`, async () => {
      const module = await this.module().catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
      if (module !== undefined) throw new Error(JSON.stringify(module.status?.conditions));
    });
  }

  /** Of the scenario's namespace; with a role, those of the Module in it. */
  pods(role?: Role | typeof IMAGE_BUILD_ROLE): Promise<readonly Pod[]> {
    const labels =
      role === undefined ? {} : { labelSelector: `${MODULE_NAME_LABEL}=${this.ref.name},${ROLE_LABEL}=${role}` };
    return this.cluster.admin.list(PODS, { namespace: this.namespace, ...labels });
  }

  /** The loader pod of a node. */
  async loaderOn({ name }: RealNode): Promise<Pod> {
    const found = (await this.pods('module-loader')).filter(({ spec }) => spec?.nodeName === name);
    const [pod] = found;
    if (pod === undefined || found.length > 1) throw new Error(`${found.length} loaders on ${name}`);
    return pod;
  }

  /** What the Module has on a node: values of its load and ready labels. */
  async marks(node: RealNode): Promise<{ readonly load: string | undefined; readonly ready: string | undefined }> {
    const { labels = {} } = (await this.node(node)).metadata;
    return { load: labels[loadLabel(this.ref)], ready: labels[readyLabel(this.ref)] };
  }

  /** Keys on a node that name the Module. */
  leftOn(node: Node): readonly string[] {
    const { labels = {}, annotations = {} } = node.metadata;
    const mark = `/${this.ref.namespace}.${this.ref.name}.`;
    return [...Object.keys(labels), ...Object.keys(annotations)].filter((key) => key.includes(mark));
  }

  /**
   * Starts a pod that is given a device on a node and runs the script; the script's name for that of kmm_hello is /dev/kmm_hello.
   *
   * @returns the pod once it is in one of the phases
   */
  async startReader(
    name: string,
    node: RealNode,
    script: string,
    { phases = ['Succeeded', 'Failed'], resource }: ReaderOptions = {},
  ): Promise<Pod> {
    const reader = { node: node.name, image: this.image(TOOLS_IMAGE), script, resource };
    const pod = readerPod({ namespace: this.namespace, name }, reader);
    await this.cluster.kubectl(['create', '-f', '-'], { input: JSON.stringify(pod) });
    return this.eventually(`pod ${name} to be ${phases.join(' or ')}`, async () => {
      const found = await this.cluster.admin.get(PODS, { namespace: this.namespace, name });
      const phase = found.status?.phase ?? '';
      if (!phases.includes(phase)) throw new Error(`it is ${phase}: ${JSON.stringify(found.status)}`);
      return found;
    });
  }

  async deletePod(name: string): Promise<void> {
    await this.cluster.admin.delete(PODS, { namespace: this.namespace, name }, { gracePeriodSeconds: 1 });
  }

  log(pod: string): Promise<string> {
    return this.cluster.kubectl(['logs', '-n', this.namespace, pod]);
  }

  /** What the kernels of the nodes noted of the module so far: to be compared with later. */
  async kernelRecords(): Promise<Readonly<Record<string, readonly ModuleEvent[]>>> {
    const entries = this.cluster.nodes.map(async (node) => [node.name, await moduleEvents(node)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }

  /** From now on: what the module writes to a node's kernel log, without what it wrote in earlier scenarios. */
  async newKernelLines(): Promise<(node: RealNode) => Promise<readonly string[]>> {
    const entries = this.cluster.nodes.map(async (node) => [node, (await kernelLines(node)).length] as const);
    const before = new Map(await Promise.all(entries));
    return async (node) => (await kernelLines(node)).slice(before.get(node));
  }

  /** Tries with the patience that guests need. */
  eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    return eventually(attempt, { what, timeoutMs: this.#patienceMs, intervalMs: INTERVAL_MS });
  }
}
