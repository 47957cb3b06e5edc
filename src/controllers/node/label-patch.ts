import type { Node } from '../../kube/core.ts';

/** What is due on one Node: a value to set, or null to remove. The form of a JSON merge patch (RFC 7386). */
export interface NodePatch {
  readonly labels: Readonly<Record<string, string | null>>;
  readonly annotations: Readonly<Record<string, string | null>>;
}

type Metadata = 'labels' | 'annotations';

/** `patch` without what the node already has; undefined when nothing is left to write. */
export function remainingPatch(node: Node, patch: NodePatch): NodePatch | undefined {
  const labels = remaining(node, 'labels', patch.labels);
  const annotations = remaining(node, 'annotations', patch.annotations);
  if (Object.keys(labels).length === 0 && Object.keys(annotations).length === 0) return undefined;
  return { labels, annotations };
}

function remaining(
  node: Node,
  field: Metadata,
  wanted: Readonly<Record<string, string | null>>,
): Record<string, string | null> {
  const present = node.metadata[field] ?? {};
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (present[key] ?? null) !== value));
}

export function mergePatches(patches: Iterable<NodePatch>): NodePatch {
  const labels: Record<string, string | null> = {};
  const annotations: Record<string, string | null> = {};
  for (const patch of patches) {
    Object.assign(labels, patch.labels);
    Object.assign(annotations, patch.annotations);
  }
  return { labels, annotations };
}
