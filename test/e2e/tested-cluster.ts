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
