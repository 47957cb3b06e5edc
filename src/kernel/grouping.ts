import { labelSafe, markedLabelValue, shortHash } from './names.ts';

export interface KernelNode {
  readonly name: string;
  readonly kernel: string;
  readonly arch: string;
}

export interface KernelGroup {
  readonly kernel: string;
  readonly arch: string;
  /** Names, sorted. */
  readonly nodes: string[];
}

/** Nodes by what they run. The order depends on the nodes alone, not on the order in which they come. */
export function groupByKernel(nodes: Iterable<KernelNode>): KernelGroup[] {
  const groups = new Map<string, Map<string, KernelGroup>>();
  for (const { name, kernel, arch } of nodes) {
    const ofKernel = groups.get(kernel) ?? new Map<string, KernelGroup>();
    const group = ofKernel.get(arch) ?? { kernel, arch, nodes: [] };
    group.nodes.push(name);
    groups.set(kernel, ofKernel.set(arch, group));
  }
  const all = [...groups.values()].flatMap((ofKernel) => [...ofKernel.values()]);
  for (const group of all) group.nodes.sort();
  return all.sort((a, b) => compare(a.kernel, b.kernel) || compare(a.arch, b.arch));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** More kernels than a cluster runs at once. */
const MOST_REMEMBERED = 1024;
const remembered = new Map<string, Map<string, string>>();

/**
 * One kernel on one architecture as the value of a label, readable where that is possible: `5.4.0-1054-gke-amd64`. Two pairs never share a
 * key, but for two whose 32-bit hashes and fronts are equal. Cheap when asked again: it is asked for every node at every reconcile.
 */
export function kernelKey(kernel: string, arch: string): string {
  const known = remembered.get(kernel)?.get(arch);
  if (known !== undefined) return known;
  const key = makeKey(kernel, arch);
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  const ofKernel = remembered.get(kernel) ?? new Map<string, string>();
  // A kernel is built for a few architectures; more than that is no cluster.
  if (ofKernel.size >= MOST_REMEMBERED) ofKernel.clear();
  remembered.set(kernel, ofKernel.set(arch, key));
  return key;
}

/** An architecture without a hyphen, as all of Go's are, is what follows the last one: then the pair can be read back from the text. */
function makeKey(kernel: string, arch: string): string {
  const text = `${kernel}-${arch}`;
  if (/^[a-z0-9]+$/.test(arch)) return labelSafe(text);
  return markedLabelValue(text, shortHash(JSON.stringify([kernel, arch])));
}
