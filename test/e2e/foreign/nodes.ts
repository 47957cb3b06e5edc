import type { Node } from '../../../src/kube/core.ts';

/** As Kubernetes calls this machine's architecture, which images are made for. */
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;

/** More would show nothing new, and each is cordoned, drained and tainted. */
const MOST = 2;

/**
 * The nodes of a cluster that modules are to be loaded on: at most two, of different kernels where there are, which are Ready, run Linux on
 * this machine's architecture, and take pods that tolerate nothing.
 */
export function chooseNodes(nodes: readonly Node[]): readonly Node[] {
  const [first, ...others] = nodes.filter(takesPods);
  if (first === undefined) return [];
  const second = others.find((node) => releaseOf(node) !== releaseOf(first)) ?? others[0];
  return [first, ...(second === undefined ? [] : [second])].slice(0, MOST);
}

export function releaseOf({ status }: Node): string {
  return status?.nodeInfo?.kernelVersion ?? '';
}

function takesPods({ metadata, spec, status }: Node): boolean {
  const { 'kubernetes.io/os': os, 'kubernetes.io/arch': arch } = metadata.labels ?? {};
  const isReady = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  const isTainted = spec?.taints?.some(({ effect }) => effect !== 'PreferNoSchedule') === true;
  return os === 'linux' && arch === ARCHITECTURE && isReady && !isTainted && spec?.unschedulable !== true;
}
