import { readFileSync } from 'node:fs';
import { BUILD_ISOLATION_CHOICES, type BuildIsolationChoice } from '../controllers/image/isolation.ts';
import { parseListenAddress } from '../runtime/listen-address.ts';
import { LOG_LEVELS, type LogLevel } from '../runtime/logger.ts';
import { BUILD_ENGINE_CHOICES, type BuildEngineChoice } from './build-engine.ts';
import { lockedImage, referenceOf } from './image-lock.ts';
import type { FlagReference, OptionDefinition, OptionDefinitions, Source } from './options.ts';
import * as options from './options.ts';
import type { EffectiveOption } from './print-config.ts';

/** How the manager runs. Durations are in milliseconds. */
export interface ManagerConfig {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** The operator's own namespace: its Lease is there. */
  readonly namespace: string;
  /** The namespaces whose Modules are worked on; empty: all. */
  readonly watchNamespaces: readonly string[];
  readonly leaderElect: boolean;
  readonly leaderElectionId: string;
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly metricsBindAddress: string;
  readonly metricsAuthentication: boolean;
  readonly healthProbeBindAddress: string;
  readonly logLevel: LogLevel;
  readonly selectorGracePeriodMs: number;
  /** Empty: none. */
  readonly priorityClassName: string;
  readonly moduleConcurrency: number;
  readonly nodeConcurrency: number;
  readonly statusIntervalMs: number;
  readonly maxConcurrentRequests: number;
  readonly buildEngine: BuildEngineChoice;
  readonly builderImage: string;
  readonly buildIsolation: BuildIsolationChoice;
  /** Path below the kubelet's seccomp folder; empty: none. */
  readonly builderSeccompProfile: string;
  /** Name of a ConfigMap; empty: none. */
  readonly builderRegistriesConf: string;
  /** Both empty: the cluster serves no registry. */
  readonly registryPullHost: string;
  readonly registryPushHost: string;
  readonly maxConcurrentBuilds: number;
  readonly buildGcDelayMs: number;
  readonly buildAttempts: number;
  readonly buildRetryBackoffMs: number;
  /** Absent: the operator runs. */
  readonly printConfig?: 'text' | 'json';
}

/** Where each value came from; a field that was left out has none. */
export type ManagerConfigSources = ReadonlyMap<keyof ManagerConfig, Source>;

type OptionalField = 'kubeconfig' | 'context' | 'printConfig';

/** The fields with the types of their values, whether they may be left out or not. */
type Values = Required<ManagerConfig>;

export type ManagerConfigResult =
  | {
      readonly ok: true;
      readonly config: ManagerConfig;
      readonly sources: ManagerConfigSources;
      readonly effective: readonly EffectiveOption[];
    }
  | {
      readonly ok: false;
      readonly errors: readonly string[] /** Set when `--help` was asked for. */;
      readonly help?: string;
    };

/** Of the operator's Lease, where `--leader-election-id` names no other; its series `leader_election_master_status` has it too. */
export const LEASE_NAME = 'kmm.sigs.x-k8s.io';

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

const MANAGER_OPTIONS: OptionDefinitions<Values> = {
  kubeconfig: {
    flag: 'kubeconfig',
    kind: options.filePath,
    description:
      "The kubeconfig file. In a pod the pod's service account is used; elsewhere KUBECONFIG or ~/.kube/config.",
  },
  context: options.kubeconfigContext,
  namespace: {
    flag: 'namespace',
    kind: options.dnsLabel,
    default: 'kmm-system',
    description: "The operator's own namespace. In a pod its default is the pod's namespace.",
  },
  watchNamespaces: {
    flag: 'watch-namespaces',
    kind: options.namespaceList,
    default: '',
    description:
      'The namespaces whose Modules are worked on, with commas between them; empty for all. Roles in these are then enough, and ' +
      'Modules elsewhere, and their labels on nodes, are left alone.',
  },
  leaderElect: {
    flag: 'leader-elect',
    kind: options.boolean,
    default: 'true',
    description: 'Work only while holding the Lease, so that of several replicas one is active.',
  },
  leaderElectionId: {
    flag: 'leader-election-id',
    kind: options.dnsSubdomain,
    default: LEASE_NAME,
    description: 'The name of the Lease.',
  },
  leaseDurationMs: {
    flag: 'leader-elect-lease-duration',
    kind: options.duration,
    default: '15s',
    description: 'How long the others wait for a leader that does not renew before one of them takes over.',
  },
  renewDeadlineMs: {
    flag: 'leader-elect-renew-deadline',
    kind: options.duration,
    default: '10s',
    description: 'How long a leader that cannot renew goes on; shorter than the lease duration.',
  },
  retryPeriodMs: {
    flag: 'leader-elect-retry-period',
    kind: options.duration,
    default: '2s',
    description: 'The time between two tries to take or renew the Lease; shorter than the renew deadline.',
  },
  metricsBindAddress: {
    flag: 'metrics-bind-address',
    kind: options.listenAddress,
    default: ':8080',
    description: 'Where /metrics is served; 0 turns it off.',
  },
  metricsAuthentication: {
    flag: 'metrics-authentication',
    kind: options.boolean,
    default: 'false',
    description:
      'Serve /metrics only to whoever has a token with the right to get the nonResourceURL /metrics; needs config/components/metrics-auth.',
  },
  healthProbeBindAddress: {
    flag: 'health-probe-bind-address',
    kind: options.listenAddress,
    default: ':8081',
    description: 'Where /healthz and /readyz are served; 0 turns them off.',
  },
  logLevel: {
    flag: 'log-level',
    kind: options.oneOf(LOG_LEVELS),
    default: 'info',
    description: 'The least severe log lines to write.',
  },
  selectorGracePeriodMs: {
    flag: 'selector-grace-period',
    kind: options.duration,
    default: '10m',
    description:
      "How long a label that a Module's selector needs may be missing from a node before the module is unloaded there.",
  },
  priorityClassName: {
    flag: 'priority-class-name',
    kind: options.optionalDnsSubdomain,
    default: 'system-node-critical',
    description:
      'The priority class of loaders and device plugins; empty for none, as some clouds allow this one only in kube-system.',
  },
  moduleConcurrency: {
    flag: 'module-concurrency',
    kind: options.integer(1, 1_000),
    default: '4',
    description: 'Modules reconciled side by side.',
  },
  nodeConcurrency: {
    flag: 'node-concurrency',
    kind: options.integer(1, 1_000),
    default: '16',
    description: 'Nodes reconciled side by side.',
  },
  statusIntervalMs: {
    flag: 'status-interval',
    kind: options.duration,
    default: '5s',
    description: 'The least time between two writes of a status in which only counts change.',
  },
  maxConcurrentRequests: {
    flag: 'max-concurrent-requests',
    kind: options.integer(1, 10_000),
    default: '32',
    description: 'Requests to the API server under way at once, watches not counted.',
  },
  buildEngine: {
    flag: 'build-engine',
    kind: options.oneOf(BUILD_ENGINE_CHOICES),
    default: 'auto',
    description:
      "What builds images: pods of the operator, or OpenShift's BuildConfigs. auto takes openshift where the API server serves build.openshift.io/v1.",
  },
  builderImage: {
    flag: 'builder-image',
    kind: options.imageReference,
    default: referenceOf(lockedImage('builder')),
    description: 'The image whose pods build images.',
  },
  buildIsolation: {
    flag: 'build-isolation',
    kind: options.oneOf(BUILD_ISOLATION_CHOICES),
    default: 'auto',
    description:
      'What a build pod gets for building: a user namespace of its own, or three capabilities and no seccomp filter but that of ' +
      '--builder-seccomp-profile. auto takes a user namespace where every node that the build may be put on can give a pod with Secrets one.',
  },
  builderSeccompProfile: {
    flag: 'builder-seccomp-profile',
    kind: options.seccompProfile,
    default: '',
    description:
      "A seccomp profile of the nodes for build pods without a user namespace, as a path below the kubelet's seccomp folder; empty: unconfined.",
  },
  builderRegistriesConf: {
    flag: 'builder-registries-conf',
    kind: options.optionalDnsSubdomain,
    default: '',
    description:
      'A ConfigMap with registries.conf (mirrors) and certificate authorities of registries (*.crt), looked for in the namespace of each ' +
      'Module that builds; empty for none.',
  },
  registryPullHost: {
    flag: 'registry-pull-host',
    kind: options.optionalRegistryHost,
    default: '',
    description:
      'The host of the registry that serves the cluster (config/components/registry), as nodes pull from it. With it, a mapping that ' +
      'builds needs no containerImage. Empty for none.',
  },
  registryPushHost: {
    flag: 'registry-push-host',
    kind: options.optionalRegistryHost,
    default: '',
    description: 'The host of the same registry, as build pods push to it. Both, or none.',
  },
  maxConcurrentBuilds: {
    flag: 'max-concurrent-builds',
    kind: options.integer(1, 1_000),
    default: '4',
    description: 'Builds under way at once, in the whole cluster.',
  },
  buildGcDelayMs: {
    flag: 'build-gc-delay',
    kind: options.duration,
    default: '0',
    description: 'How long the pod of a build that went well is kept. One that failed is kept until the next try.',
  },
  buildAttempts: {
    flag: 'build-attempts',
    kind: options.integer(1, 100),
    default: '8',
    description: 'How often a build is tried that the network, a registry or a node makes fail.',
  },
  buildRetryBackoffMs: {
    flag: 'build-retry-backoff',
    kind: options.duration,
    default: '30s',
    description: 'The wait before the second try of a build; it doubles with each, up to half an hour.',
  },
  printConfig: {
    flag: 'print-config',
    kind: options.oneOf(['text', 'json']),
    alone: 'text',
    description: 'Print every option, its value and where that came from, and end; nothing is started.',
  },
};

const DEFINITIONS: readonly OptionDefinition<unknown>[] = Object.values(MANAGER_OPTIONS);

/** The manager's flags for the reference page, in the order of `--help`. */
export function managerFlagReference(): readonly FlagReference[] {
  return DEFINITIONS.map(({ flag, default: preset, description }) => ({
    flag: `--${flag}`,
    env: options.envName(flag),
    default: preset ?? '',
    description,
  }));
}

/**
 * Gives the manager's configuration and where each value came from: a flag, else its KMM_* variable, else the default.
 * Every mistake is one sentence in `errors`.
 *
 * @param argv the words behind `kmm manager`
 * @param readPodNamespace gives the namespace of the pod we run in, undefined outside one
 */
export function parseManagerConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  readPodNamespace: () => string | undefined = podNamespace,
): ManagerConfigResult {
  const line = options.readCommandLine('kmm manager', DEFINITIONS, argv);
  if (line.helpWanted)
    return { ok: false, errors: [], help: options.helpText('kmm manager', DEFINITIONS, 'flags and environment') };
  const errors = [...line.errors, ...unknownVariables(env)];
  const sources = new Map<keyof ManagerConfig, Source>();
  const effective: EffectiveOption[] = [];

  /** The option's value; undefined when it is absent or was refused, and then `errors` says so. */
  function optional<K extends keyof Values>(field: K): Values[K] | undefined {
    const definition: OptionDefinition<Values[K]> = MANAGER_OPTIONS[field];
    const { flag, kind, default: preset } = definition;
    const candidates: readonly (Source & { readonly text: string | undefined })[] = [
      { from: 'flag', name: `--${flag}`, text: line.values.get(flag) },
      { from: 'env', name: options.envName(flag), text: env[options.envName(flag)] },
      { from: 'service-account', name: NAMESPACE_FILE, text: field === 'namespace' ? readPodNamespace() : undefined },
      { from: 'default', name: `--${flag}`, text: preset },
    ];
    const given = candidates.find((candidate) => candidate.text !== undefined);
    effective.push({
      flag: `--${flag}`,
      value: given?.text,
      from: given?.from ?? 'default',
      name: given?.name ?? `--${flag}`,
    });
    if (given?.text === undefined) return undefined;
    sources.set(field, { from: given.from, name: given.name });
    const value = kind.read(given.text);
    if (value === undefined) errors.push(`${given.name}: "${given.text}" is not ${kind.expected}.`);
    return value;
  }

  /** As `optional`; after a mistake it gives the default, so that the other mistakes are found too. */
  function required<K extends Exclude<keyof Values, OptionalField>>(field: K): Values[K] {
    const definition: OptionDefinition<Values[K]> = MANAGER_OPTIONS[field];
    const { flag, kind, default: preset = '' } = definition;
    const value = optional(field) ?? kind.read(preset);
    if (value === undefined) throw new Error(`the default of --${flag}, "${preset}", is not ${kind.expected}`);
    return value;
  }

  const kubeconfig = optional('kubeconfig');
  const context = optional('context');
  const printConfig = optional('printConfig');
  const config: ManagerConfig = {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    ...(printConfig === undefined ? {} : { printConfig }),
    namespace: required('namespace'),
    watchNamespaces: required('watchNamespaces'),
    leaderElect: required('leaderElect'),
    leaderElectionId: required('leaderElectionId'),
    leaseDurationMs: required('leaseDurationMs'),
    renewDeadlineMs: required('renewDeadlineMs'),
    retryPeriodMs: required('retryPeriodMs'),
    metricsBindAddress: required('metricsBindAddress'),
    metricsAuthentication: required('metricsAuthentication'),
    healthProbeBindAddress: required('healthProbeBindAddress'),
    logLevel: required('logLevel'),
    selectorGracePeriodMs: required('selectorGracePeriodMs'),
    priorityClassName: required('priorityClassName'),
    moduleConcurrency: required('moduleConcurrency'),
    nodeConcurrency: required('nodeConcurrency'),
    statusIntervalMs: required('statusIntervalMs'),
    maxConcurrentRequests: required('maxConcurrentRequests'),
    buildEngine: required('buildEngine'),
    builderImage: required('builderImage'),
    buildIsolation: required('buildIsolation'),
    builderSeccompProfile: required('builderSeccompProfile'),
    builderRegistriesConf: required('builderRegistriesConf'),
    registryPullHost: required('registryPullHost'),
    registryPushHost: required('registryPushHost'),
    maxConcurrentBuilds: required('maxConcurrentBuilds'),
    buildGcDelayMs: required('buildGcDelayMs'),
    buildAttempts: required('buildAttempts'),
    buildRetryBackoffMs: required('buildRetryBackoffMs'),
  };
  if (errors.length === 0) errors.push(...contradictions(config));
  return errors.length === 0 ? { ok: true, config, sources, effective } : { ok: false, errors };
}

/** Mistakes that show only when values are seen together. */
function contradictions(config: ManagerConfig): string[] {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, metricsBindAddress, healthProbeBindAddress } = config;
  const mistakes: string[] = [];
  if (renewDeadlineMs >= leaseDurationMs) {
    mistakes.push(
      '--leader-elect-renew-deadline must be shorter than --leader-elect-lease-duration, or two replicas could be active at once.',
    );
  }
  if (retryPeriodMs <= 0 || retryPeriodMs >= renewDeadlineMs) {
    mistakes.push('--leader-elect-retry-period must be longer than 0 and shorter than --leader-elect-renew-deadline.');
  }
  if ((config.registryPullHost === '') !== (config.registryPushHost === '')) {
    mistakes.push('--registry-pull-host and --registry-push-host name one registry: write both of them, or none.');
  }
  const metrics = parseListenAddress(metricsBindAddress);
  const probes = parseListenAddress(healthProbeBindAddress);
  if (typeof metrics === 'object' && typeof probes === 'object' && metrics.port === probes.port && metrics.port !== 0) {
    mistakes.push(
      `--metrics-bind-address and --health-probe-bind-address both use port ${metrics.port}; give them different ones.`,
    );
  }
  return mistakes;
}

/** What the kubelet adds for each Service of the namespace, by the Service's name in capitals; one of ours may begin with KMM_. */
const SERVICE_VARIABLE = /^_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = DEFINITIONS.map(({ flag }) => options.envName(flag));
  const services = Object.keys(env)
    .filter((name) => name.startsWith('KMM') && name.endsWith('_SERVICE_HOST'))
    .map((name) => name.slice(0, -'_SERVICE_HOST'.length));
  return Object.keys(env)
    .filter((name) => name.startsWith('KMM_') && !known.includes(name))
    .filter(
      (name) =>
        !services.some((service) => name.startsWith(service) && SERVICE_VARIABLE.test(name.slice(service.length))),
    )
    .sort()
    .map((name) => `${name} is not a known environment variable${options.suggestion(name, known)}.`);
}

function podNamespace(): string | undefined {
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim() || undefined;
  } catch {
    // Not in a pod, or in one without a service-account token.
    return undefined;
  }
}
