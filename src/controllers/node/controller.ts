import { loadedAnnotation, loadLabel, namespaceOfKey, readyLabel } from '../../api/labels.ts';
import type { KubeClient } from '../../kube/client.ts';
import { NODES } from '../../kube/core.ts';
import { isConflict, isNotFound, isRefusal } from '../../kube/errors.ts';
import type { ReconcileContext } from '../../runtime/controller.ts';
import type { Caches } from '../caches.ts';
import type { LabelDesk } from './label-desk.ts';
import { planNodePatch } from './plan.ts';

/** Writes what is due on a Node, whoever wants it, in one merge patch; nothing when nothing is due. */
export class NodeReconciler {
  readonly #client: KubeClient;
  readonly #caches: Caches;
  readonly #desk: LabelDesk;
  readonly #watchNamespaces: ReadonlySet<string>;
  #claimed: ReadonlySet<string> | undefined;

  /** @param watchNamespaces those whose Modules the caches hold; empty for all */
  constructor(client: KubeClient, caches: Caches, desk: LabelDesk, watchNamespaces: readonly string[] = []) {
    this.#client = client;
    this.#caches = caches;
    this.#desk = desk;
    this.#watchNamespaces = new Set(watchNamespaces);
    for (const informer of [caches.modules, caches.daemonSets]) {
      informer.onChange(({ type }) => {
        if (type !== 'updated') this.#claimed = undefined;
      });
    }
  }

  async reconcile(name: string, { signal, log }: ReconcileContext): Promise<void> {
    const node = this.#caches.nodes.store.get(name);
    // Also one that is being deleted: who drains it, as Karpenter does, may keep it for days, and pods of ours run on it until the end.
    if (node === undefined) return this.#desk.settled(name);
    const claimed = this.#claimedKeys();
    const patch = planNodePatch(node, this.#desk.dueOn(node), (key) => this.#isOurs(key) && !claimed.has(key));
    if (patch === undefined) return this.#desk.settled(name);
    // The uid makes it a patch of this very Node: one that was deleted and registered again starts from nothing.
    const body = { metadata: { uid: node.metadata.uid, ...patch } };
    try {
      this.#caches.nodes.absorb(await this.#client.patch(NODES, { name }, { type: 'merge', body }, { signal }));
      this.#desk.settled(name);
      log.debug({ patch }, 'node patched');
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return;
      // A policy or a webhook that says no goes on saying so; what the server could not do for once is tried again and told by nobody.
      if (isRefusal(error)) this.#desk.refused(name, error.sentence);
      throw error;
    }
  }

  /** Of a Module in another namespace nothing can be seen: to take its label for an orphan's would unload it. */
  #isOurs(key: string): boolean {
    return this.#watchNamespaces.size === 0 || this.#watchNamespaces.has(namespaceOfKey(key));
  }

  /**
   * Keys that belong to a Module, or that a DaemonSet's placement still depends on: taking one of these would unload something, so even
   * if the Module is not to be seen, its DaemonSet protects its labels.
   */
  #claimedKeys(): ReadonlySet<string> {
    if (this.#claimed !== undefined) return this.#claimed;
    const claimed = new Set<string>();
    for (const { metadata } of this.#caches.modules.store.list()) {
      const module = { namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
      claimed.add(loadLabel(module)).add(readyLabel(module)).add(loadedAnnotation(module));
    }
    for (const { nodeSelectorKeys } of this.#caches.daemonSets.store.list()) {
      for (const key of nodeSelectorKeys) claimed.add(key);
    }
    this.#claimed = claimed;
    return claimed;
  }
}
