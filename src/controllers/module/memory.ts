import type { SelectorMemory } from './snapshot.ts';

/**
 * What the operator remembers of a Module between reconciles and may lose at any moment: each field only delays something harmless
 * (an unload waits out its grace again, a count is written sooner).
 */
export interface ModuleMemory {
  /** Of the Module it is about: one that was created again under the name starts anew. */
  readonly uid: string;
  selector?: SelectorMemory;
  /** The wall clock less the monotonic one when `selector` was noted, milliseconds: another difference says that the clock was set. */
  clockOffsetMs?: number;
  /** When status was last written, on the monotonic clock, milliseconds. */
  statusWrittenAtMs?: number;
  /** Names of DaemonSets that a foreign object was seen to have: looked at again by GET, not by a POST that fails. */
  readonly takenNames: Set<string>;
  /** Uids of loader pods whose deletion was asked for and is not seen in the cache yet. */
  readonly deletingPods: Set<string>;
  /** When a node was first seen to need a loader that it did not have yet, by node name. */
  readonly waitingForLoader: Map<string, number>;
  /** The last plan: when it was made, on the monotonic clock, and how long that took; milliseconds. */
  planned?: { readonly atMs: number; readonly tookMs: number };
  /** False until the first reconcile of a Module that others have acted on: what that one finds may have waited for long. */
  settled: boolean;
}

export function newMemory(uid: string, settled: boolean): ModuleMemory {
  return { uid, takenNames: new Set(), deletingPods: new Set(), waitingForLoader: new Map(), settled };
}
