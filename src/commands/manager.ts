import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { BuildRegistry } from '../build/engines/cluster-registry.ts';
import { openshiftEngine } from '../build/engines/openshift.ts';
import { INTEGRATED_REGISTRY } from '../build/engines/openshift-build-config.ts';
import { type PodEngineOptions, podEngine } from '../build/engines/pod.ts';
import { cacheDigests } from '../controllers/cache-digest.ts';
import { allCaches, type Caches, createCaches } from '../controllers/caches.ts';
import { CrdGate } from '../controllers/crd/crd-gate.ts';
import { buildIsolation } from '../controllers/image/isolation.ts';
import { RegistryAuthority } from '../controllers/image/registry-authority.ts';
import { Operator } from '../controllers/operator.ts';
import { type ClusterRegistry, REGISTRY_AUDIENCE } from '../kernel/cluster-registry.ts';
import { KubeClient } from '../kube/client.ts';
import { type Connection, loadConnection } from '../kube/config.ts';
import type { InformerObserver } from '../kube/informer.ts';
import { systemClock } from '../runtime/clock.ts';
import { EventRecorder } from '../runtime/event-recorder.ts';
import {
  type Handler,
  type HttpServer,
  healthHandler,
  metricsHandler,
  startHttpServer,
} from '../runtime/http-server.ts';
import { LeaderElector } from '../runtime/leader-election.ts';
import type { Component } from '../runtime/lifecycle.ts';
import { parseListenAddress } from '../runtime/listen-address.ts';
import { createLogger, describeError, type Logger } from '../runtime/logger.ts';
import { createMetrics, type Metrics } from '../runtime/metrics.ts';
import { authenticated } from '../runtime/metrics-authentication.ts';
import { runProcess } from '../runtime/process.ts';
import { chooseBuildEngine } from './build-engine.ts';
import { type ManagerConfig, parseManagerConfig } from './config.ts';
import { formatOptions } from './print-config.ts';
import { VERSION } from './version.ts';

/** `kmm manager`: the operator, until SIGTERM or SIGINT. Ends the process; mistakes in flags are told one sentence a line. */
export async function runManager(argv: readonly string[]): Promise<void> {
  const parsed = parseManagerConfig(argv, process.env);
  if (!parsed.ok) {
    if (parsed.help !== undefined) process.stdout.write(parsed.help);
    for (const error of parsed.errors) process.stderr.write(`${error}\n`);
    process.exitCode = parsed.errors.length > 0 ? 1 : 0;
    return;
  }
  const { config } = parsed;
  if (config.printConfig !== undefined) {
    process.stdout.write(formatOptions(parsed.effective, config.printConfig));
    return;
  }
  const log = createLogger({ level: config.logLevel });
  let connection: Connection;
  try {
    connection = await loadConnection({ kubeconfig: config.kubeconfig, context: config.context });
  } catch (error) {
    process.stderr.write(`${describeError(error)}\n`);
    process.exitCode = 1;
    return;
  }
  log.info({ version: VERSION, server: connection.server, config }, 'starting');
  await runProcess(wire(config, connection, log), { log });
}

/** The parts of the operator, in the order in which they start; they stop in the reverse one. */
function wire(config: ManagerConfig, connection: Connection, log: Logger): readonly Component[] {
  const metrics = createMetrics();
  const identity = `${hostname()}_${randomUUID()}`;
  const shared = { connection, userAgent: `kmm/${VERSION}`, observer: metrics.requests(connection.host) };
  // The Lease and events go their own way: renewing must not queue up behind a thousand label patches, and what
  // happened may be told when this process no longer leads.
  const sideClient = new KubeClient({ ...shared, maxConcurrentRequests: 4 });
  let mayWrite = (): boolean => !config.leaderElect;
  const client = new KubeClient({
    ...shared,
    maxConcurrentRequests: config.maxConcurrentRequests,
    beforeWrite: () => {
      if (!mayWrite()) throw new NotLeadingError();
    },
  });
  const recorder = new EventRecorder({ client: sideClient, component: 'kmm', instance: identity, log });
  const crd = new CrdGate({ client, clock: systemClock, log, version: VERSION });
  /** Absent until the API server has told what builds images there. */
  let controllers: Controllers | undefined;
  /** A standby has its caches filled already, so a change of leader costs one lease and no more. */
  const reconcile = async (signal: AbortSignal): Promise<void> => {
    const { caches, operator } = started(controllers);
    await Promise.all([...allCaches(caches).values()].map((informer) => informer.waitForSync(signal)));
    log.info('caches synced');
    await operator.run(signal);
  };
  metrics.setLeading(config.leaderElectionId, !config.leaderElect);
  let run = reconcile;
  if (config.leaderElect) {
    const elector = createElector(config, { client: sideClient, identity, metrics, log, reconcile });
    mayWrite = () => elector.leading;
    run = (signal) => elector.run(signal);
  }
  const serveMetrics = metricsHandler(metrics.registry);
  const metricsRoute = config.metricsAuthentication
    ? authenticated('/metrics', serveMetrics, { client: sideClient, log })
    : serveMetrics;
  return [
    serverComponent('metrics', config.metricsBindAddress, { '/metrics': metricsRoute }, log),
    serverComponent(
      'probes',
      config.healthProbeBindAddress,
      probes(() => controllers?.caches, crd),
      log,
    ),
    {
      name: 'clients',
      stop: async () => {
        await Promise.all([client.close(), sideClient.close()]);
      },
    },
    { name: 'events', stop: (signal) => recorder.flush(signal) },
    {
      name: 'build engine',
      start: async (signal) => {
        const kind = await chooseBuildEngine(config.buildEngine, sideClient, { log, signal });
        controllers = createControllers(kind, config, { client, recorder, metrics, log });
      },
    },
    {
      name: 'caches',
      run: async (signal) => {
        const { caches } = started(controllers);
        await Promise.all([...allCaches(caches).values()].map((informer) => informer.run(signal)));
      },
    },
    cacheDebugger(() => controllers?.caches, log),
    {
      name: 'controllers',
      // Before the Lease: one that cannot work must not keep an older replica, which can, from it.
      run: async (signal) => {
        await crd.opened(signal);
        await run(signal);
      },
    },
  ];
}

/**
 * Logs the digests of all caches at each SIGUSR2, the signal by which kube-scheduler compares its own.
 * Source: k8s.io/kubernetes/pkg/scheduler/backend/cache/debugger/signal.go.
 */
function cacheDebugger(caches: () => Caches | undefined, log: Logger): Component {
  const tell = (): void => {
    const known = caches();
    if (known !== undefined) log.info({ caches: cacheDigests(known) }, 'cache digests');
  };
  return {
    name: 'cache debugger',
    start: async () => void process.on('SIGUSR2', tell),
    stop: async () => void process.off('SIGUSR2', tell),
  };
}

interface Controllers {
  readonly caches: Caches;
  readonly operator: Operator;
}

/** Components start in order, and the controllers are made by one that starts before all that need them. */
function started(controllers: Controllers | undefined): Controllers {
  if (controllers === undefined) throw new Error('no build engine has been chosen yet');
  return controllers;
}

interface World {
  readonly client: KubeClient;
  readonly recorder: EventRecorder;
  readonly metrics: Metrics;
  readonly log: Logger;
}

function createControllers(
  kind: 'pod' | 'openshift',
  config: ManagerConfig,
  { client, recorder, metrics, log }: World,
): Controllers {
  // OpenShift puts the authority of its own registry under this name into every namespace.
  const registries = config.builderRegistriesConf || (kind === 'openshift' ? 'openshift-service-ca.crt' : '');
  const registry = clusterRegistry(kind, config);
  const authority =
    config.registryPullHost === '' ? undefined : new RegistryAuthority(client, config.namespace, watchObserver(log));
  const podOptions: PodEngineOptions = {
    ...(registry === undefined ? {} : { registry: buildRegistry(registry, authority) }),
    builderImage: config.builderImage,
    isolation: (nodeSelector) =>
      buildIsolation(config.buildIsolation, config.builderSeccompProfile, caches.nodes.store.list(), nodeSelector),
    ...(registries === '' ? {} : { registriesConfigMap: registries }),
  };
  const engine = kind === 'openshift' ? openshiftEngine(podOptions) : podEngine(podOptions);
  const caches: Caches = createCaches(client, {
    engine,
    driverToolkit: kind === 'openshift',
    observer: watchObserver(log),
    namespaces: config.watchNamespaces,
  });
  const operator = new Operator({
    client,
    caches,
    recorder,
    metrics,
    log,
    clock: systemClock,
    moduleConcurrency: config.moduleConcurrency,
    nodeConcurrency: config.nodeConcurrency,
    statusIntervalMs: config.statusIntervalMs,
    watchNamespaces: config.watchNamespaces,
    selectorGracePeriodMs: config.selectorGracePeriodMs,
    priorityClassName: config.priorityClassName,
    ...(registry === undefined ? {} : { registry }),
    builds: {
      engine,
      maxConcurrent: config.maxConcurrentBuilds,
      keepFinishedMs: config.buildGcDelayMs,
      retry: { attempts: config.buildAttempts, backoffMs: config.buildRetryBackoffMs },
      ...(authority === undefined ? {} : { registryAuthority: authority }),
    },
  });
  for (const [name, informer] of allCaches(caches)) {
    metrics.watch(name, () => informer.lastEventAt);
    metrics.cache(name, () => informer.store.size);
  }
  return { caches, operator };
}

/**
 * Thrown in the place of a write by a process that does not lead, any more or yet. After it was frozen (SIGSTOP, a suspended machine), answers
 * that were on their way are handled before the timer that says the lease is over; this is what stops their consequences.
 */
class NotLeadingError extends Error {
  override readonly name = 'NotLeadingError';

  constructor() {
    super('this process does not hold the Lease, so it writes nothing');
  }
}

/** Ours where there is one; OpenShift brings its own. */
function clusterRegistry(
  kind: 'pod' | 'openshift',
  { registryPullHost, registryPushHost }: ManagerConfig,
): ClusterRegistry | undefined {
  if (registryPullHost !== '') return { pullHost: registryPullHost, pushHost: registryPushHost };
  return kind === 'openshift' ? { pullHost: INTEGRATED_REGISTRY, pushHost: INTEGRATED_REGISTRY } : undefined;
}

/** OpenShift's takes tokens for the API server, and every namespace of it has its authority. */
function buildRegistry(hosts: ClusterRegistry, authority: RegistryAuthority | undefined): BuildRegistry {
  return authority === undefined
    ? { hosts, authority: () => undefined }
    : { hosts, audience: REGISTRY_AUDIENCE, authority: () => authority.certificates };
}

interface Election {
  readonly client: KubeClient;
  readonly identity: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly reconcile: (signal: AbortSignal) => Promise<void>;
}

function createElector(config: ManagerConfig, { client, identity, metrics, log, reconcile }: Election): LeaderElector {
  return new LeaderElector({
    client,
    namespace: config.namespace,
    name: config.leaderElectionId,
    identity,
    leaseDurationMs: config.leaseDurationMs,
    renewDeadlineMs: config.renewDeadlineMs,
    retryPeriodMs: config.retryPeriodMs,
    onStartedLeading: reconcile,
    onLeadingChanged: (leading) => metrics.setLeading(config.leaderElectionId, leading),
    log,
  });
}

function probes(caches: () => Caches | undefined, crd: CrdGate): Readonly<Record<string, Handler>> {
  return {
    '/healthz': healthHandler('healthz', { ping: () => undefined }),
    '/readyz': healthHandler('readyz', { crd: () => crd.assertOpen(), caches: () => assertSynced(caches()) }),
  };
}

function serverComponent(
  name: string,
  address: string,
  routes: Readonly<Record<string, Handler>>,
  log: Logger,
): Component {
  const listenAddress = parseListenAddress(address);
  if (listenAddress === undefined || listenAddress === 'disabled') return { name };
  let server: HttpServer | undefined;
  return {
    name,
    start: async () => {
      server = await startHttpServer({ address: listenAddress, routes, log });
    },
    stop: async () => server?.close(),
  };
}

/** @throws Error that names the kinds which have not been listed yet */
function assertSynced(caches: Caches | undefined): void {
  if (caches === undefined) throw new Error('the API server has not told yet what it serves');
  const missing = [...allCaches(caches)].flatMap(([kind, { synced }]) => (synced ? [] : [kind]));
  if (missing.length > 0) throw new Error(`not listed yet: ${missing.join(', ')}`);
}

/** What goes wrong with a watch is a line of the log: the caches mend themselves, but a cluster admin wants to know how often. */
function watchObserver(log: Logger): InformerObserver {
  return {
    interrupted: (kind, { reason, ...rest }, retryInMs) => {
      const level = reason === 'failed' || reason === 'gone' ? 'warn' : 'debug';
      log[level]({ kind, reason, retryInMs, ...('error' in rest ? { err: rest.error } : {}) }, 'watch interrupted');
    },
    unreadable: (kind, key, error) =>
      log.error({ kind, key, err: error }, 'object cannot be read and is left as it was'),
    listenerFailed: (kind, error) => log.error({ kind, err: error }, 'a listener of a watch failed'),
  };
}
