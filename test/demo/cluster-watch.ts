/**
 * Keeps a World up to date by watching the API server. The demo judges the operator, so it does not see with the
 * operator's eyes: this is neither its client nor its informers.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

import { Agent, request } from 'undici';

import { MODULES, type Module } from '../../src/api/module.ts';
import { DAEMONSETS, type DaemonSet, NODES, type Node, PODS, type Pod } from '../../src/kube/core.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import type { Resource } from '../../src/kube/resources.ts';
import type { ControlPlane } from '../harness/control-plane.ts';
import { type Change, type Kind, keyOf, type World } from './world.ts';

interface WatchEvent<T extends KubeObject> {
  readonly type: Change['type'] | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/** What is found instead of what was expected; undefined when all is as expected. */
export type Judge = (world: World) => string | undefined;

export type Listener = (change: Change | undefined, world: World) => void;

export interface UntilOptions {
  /** Milliseconds; 30,000 unless told. */
  readonly timeoutMs?: number;
}

/** Asking sooner than the whole second that the server names costs it nothing here. */
const RETRY_MS = 100;

export class ClusterWatch {
  readonly #server: string;
  readonly #agent: Agent;
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<Listener>();
  readonly #nodes = new Map<string, Node>();
  readonly #pods = new Map<string, Pod>();
  readonly #daemonSets = new Map<string, DaemonSet>();
  readonly #modules = new Map<string, Module>();
  #failure: Error | undefined;

  private constructor(server: string, agent: Agent, signal: AbortSignal) {
    this.#server = server;
    this.#agent = agent;
    this.#signal = signal;
  }

  /** Watches nodes, pods and DaemonSets until the signal aborts. */
  static async open(controlPlane: ControlPlane, signal: AbortSignal): Promise<ClusterWatch> {
    const { pki, server } = controlPlane;
    const [ca, cert, key] = await Promise.all(
      [pki.ca, pki.adminCertificate, pki.adminKey].map((file) => readFile(file)),
    );
    const watch = new ClusterWatch(server, new Agent({ connect: { ca, cert, key }, bodyTimeout: 0 }), signal);
    watch.#start('nodes', NODES, watch.#nodes);
    watch.#start('pods', PODS, watch.#pods);
    watch.#start('daemonSets', DAEMONSETS, watch.#daemonSets);
    return watch;
  }

  /** Watches Modules too; their CRD must be installed. */
  watchModules(): void {
    this.#start('modules', MODULES, this.#modules);
  }

  get world(): World {
    return { nodes: this.#nodes, pods: this.#pods, daemonSets: this.#daemonSets, modules: this.#modules };
  }

  /** Calls the listener after every change; the change is undefined when a watch has begun anew. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits until the judge has nothing to say, and gives undefined then; after the timeout, what it still says.
   *
   * @throws the reason of the signal, or the error that ended a watch
   */
  async until(judge: Judge, { timeoutMs = 30_000 }: UntilOptions = {}): Promise<string | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    const look = (): void => {
      if (this.#failure !== undefined) reject(this.#failure);
      else if (judge(this.world) === undefined) resolve(undefined);
    };
    const abort = (): void => reject(this.#signal.reason);
    const timer = setTimeout(() => resolve(judge(this.world)), timeoutMs);
    const stop = this.onChange(look);
    this.#signal.addEventListener('abort', abort);
    try {
      this.#signal.throwIfAborted();
      look();
      return await promise;
    } finally {
      clearTimeout(timer);
      stop();
      this.#signal.removeEventListener('abort', abort);
    }
  }

  #start<T extends KubeObject>(kind: Kind, resource: Resource<T>, objects: Map<string, T>): void {
    this.#follow(kind, resource, objects).catch((error: unknown) => {
      if (this.#signal.aborted) return;
      this.#failure = new Error(`the demo can no longer watch ${resource.plural}: ${String(error)}`, { cause: error });
      this.#notify(undefined);
    });
  }

  /** The server ends a watch now and then without a fault; the next one begins with the whole list again. */
  async #follow<T extends KubeObject>(kind: Kind, resource: Resource<T>, objects: Map<string, T>): Promise<void> {
    const group = resource.group === '' ? 'api' : `apis/${resource.group}`;
    const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const url = `${this.#server}/${group}/${resource.version}/${resource.plural}?${query}`;
    while (!this.#signal.aborted) {
      const { statusCode, body } = await request(url, { dispatcher: this.#agent, signal: this.#signal });
      if (statusCode === 429) {
        // A CRD that was just installed: its storage is not there yet, and the server says when to ask again.
        await body.dump();
        await delay(RETRY_MS, undefined, { signal: this.#signal });
        continue;
      }
      if (statusCode !== 200) throw new Error(`${statusCode} ${await body.text()}`);
      const first = new Map<string, T>();
      let listed = false;
      for await (const line of linesOf(body)) {
        const event: WatchEvent<T> = JSON.parse(line);
        if (event.type === 'ERROR') throw new Error(line);
        if (event.type === 'BOOKMARK') {
          if (!listed) replace(objects, first);
          if (!listed) this.#notify(undefined);
          listed = true;
          continue;
        }
        const key = keyOf(event.object);
        const target = listed ? objects : first;
        if (event.type === 'DELETED') target.delete(key);
        else target.set(key, event.object);
        if (listed) this.#notify({ kind, type: event.type, key });
      }
    }
  }

  #notify(change: Change | undefined): void {
    const { world } = this;
    for (const listener of this.#listeners) listener(change, world);
  }
}

async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

function replace<T>(objects: Map<string, T>, by: ReadonlyMap<string, T>): void {
  objects.clear();
  for (const [key, object] of by) objects.set(key, object);
}
