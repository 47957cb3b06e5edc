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
  readonly #onDue: (nodeName: string) => void;

  constructor(onDue: (nodeName: string) => void) {
    this.#onDue = onDue;
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
