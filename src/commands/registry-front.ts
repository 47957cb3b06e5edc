import { KubeClient } from '../kube/client.ts';
import { type Connection, loadConnection } from '../kube/config.ts';
import { pushingAccess, readingAccess } from '../registry/access.ts';
import { Front } from '../registry/front.ts';
import { type Identity, knownAuthorities, newIdentity, renewed } from '../registry/identity.ts';
import { publishAuthority } from '../registry/publication.ts';
import { askServer, TokenReviews } from '../registry/token-reviews.ts';
import { upstreamAt } from '../registry/upstream.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import type { Component } from '../runtime/lifecycle.ts';
import { type ListenAddress, parseListenAddress } from '../runtime/listen-address.ts';
import { createLogger, describeError, LOG_LEVELS, type Logger, type LogLevel } from '../runtime/logger.ts';
import { runProcess } from '../runtime/process.ts';
import type { OptionDefinitions, ValueKind } from './options.ts';
import * as options from './options.ts';
import { VERSION } from './version.ts';

interface FrontConfig {
  readonly readOnly: boolean;
  readonly listenAddress: string;
  readonly upstream: URL;
  readonly upstreamCAFile: string;
  readonly tlsNames: readonly string[];
  readonly namespace: string;
  readonly kubeconfig: string;
  readonly logLevel: LogLevel;
}

const upstreamURL: ValueKind<URL> = {
  placeholder: 'url',
  expected: 'a URL with http or https and a host; write http://127.0.0.1:5000',
  read: (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isPlain = url !== undefined && url.pathname === '/' && url.search === '' && url.username === '';
    return isPlain && /^https?:$/.test(url.protocol) ? url : undefined;
  },
};

const names: ValueKind<readonly string[]> = {
  placeholder: 'names',
  expected: 'names or addresses with commas between',
  read: (text) => {
    const all = text.split(',');
    return all.every((name) => /^[A-Za-z0-9.:-]+$/.test(name)) ? all : undefined;
  },
};

const FRONT_OPTIONS: OptionDefinitions<FrontConfig> = {
  readOnly: {
    flag: 'read-only',
    kind: options.boolean,
    default: 'false',
    description: 'Only pass on what reads, over plain HTTP: the way of a node to the registry. Needs no API server.',
  },
  listenAddress: {
    flag: 'listen-address',
    kind: options.listenAddress,
    default: ':5443',
    description: 'Where it listens. With --read-only it must be an address of loopback.',
  },
  upstream: {
    flag: 'upstream',
    kind: upstreamURL,
    default: 'http://127.0.0.1:5000',
    description: 'The registry behind; with --read-only the front of the cluster.',
  },
  upstreamCAFile: {
    flag: 'upstream-ca-file',
    kind: { ...options.filePath, read: (text) => text },
    default: '',
    description:
      'The certificate authority of an upstream that speaks HTTPS; read again as it changes. Empty: the public ones.',
  },
  tlsNames: {
    flag: 'tls-names',
    kind: names,
    default: 'kmm-registry.kmm-system.svc,kmm-registry.kmm-system.svc.cluster.local,kmm-registry.kmm-system',
    description: 'The names that the certificate has, which the front makes for itself.',
  },
  namespace: {
    flag: 'namespace',
    kind: options.dnsLabel,
    default: 'kmm-system',
    description:
      'Where the ConfigMap kmm-registry-ca is, through which the authority of the certificate is made known.',
  },
  kubeconfig: {
    flag: 'kubeconfig',
    kind: { ...options.filePath, read: (text) => text },
    default: '',
    description: "The kubeconfig file. In a pod the pod's service account is used.",
  },
  logLevel: {
    flag: 'log-level',
    kind: options.oneOf(LOG_LEVELS),
    default: 'info',
    description: 'The least severe log lines to write. Requests that went well are debug.',
  },
};

/** Uploads that are under way when the pod is told to end may come to their end. */
const DRAIN_MS = 25_000;
const RENEW_INTERVAL_MS = 10 * 60_000;
const PUBLISH_RETRY_MS = 2_000;

/** `kmm registry-front`, until SIGTERM or SIGINT. Ends the process; mistakes in flags are told one sentence a line. */
export async function runRegistryFront(argv: readonly string[]): Promise<void> {
  const line = options.readCommandLine('kmm registry-front', Object.values(FRONT_OPTIONS), argv);
  if (line.helpWanted) {
    process.stdout.write(options.helpText('kmm registry-front', Object.values(FRONT_OPTIONS), 'flags'));
    return;
  }
  const { value, errors: unreadable } = options.valueReader(FRONT_OPTIONS, line.values);
  const config = configOf(value);
  const errors = [...line.errors, ...unreadable];
  const address = config === undefined ? undefined : parseListenAddress(config.listenAddress);
  if (config?.readOnly === true && !isLoopback(address)) {
    errors.push(
      '--listen-address must be an address of loopback with --read-only: it is plain HTTP, and for this node alone.',
    );
  }
  if (config === undefined || address === undefined || address === 'disabled' || errors.length > 0) {
    if (address === 'disabled') errors.push('--listen-address: 0 listens nowhere; write :5443.');
    for (const error of errors) process.stderr.write(`kmm registry-front: ${error}\n`);
    process.exitCode = 1;
    return;
  }
  const log = createLogger({ level: config.logLevel });
  const shown = { ...config, upstream: config.upstream.href };
  log.info({ version: VERSION, config: shown }, 'starting');
  const components = config.readOnly
    ? nodeComponents(config, address, log)
    : await frontComponents(config, address, log);
  if (components === undefined) return;
  await runProcess(components, { log, drainTimeoutMs: DRAIN_MS });
}

function configOf(
  read: <K extends keyof FrontConfig>(field: K) => FrontConfig[K] | undefined,
): FrontConfig | undefined {
  const readOnly = read('readOnly');
  const listenAddress = read('listenAddress');
  const upstream = read('upstream');
  const upstreamCAFile = read('upstreamCAFile');
  const tlsNames = read('tlsNames');
  const namespace = read('namespace');
  const kubeconfig = read('kubeconfig');
  const logLevel = read('logLevel');
  return readOnly === undefined ||
    listenAddress === undefined ||
    upstream === undefined ||
    upstreamCAFile === undefined ||
    tlsNames === undefined ||
    namespace === undefined ||
    kubeconfig === undefined ||
    logLevel === undefined
    ? undefined
    : { readOnly, listenAddress, upstream, upstreamCAFile, tlsNames, namespace, kubeconfig, logLevel };
}

function isLoopback(address: ReturnType<typeof parseListenAddress>): boolean {
  const host = typeof address === 'object' ? address.host : undefined;
  return host === 'localhost' || host === '::1' || host?.startsWith('127.') === true;
}

function nodeComponents(config: FrontConfig, address: ListenAddress, log: Logger): readonly Component[] {
  const { upstream: url, upstreamCAFile } = config;
  const upstream = upstreamAt(url, upstreamCAFile === '' ? undefined : upstreamCAFile);
  const front = new Front({ address, access: readingAccess, upstream, keepHost: false, log });
  return [serving(front, log)];
}

async function frontComponents(
  config: FrontConfig,
  address: ListenAddress,
  log: Logger,
): Promise<readonly Component[] | undefined> {
  const { upstream: url, upstreamCAFile, tlsNames, namespace, kubeconfig } = config;
  let connection: Connection;
  try {
    connection = await loadConnection(kubeconfig === '' ? {} : { kubeconfig });
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    process.exitCode = 1;
    return undefined;
  }
  const client = new KubeClient({ connection, userAgent: `kmm-registry/${VERSION}`, maxConcurrentRequests: 8 });
  let identity = newIdentity(tlsNames, Date.now());
  let published: Identity | undefined;
  const onFailure = (error: unknown): void => log.error({ err: error }, 'a token cannot be reviewed');
  const front = new Front({
    address,
    certificate: identity.serving,
    access: pushingAccess(new TokenReviews(askServer(client)), onFailure),
    upstream: upstreamAt(url, upstreamCAFile === '' ? undefined : upstreamCAFile),
    keepHost: true,
    notReady: () =>
      published === undefined ? 'the authority of the certificate has not been made known yet' : undefined,
    log,
  });
  /** Made known before it is shown. Also where somebody has emptied the ConfigMap meanwhile. */
  const renew = async (signal: AbortSignal): Promise<number> => {
    const due = renewed(identity, tlsNames, Date.now());
    try {
      await publishAuthority(client, namespace, knownAuthorities(due), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      log.error({ err: error }, 'the authority of the certificate cannot be made known');
      return PUBLISH_RETRY_MS;
    }
    if (published === undefined) log.info('the authority of the certificate is known');
    published = due;
    if (due !== identity) {
      log.info('certificates renewed');
      identity = due;
      front.use(due.serving);
    }
    return RENEW_INTERVAL_MS;
  };
  return [
    { name: 'client', stop: () => client.close() },
    serving(front, log),
    {
      name: 'certificates',
      run: async (signal) => {
        for (;;) await sleep(systemClock, await renew(signal), signal);
      },
    },
  ];
}

function serving(front: Front, log: Logger): Component {
  return {
    name: 'front',
    start: async () => {
      log.info({ port: await front.listen() }, 'listening');
    },
    stop: (signal) => front.close(signal),
  };
}
