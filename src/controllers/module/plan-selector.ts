import type { Node } from '../../kube/core.ts';
import { matchesLabels } from '../../kube/selectors.ts';
import type { SelectorMemory, Unmatched } from './snapshot.ts';

/**
 * Notes which nodes that carry the load label do not match the selector, since when and why.
 *
 * An edited selector unloads at once: a person asked for it. A label that vanished from a node waits out the grace period, because a
 * labelling daemon that restarts takes its labels away for a minute. Without a memory (the operator has just started) the cause
 * cannot be known, so the harmless one is taken.
 */
export function observeSelector(
  memory: SelectorMemory | undefined,
  selector: Readonly<Record<string, string>>,
  nodes: Iterable<Node>,
  loadLabel: string,
  nowMs: number,
): SelectorMemory {
  const edited = memory !== undefined && !sameSelector(memory.selector, selector);
  const unmatched = new Map<string, Unmatched>();
  for (const node of nodes) {
    const labels = node.metadata.labels ?? {};
    const name = node.metadata.name ?? '';
    if (labels[loadLabel] === undefined || matchesLabels(selector, labels)) continue;
    const known = memory?.unmatched.get(name);
    if (known !== undefined) {
      unmatched.set(name, known);
    } else {
      const wasMatching = edited && matchesLabels(memory.selector, labels);
      unmatched.set(name, { sinceMs: nowMs, cause: wasMatching ? 'SelectorEdited' : 'LabelVanished' });
    }
  }
  return { selector, unmatched };
}

/** Steps of the wall clock that are smaller are left to NTP. */
const LEAST_STEP_MS = 1_000;

/** The memory after the wall clock was set by `stepMs`: a grace that has begun takes as long as it would have. */
export function afterClockStep(memory: SelectorMemory, stepMs: number): SelectorMemory {
  if (Math.abs(stepMs) < LEAST_STEP_MS) return memory;
  const unmatched = [...memory.unmatched].map(([name, { sinceMs, cause }]): [string, Unmatched] => [
    name,
    { sinceMs: sinceMs + stepMs, cause },
  ]);
  return { ...memory, unmatched: new Map(unmatched) };
}

function sameSelector(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
