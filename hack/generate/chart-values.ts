/**
 * The values of charts/kmm: what they are called, what they must be, what they are by default. values.yaml, values.schema.json and the
 * reference page are made of this; what is a flag of `kmm manager` has the flag's own default.
 */

import { BUILD_ENGINE_CHOICES } from '../../src/commands/build-engine.ts';
import { managerFlagReference } from '../../src/commands/config.ts';
import { lockedImage, referenceOf } from '../../src/commands/image-lock.ts';
import { BUILD_ISOLATION_CHOICES } from '../../src/controllers/image/isolation.ts';
import { LOG_LEVELS } from '../../src/runtime/logger.ts';
import { ALERT_DEFAULTS } from './alerts.ts';
import type { Row } from './markdown.ts';

/** A JSON schema keyword by its name. */
type Keywords = Readonly<Record<string, unknown>>;

export interface Value {
  readonly kind: 'value';
  readonly description: string;
  readonly default: unknown;
  readonly schema: Keywords;
}

export interface Group {
  readonly kind: 'group';
  readonly description: string;
  readonly values: Readonly<Record<string, Value | Group>>;
}

const value = (description: string, preset: unknown, schema: Keywords): Value => ({
  kind: 'value',
  description,
  default: preset,
  schema,
});
const group = (description: string, values: Group['values']): Group => ({ kind: 'group', description, values });
const onOff = (description: string, preset: boolean): Value => value(description, preset, { type: 'boolean' });
const text = (description: string, preset: string, schema: Keywords = {}): Value =>
  value(description, preset, { type: 'string', ...schema });
const count = (description: string, preset: number, minimum: number, maximum: number): Value =>
  value(description, preset, { type: 'integer', minimum, maximum });
const port = (description: string, preset: number): Value => count(description, preset, 1, 65_535);
const textMap = (description: string, preset: Readonly<Record<string, string>> = {}): Value =>
  value(description, preset, { type: 'object', additionalProperties: { type: 'string' } });
const list = (description: string, preset: readonly unknown[], items: Keywords): Value =>
  value(description, preset, { type: 'array', items });

const NAMESPACE = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' };
const OBJECT_NAME = { pattern: '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$' };
const PORTS = { type: 'array', items: { type: 'integer', minimum: 1, maximum: 65_535 }, minItems: 1 };
/** Everything outside the cluster, as far as anybody can say. */
const BUILDS_TO = [
  { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'] } },
  { ipBlock: { cidr: '::/0', except: ['fc00::/7', 'fe80::/10'] } },
];
const DURATION = { pattern: '^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$' };

/** The default of a flag of `kmm manager`. */
function preset(flag: string): string {
  const found = managerFlagReference().find((each) => each.flag === `--${flag}`);
  if (found === undefined) throw new Error(`kmm manager has no flag --${flag}`);
  return found.default;
}

/** As images.lock has it. */
const OPERATOR = lockedImage('operator');

export const CHART_VALUES: Group = group('', {
  image: group('The image of the operator.', {
    repository: text('Registry and repository.', OPERATOR.repository, { minLength: 1 }),
    tag: text('Its tag, where there is no digest.', OPERATOR.tag, { pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$' }),
    digest: text('As sha256:...; wins over the tag.', OPERATOR.digest ?? '', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
    pullPolicy: text('When the kubelet pulls it.', 'IfNotPresent', { enum: ['Always', 'IfNotPresent', 'Never'] }),
  }),
  imagePullSecrets: list('Secrets for pulling it, as in a pod: a list of {name}.', [], {
    type: 'object',
    properties: { name: { type: 'string' } },
    required: ['name'],
    additionalProperties: false,
  }),
  replicas: count('One works, the others wait for its Lease.', 2, 0, 20),
  resources: value(
    'Measured, at the highest: 134 MB at 1,000 nodes, 167 MB at 5,000 (docs/bench.md).',
    { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    { type: 'object' },
  ),
  nodeSelector: textMap('Nodes that may run the operator.', { 'kubernetes.io/os': 'linux' }),
  tolerations: list(
    'Taints that the operator tolerates.',
    [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' }],
    { type: 'object' },
  ),
  affinity: value('In the place of the preference that the replicas be in different zones.', {}, { type: 'object' }),
  priorityClassName: text(
    "The operator's priority class; empty for none, as some clouds allow this one only in kube-system.",
    'system-cluster-critical',
    OBJECT_NAME,
  ),
  podAnnotations: textMap("Annotations of the operator's pods."),
  serviceAccount: group('The ServiceAccount of the operator.', { annotations: textMap('Its annotations.') }),
  logLevel: text('The least severe log lines to write.', preset('log-level'), { enum: LOG_LEVELS }),
  watchNamespaces: value(
    'The namespaces whose Modules are worked on; empty for all. The operator then has Roles in these, which must exist, in the place of ' +
      'a ClusterRole for all but nodes.',
    [],
    { type: 'array', items: NAMESPACE, uniqueItems: true },
  ),
  modules: group('For all Modules.', {
    priorityClassName: text(
      'The priority class of loaders and device plugins; empty for none.',
      preset('priority-class-name'),
      OBJECT_NAME,
    ),
    selectorGracePeriod: text(
      "How long a label that a Module's selector needs may be missing from a node before the module is unloaded there.",
      preset('selector-grace-period'),
      DURATION,
    ),
  }),
  build: group('Building images in the cluster.', {
    builderImage: text('The image whose pods build images.', preset('builder-image'), { minLength: 1 }),
    engine: text("What builds; empty or auto: OpenShift's BuildConfigs where they are served, else pods.", '', {
      enum: ['', ...BUILD_ENGINE_CHOICES],
    }),
    isolation: text('What a build pod gets for building: see --build-isolation.', preset('build-isolation'), {
      enum: BUILD_ISOLATION_CHOICES,
    }),
    seccompProfile: text(
      "A seccomp profile of the nodes for builds without a user namespace, as a path below the kubelet's seccomp folder.",
      preset('builder-seccomp-profile'),
    ),
    registriesConf: text(
      'A ConfigMap with registries.conf and certificate authorities, looked for in the namespace of each Module that builds.',
      preset('builder-registries-conf'),
      OBJECT_NAME,
    ),
    maxConcurrent: count('Builds at once, in the whole cluster.', Number(preset('max-concurrent-builds')), 1, 1_000),
    attempts: count(
      'How often a build is tried that the network, a registry or a node makes fail.',
      Number(preset('build-attempts')),
      1,
      100,
    ),
    retryBackoff: text('The wait before the second try; it doubles.', preset('build-retry-backoff'), DURATION),
    keepFinished: text('How long the pod of a build that went well is kept.', preset('build-gc-delay'), DURATION),
  }),
  extraArgs: list('More flags of `kmm manager`, as --status-interval=10s.', [], { type: 'string', pattern: '^--' }),
  metrics: group('Prometheus metrics, on a port inside the cluster.', {
    port: port('Where they are served.', 8080),
    authentication: onOff(
      'Serves them only to whoever has a token and may get the nonResourceURL /metrics, as the ClusterRole that comes with it (its name ends in -metrics-reader).',
      false,
    ),
    serviceMonitor: group('For the Prometheus operator.', {
      enabled: onOff('Makes a ServiceMonitor; its CRD must be there.', false),
      interval: text('How often Prometheus asks.', '30s', DURATION),
      labels: textMap('Labels that your Prometheus selects on.'),
      authorization: value(
        'How Prometheus authenticates, as in an endpoint of a ServiceMonitor: {credentials: {name, key}} of a Secret with a token.',
        {},
        { type: 'object' },
      ),
    }),
  }),
  alerts: group('Alert rules for the Prometheus operator.', {
    enabled: onOff('Makes a PrometheusRule; its CRD must be there.', false),
    labels: textMap('Labels that your Prometheus selects on.'),
    nodeWaitingMinutes: count(
      'How long a node may wait for a module before KMMNodeWaiting fires; longer than your builds take.',
      Number(ALERT_DEFAULTS.nodeWaitingMinutes),
      1,
      10_080,
    ),
    runbooks: text(
      "Where the runbooks are, as a URL of your own copy; each alert's runbook_url begins with it.",
      ALERT_DEFAULTS.runbooks,
      { pattern: '^[A-Za-z0-9/.][-A-Za-z0-9._~:/?=&%@+]*$' },
    ),
  }),
  podDisruptionBudget: group("The operator's PodDisruptionBudget.", {
    enabled: onOff('Drains take one replica at a time; made where there is more than one.', true),
  }),
  networkPolicy: group("The operator's NetworkPolicy.", {
    enabled: onOff('Lets the operator out to the API server only, and in to metrics only.', true),
    apiServer: group('No NetworkPolicy can name the API server, and its address is not known to the chart.', {
      ports: value('Ports that the operator may reach.', [443, 6443, 8443, 16443], PORTS),
      cidrs: list('Where these may be, as 10.0.0.0/28; empty for anywhere.', [], {
        type: 'string',
        pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$',
      }),
    }),
    metricsFrom: list('Who may read metrics, as peers of a NetworkPolicy; empty for everybody.', [], {
      type: 'object',
    }),
    modules: group(
      'Of loaders, which talk to nobody, and of builds. Device plugins have none: some talk to the API server.',
      {
        namespaces: value('Namespaces with Modules, which must exist, that get these policies.', [], {
          type: 'array',
          items: NAMESPACE,
          uniqueItems: true,
        }),
        buildsTo: list(
          'Where registries, Git servers and packages are, as peers of a NetworkPolicy; outside the private ranges unless told otherwise. Builds reach ' +
            "DNS and the cluster's own registry besides.",
          BUILDS_TO,
          { type: 'object' },
        ),
        buildPorts: value(
          'Ports that builds reach there: HTTPS, the HTTP of package mirrors, and SSH.',
          [443, 80, 22],
          PORTS,
        ),
      },
    ),
  }),
  admissionPolicy: group('ValidatingAdmissionPolicies that bind the operator alone: what RBAC cannot say.', {
    enabled: onOff('Makes them; whatever else its ServiceAccount tries to write is refused.', false),
    onlyLabelledNamespaces: onOff(
      'With one more: pods and DaemonSets only in namespaces with the label kmm.sigs.x-k8s.io/modules=allowed.',
      false,
    ),
  }),
  crds: group('The CustomResourceDefinition of Module.', {
    install: onOff('Installs and upgrades it with the release. It stays at uninstall.', true),
  }),
  registry: group("The cluster's own registry, as config/components/registry: builds push to it, nodes pull from it.", {
    enabled: onOff('Installs it, and tells the operator of it.', false),
    image: text('The image of the registry behind the front.', referenceOf(lockedImage('registry')), { minLength: 1 }),
    port: port(
      "Of the nodes' loopback, where they pull from it. Images are named by it: with another, all are built again.",
      5780,
    ),
    volume: group('Where its images are.', {
      enabled: onOff(
        'Makes a PersistentVolumeClaim for them, which goes with the release. Without, they go with the pod, and are built again.',
        false,
      ),
      size: text('How much it asks for.', '20Gi', { pattern: '^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$' }),
      storageClassName: text("Its StorageClass; empty for the cluster's default.", '', OBJECT_NAME),
    }),
  }),
});

/** JSON schema of values.yaml. Whatever is not in it is refused: a value with a slip in its name would do nothing. */
export function valuesSchema(): object {
  const { properties, ...rest } = objectSchema(CHART_VALUES);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...rest,
    // helm gives it to every chart that is part of another.
    properties: { ...properties, global: { type: 'object' } },
  };
}

interface ObjectSchema {
  readonly type: 'object';
  readonly properties: Readonly<Record<string, object>>;
  readonly additionalProperties: false;
  readonly description?: string;
}

function objectSchema({ description, values }: Group): ObjectSchema {
  return {
    type: 'object',
    ...(description === '' ? {} : { description }),
    properties: Object.fromEntries(
      Object.entries(values).map(([name, each]) => [
        name,
        each.kind === 'group' ? objectSchema(each) : { description: each.description, ...each.schema },
      ]),
    ),
    additionalProperties: false,
  };
}

/** A row for each value, for the reference page. */
export function valueRows(of: Group = CHART_VALUES, prefix = ''): readonly Row[] {
  return Object.entries(of.values).flatMap(([name, each]) =>
    each.kind === 'group'
      ? valueRows(each, `${prefix}${name}.`)
      : [
          {
            value: `\`${prefix}${name}\``,
            default: `\`${JSON.stringify(each.default)}\``,
            description: each.description,
          },
        ],
  );
}
