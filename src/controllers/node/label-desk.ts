import type { Node } from '../../kube/core.ts';
import type { NodePatch } from './label-patch.ts';

/** What a Module wants changed on a Node, with what that was decided for. */
export interface NodeRequest {
  readonly nodeUID: string;
  readonly bootID: string;
  readonly patch: NodePatch;
}

/** The {@link NodeRequest} of `patch` as decided for `node` as it is now. */
export function requestFor(node: Node, patch: NodePatch): NodeRequest {
  return { nodeUID: node.metadata.uid ?? '', bootID: node.status?.nodeInfo?.bootID ?? '', patch };
}

/**
 * Where Module reconciles lay down the label changes they want and the node controller picks them up: so all that is due on a node
 * together goes out as one patch. It holds nothing that a Module reconcile would not lay down again, so losing it loses nothing.
 */
export class LabelDesk {
  readonly #byModule = new Map<string, ReadonlyMap<string, NodeRequest>>();
  /** By node: why the API server does not take its patch. */
  readonly #refusals = new Map<string, string>();
  readonly #onDue: (nodeName: string) => void;
  readonly #onRefused: (moduleKey: string) => void;

  /** @param onRefused told of each Module that wants something on a node whose patch was refused, when it is another refusal than before */
  constructor(onDue: (nodeName: string) => void, onRefused: (moduleKey: string) => void) {
    this.#onDue = onDue;
    this.#onRefused = onRefused;
  }

  /** The API server refuses what is due on the node, in its words. */
  refused(nodeName: string, sentence: string): void {
    if (this.#refusals.get(nodeName) === sentence) return;
    this.#refusals.set(nodeName, sentence);
    for (const [moduleKey, requests] of this.#byModule) if (requests.has(nodeName)) this.#onRefused(moduleKey);
  }

  /** Nothing is due there any more, or it has been taken. What changes on the Node wakes its Modules. */
  settled(nodeName: string): void {
    this.#refusals.delete(nodeName);
  }

  get refusals(): ReadonlyMap<string, string> {
    return this.#refusals;
  }

  /** Replaces all that `moduleKey` wanted. */
  publish(moduleKey: string, requests: ReadonlyMap<string, NodeRequest>): void {
    if (requests.size === 0) this.#byModule.delete(moduleKey);
    else this.#byModule.set(moduleKey, requests);
    for (const nodeName of requests.keys()) this.#onDue(nodeName);
  }

  /** What `moduleKey` wanted last, by node; it may be on its way to the API server. */
  requestsOf(moduleKey: string): ReadonlyMap<string, NodeRequest> {
    return this.#byModule.get(moduleKey) ?? new Map();
  }

  /** What is due on the node. A request made for another boot, or for an earlier Node of this name, is left for its Module to redo. */
  dueOn(node: Node): NodePatch[] {
    const name = node.metadata.name ?? '';
    const due: NodePatch[] = [];
    for (const requests of this.#byModule.values()) {
      const request = requests.get(name);
      if (request === undefined || request.nodeUID !== node.metadata.uid) continue;
      if (request.bootID !== (node.status?.nodeInfo?.bootID ?? '')) continue;
      due.push(request.patch);
    }
    return due;
  }
}
