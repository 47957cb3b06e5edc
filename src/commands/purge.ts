import type { PurgeStep } from '../controllers/purge/plan.ts';
import { clearingPatches } from '../controllers/purge/plan.ts';
import { purge, readPurgeWorld, runningOperator } from '../controllers/purge/purge.ts';
import { KubeClient } from '../kube/client.ts';
import { loadConnection } from '../kube/config.ts';
import { systemClock } from '../runtime/clock.ts';
import { describeError } from '../runtime/logger.ts';
import { LEASE_NAME } from './config.ts';
import { deadlineIn } from './deadline.ts';
import type { OptionDefinitions } from './options.ts';
import * as options from './options.ts';
import { VERSION } from './version.ts';

interface PurgeConfig {
  readonly kubeconfig: string;
  readonly context: string;
  readonly namespace: string;
  readonly leaderElectionId: string;
  readonly timeout: number;
  readonly yes: boolean;
}

const PURGE_OPTIONS: OptionDefinitions<PurgeConfig> = {
  kubeconfig: {
    flag: 'kubeconfig',
    kind: options.filePath,
    description: 'The kubeconfig file; else KUBECONFIG or ~/.kube/config.',
  },
  context: options.kubeconfigContext,
  namespace: {
    flag: 'namespace',
    kind: options.dnsLabel,
    default: 'kmm-system',
    description: 'Where the operator was installed.',
  },
  leaderElectionId: {
    flag: 'leader-election-id',
    kind: options.dnsSubdomain,
    default: LEASE_NAME,
    description: "The name of the operator's Lease: while one holds it, nothing is purged.",
  },
  timeout: {
    flag: 'timeout',
    kind: options.duration,
    default: '10m',
    description: 'How long all of it may take.',
  },
  yes: {
    flag: 'yes',
    kind: options.boolean,
    default: 'false',
    description: 'Do it. Without it, only what would be done is printed.',
  },
};

/** `kmm purge`: takes everything of ours off a cluster whose operator is gone. Leaves its outcome in process.exitCode. */
export async function runPurge(argv: readonly string[]): Promise<void> {
  const line = options.readCommandLine('kmm purge', Object.values(PURGE_OPTIONS), argv);
  if (line.helpWanted) {
    process.stdout.write(options.helpText('kmm purge', Object.values(PURGE_OPTIONS), 'flags'));
    return;
  }
  const read = readConfig(line.values);
  const errors = [...line.errors, ...read.errors];
  if (errors.length > 0) return fail(errors);
  const deadline = deadlineIn(read.config.timeout ?? 600_000);
  try {
    await run(read.config, deadline.signal);
  } catch (error) {
    fail([
      deadline.isOver()
        ? 'Time is up before everything was off the cluster; run it again to go on, or give it more with --timeout.'
        : `${describeError(error)}. What is left is found again by the next run.`,
    ]);
  }
}

async function run(config: Partial<PurgeConfig>, signal: AbortSignal): Promise<void> {
  const connection = await loadConnection({ kubeconfig: config.kubeconfig, context: config.context });
  const client = new KubeClient({ connection, userAgent: `kmm-purge/${VERSION}` });
  try {
    const lease = { namespace: config.namespace ?? '', name: config.leaderElectionId ?? '' };
    const holder = await runningOperator(client, lease, systemClock, signal);
    if (holder !== undefined) {
      return fail([
        `An operator is running (${holder} holds the Lease ${lease.namespace}/${lease.name}): delete the Modules and let it unload them, or stop it first.`,
      ]);
    }
    if (config.yes !== true) {
      const { modules, daemonSets, nodes } = await readPurgeWorld(client, signal);
      say(
        `On ${connection.server}: ${modules.length} Modules and ${daemonSets.length} DaemonSets would be deleted, and labels taken off ${clearingPatches(nodes).size} nodes.`,
      );
      say('Every module would be unloaded. Nothing was changed; add --yes to do it.');
      return;
    }
    await purge(client, systemClock, (step) => say(sentenceOf(step)), signal);
  } finally {
    await client.close();
  }
}

function sentenceOf(step: PurgeStep): string {
  switch (step.kind) {
    case 'delete-modules':
      return `Deleting ${step.modules.length} Modules ...`;
    case 'delete-daemonsets':
      return `Deleting ${step.daemonSets.length} ${step.role} DaemonSets ...`;
    case 'delete-pods':
      return `Deleting ${step.pods.length} pods that no DaemonSet has ...`;
    case 'wait-for-pods':
      return `Waiting for ${step.pods.length} ${step.role} pods to stop ...`;
    case 'clear-nodes':
      return `Taking labels off ${step.patches.size} nodes ...`;
    case 'release-modules':
      return `Releasing ${step.modules.length} Modules ...`;
    case 'done':
      return 'Nothing of KMM is left but its CRD and its roles.';
  }
}

function readConfig(values: ReadonlyMap<string, string>): { config: Partial<PurgeConfig>; errors: readonly string[] } {
  const { value, errors } = options.valueReader(PURGE_OPTIONS, values);
  const config = {
    kubeconfig: value('kubeconfig'),
    context: value('context'),
    namespace: value('namespace'),
    leaderElectionId: value('leaderElectionId'),
    timeout: value('timeout'),
    yes: value('yes'),
  };
  return { config, errors };
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

function fail(errors: readonly string[]): void {
  for (const error of errors) process.stderr.write(`${error}\n`);
  process.exitCode = 1;
}
