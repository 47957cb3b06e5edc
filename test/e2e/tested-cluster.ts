import type { AdminClient } from '../harness/admin.ts';
import type { RunOptions } from '../harness/run.ts';
import type { RealNode } from './real-node.ts';

/** The key of the one taint that scenarios put on nodes. */
export const MAINTENANCE_TAINT = 'kmm-e2e.test/maintenance';

/** Labels of a namespace whose pods may be what Pod Security's `privileged` alone allows, as loaders are. */
export const PRIVILEGED = { 'pod-security.kubernetes.io/enforce': 'privileged' };

/** Where scenarios run: a bed, or a cluster that somebody else runs. The operator is installed there. */
export interface TestedCluster {
  readonly admin: AdminClient;
  /** Those that modules are loaded on; at least one. */
  readonly nodes: readonly RealNode[];
  /** Labels that these nodes have and no others. */
  readonly selector: Readonly<Record<string, string>>;
  /** Host and path that nodes pull the tests' images from. */
  readonly registry: string;
  /** Runs kubectl as an administrator and gives its standard output; throws what it said on failure. */
  kubectl(args: readonly string[], options?: RunOptions): Promise<string>;
  /** The last lines of the operator's log. */
  operatorLog(): Promise<string>;
  /** Brings nodes that a scenario left in another state back to the one in which scenarios begin. */
  restore(): Promise<void>;
  /** Ends this process's connections. */
  close(): Promise<void>;
}

/** Takes from the nodes what scenarios put on them to keep pods away. */
export async function makeSchedulable(cluster: TestedCluster): Promise<void> {
  for (const { name } of cluster.nodes) {
    await cluster.kubectl(['uncordon', name]);
    await cluster.kubectl(['taint', 'node', name, `${MAINTENANCE_TAINT}-`]).catch((error: unknown) => {
      // No test has left it there.
      if (!String(error).includes('not found')) throw error;
    });
  }
}
