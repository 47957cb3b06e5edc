import type { BuildIsolation } from '../../build/engines/pod-security.ts';
import type { Node } from '../../kube/core.ts';
import { matchesLabels } from '../../kube/selectors.ts';

export const BUILD_ISOLATION_CHOICES = ['auto', 'user-namespace', 'capabilities'] as const;
export type BuildIsolationChoice = (typeof BUILD_ISOLATION_CHOICES)[number];

/**
 * How a build pod is to be confined. `auto` asks for a user namespace only where every node that the pod may be put on can give one to a
 * pod with Secrets: the scheduler does not look at it, and elsewhere the pod would never start.
 */
export function buildIsolation(
  choice: BuildIsolationChoice,
  seccompProfile: string,
  nodes: readonly Node[],
  nodeSelector: Readonly<Record<string, string>>,
): BuildIsolation {
  const candidates = nodes.filter(({ metadata }) => matchesLabels(nodeSelector, metadata.labels ?? {}));
  const everywhere = candidates.length > 0 && candidates.every(hasUserNamespaces);
  if (choice === 'user-namespace' || (choice === 'auto' && everywhere)) return { kind: 'user-namespace' };
  return { kind: 'capabilities', ...(seccompProfile === '' ? {} : { localhostSeccompProfile: seccompProfile }) };
}

/**
 * Whether a pod with `hostUsers: false` can mount Secrets there. Kubelets do it by default from 1.33; containerd from 2.0 and CRI-O from
 * 1.25 implement it; and Secrets are tmpfs, which Linux maps to other ids from 6.3 on (measured: 6.1 refuses with "failed to set
 * MOUNT_ATTR_IDMAP", 6.12 does not). Source: Kubernetes docs, "User Namespaces".
 */
export function hasUserNamespaces({ status }: Node): boolean {
  const { kernelVersion = '', kubeletVersion = '', containerRuntimeVersion = '' } = status?.nodeInfo ?? {};
  const [runtime = '', version = ''] = containerRuntimeVersion.split('://');
  const leastRuntime = LEAST_RUNTIME.get(runtime);
  return (
    leastRuntime !== undefined &&
    isAtLeast(version, leastRuntime) &&
    isAtLeast(kubeletVersion.replace(/^v/, ''), [1, 33]) &&
    isAtLeast(kernelVersion, [6, 3])
  );
}

const LEAST_RUNTIME: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['containerd', [2, 0]],
  ['cri-o', [1, 25]],
]);

function isAtLeast(version: string, [leastMajor, leastMinor]: readonly [number, number]): boolean {
  const match = /^(\d+)\.(\d+)/.exec(version);
  if (match === null) return false;
  const major = Number(match[1]);
  return major > leastMajor || (major === leastMajor && Number(match[2]) >= leastMinor);
}
