import { GROUP_PREFIX, KERNEL_LABEL } from '../../api/labels.ts';
import { labelSafe } from '../../kernel/names.ts';
import type { Node } from '../../kube/core.ts';
import { mergePatches, type NodePatch, remainingPatch } from './label-patch.ts';

/** Everything one Node needs, in one patch; undefined when it has it all. */
export function planNodePatch(
  node: Node,
  due: readonly NodePatch[],
  isOrphaned: (key: string) => boolean,
): NodePatch | undefined {
  return remainingPatch(node, mergePatches([kernelPatch(node), orphansPatch(node, isOrphaned), ...due]));
}

function kernelPatch(node: Node): NodePatch {
  const kernel = node.status?.nodeInfo?.kernelVersion;
  // A Node that was just registered has no kernel yet, and keeps the label of the last one meanwhile.
  return {
    labels: kernel === undefined || kernel === '' ? {} : { [KERNEL_LABEL]: labelSafe(kernel) },
    annotations: {},
  };
}

/** Marks of a Module that is gone: left when its finalizer was removed by hand, or when a node was away while it was deleted. */
function orphansPatch({ metadata }: Node, isOrphaned: (key: string) => boolean): NodePatch {
  return {
    labels: removals(metadata.labels, ['.load', '.ready'], isOrphaned),
    annotations: removals(metadata.annotations, ['.loaded'], isOrphaned),
  };
}

function removals(
  present: Readonly<Record<string, string>> | undefined,
  suffixes: readonly string[],
  isOrphaned: (key: string) => boolean,
): Record<string, null> {
  const gone = Object.keys(present ?? {}).filter(
    (key) => key.startsWith(GROUP_PREFIX) && suffixes.some((suffix) => key.endsWith(suffix)) && isOrphaned(key),
  );
  return Object.fromEntries(gone.map((key) => [key, null]));
}
