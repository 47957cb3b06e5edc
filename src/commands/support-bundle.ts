import { rm } from 'node:fs/promises';
import { collect } from '../controllers/support/collect.ts';
import { KubeClient } from '../kube/client.ts';
import { loadConnection } from '../kube/config.ts';
import { describeError } from '../runtime/logger.ts';
import { writeArchive } from './archive.ts';
import { deadlineIn } from './deadline.ts';
import type { OptionDefinitions } from './options.ts';
import * as options from './options.ts';
import { VERSION } from './version.ts';

interface SupportBundleConfig {
  readonly kubeconfig: string;
  readonly context: string;
  readonly namespace: string;
  readonly metricsPort: number;
  readonly podLogs: boolean;
  readonly output: string;
  readonly timeout: number;
}

const OPTIONS: OptionDefinitions<SupportBundleConfig> = {
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
  metricsPort: {
    flag: 'metrics-port',
    kind: options.integer(1, 65_535),
    default: '8080',
    description: "The port of the operator's /metrics.",
  },
  podLogs: {
    flag: 'pod-logs',
    kind: options.boolean,
    default: 'true',
    description: 'Take logs of loaders, device plugins and builds that fail; they hold what their programs print.',
  },
  output: {
    flag: 'output',
    kind: options.filePath,
    description: 'The archive to write; else kmm-support-<time>.tar.gz here. A file that exists is not overwritten.',
  },
  timeout: {
    flag: 'timeout',
    kind: options.duration,
    default: '5m',
    description: 'How long collecting may take.',
  },
};

/** `kmm support-bundle`: one archive of what explains how the operator and its Modules are. Leaves its outcome in process.exitCode. */
export async function runSupportBundle(argv: readonly string[]): Promise<void> {
  const line = options.readCommandLine('kmm support-bundle', Object.values(OPTIONS), argv);
  if (line.helpWanted) {
    process.stdout.write(options.helpText('kmm support-bundle', Object.values(OPTIONS), 'flags'));
    return;
  }
  const { value, errors: unreadable } = options.valueReader(OPTIONS, line.values);
  const config: Partial<SupportBundleConfig> = {
    kubeconfig: value('kubeconfig'),
    context: value('context'),
    namespace: value('namespace'),
    metricsPort: value('metricsPort'),
    podLogs: value('podLogs'),
    output: value('output'),
    timeout: value('timeout'),
  };
  const errors = [...line.errors, ...unreadable];
  if (errors.length > 0) return fail(errors);
  const deadline = deadlineIn(config.timeout ?? 300_000);
  try {
    await write(config, deadline.signal);
  } catch (error) {
    fail([
      deadline.isOver()
        ? 'No bundle was written: time is up. Give it more with --timeout.'
        : `No bundle was written: ${describeError(error)}.`,
    ]);
  }
}

async function write(config: Partial<SupportBundleConfig>, signal: AbortSignal): Promise<void> {
  const connection = await loadConnection({ kubeconfig: config.kubeconfig, context: config.context });
  const client = new KubeClient({ connection, userAgent: `kmm-support-bundle/${VERSION}` });
  const folder = `kmm-support-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;
  const path = config.output ?? `${folder}.tar.gz`;
  try {
    const files = collect({
      client,
      namespace: config.namespace ?? '',
      metricsPort: config.metricsPort ?? 0,
      podLogs: config.podLogs ?? true,
      version: VERSION,
      signal,
    });
    const count = await writeArchive(path, folder, files);
    process.stdout.write(
      `${path}: ${count} files. What looks like a secret was taken out; look through it before you send it.\n`,
    );
  } catch (error) {
    // Half a bundle misleads whoever reads it. One that was there before stays.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) await rm(path, { force: true });
    throw error;
  } finally {
    await client.close();
  }
}

function fail(errors: readonly string[]): void {
  for (const error of errors) process.stderr.write(`${error}\n`);
  process.exitCode = 1;
}
