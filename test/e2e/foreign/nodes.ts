import { isAlive } from '../../../src/controllers/module/plan-placement.ts';
import type { Node } from '../../../src/kube/core.ts';

/** As Kubernetes calls this machine's architecture, which images are made for. */
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;

/**
 * The nodes of a cluster that modules are to be loaded on: at most two, of different kernels where there are, which are Ready, run Linux on
 * this machine's architecture, and take pods that tolerate nothing. More would show nothing new.
 */
export function chooseNodes(nodes: readonly Node[]): readonly Node[] {
  const [first, ...others] = nodes.filter(takesPods);
  if (first === undefined) return [];
  const second = others.find((node) => releaseOf(node) !== releaseOf(first)) ?? others[0];
  return second === undefined ? [first] : [first, second];
}

export function releaseOf({ status }: Node): string {
  return status?.nodeInfo?.kernelVersion ?? '';
}

function takesPods(node: Node): boolean {
  const { metadata, spec } = node;
  const { 'kubernetes.io/os': os, 'kubernetes.io/arch': arch } = metadata.labels ?? {};
  const isTainted = spec?.taints?.some(({ effect }) => effect !== 'PreferNoSchedule') === true;
  return os === 'linux' && arch === ARCHITECTURE && isAlive(node) && !isTainted && spec?.unschedulable !== true;
}
