/** Alerts of the operator: one table, from which the PrometheusRule and the runbooks are made. */
import { LEASE_NAME } from '../../src/commands/config.ts';
import type { State } from '../../src/controllers/module/reasons.ts';
import { componentFile } from './components.ts';
import { type GeneratedFile, markdownFile, yamlFile } from './files.ts';
import { LABELS, NAME, OPERATOR_NAMESPACE } from './rbac.ts';

/** What an administrator may set; in the chart each is a placeholder, which its template replaces. */
export interface AlertSettings {
  /** How long a node may wait before somebody is told, minutes. */
  readonly nodeWaitingMinutes: string;
  /** Where the runbooks are: a URL, or a path in this repository. */
  readonly runbooks: string;
  /** The operator's own. */
  readonly namespace: string;
}

export const ALERT_DEFAULTS = {
  // Longer than a build of half an hour and its start.
  nodeWaitingMinutes: '45',
  runbooks: 'docs/usage/runbooks.md',
  namespace: OPERATOR_NAMESPACE,
} as const;

export const ALERT_PLACEHOLDERS = {
  nodeWaitingMinutes: 'NODE_WAITING_MINUTES',
  runbooks: 'RUNBOOKS',
  namespace: 'OPERATOR_NAMESPACE',
} as const;

interface Alert {
  readonly name: string;
  /** PromQL. */
  readonly expression: string;
  /** How long it has to hold, as Prometheus writes it. */
  readonly for: string;
  readonly severity: 'warning' | 'critical';
  /** One sentence; may use Prometheus's templates. */
  readonly summary: string;
  /** For the runbook: what it means, and what it does not mean. */
  readonly meaning: string;
  /** What to do, step by step; Markdown. */
  readonly steps: readonly string[];
}

/** Names of states in series, of which the type makes sure that there are such. */
const BUILD_FAILED: State = 'BuildFailed';
const LOADER_STATES: readonly State[] = [
  'LoaderFailing',
  'ImagePullFailed',
  'PodsRefused',
  'WriteRefused',
  'NameTaken',
];

/** Whether a replica of the operator leads, and nothing else: whatever elects leaders has series of this name, Kubernetes' own controllers too. */
const leads = ({ namespace }: AlertSettings): string =>
  `leader_election_master_status{name="${LEASE_NAME}",namespace="${namespace}"}`;

const alertsWith = (settings: AlertSettings): readonly Alert[] => [
  {
    name: 'KMMBuildFailing',
    expression: `max by (namespace, name) (kmm_module_kernels{state="${BUILD_FAILED}"}) > 0`,
    for: '5m',
    severity: 'warning',
    summary: 'The image of {{ $value }} kernels of Module {{ $labels.namespace }}/{{ $labels.name }} cannot be built.',
    meaning:
      'A build, a signing, a check or a push failed, and what it failed with is not mended by itself within minutes. Nodes with these kernels do not get the module, or keep the one they have. Other kernels and other Modules go on.',
    steps: [
      'Read the cause: `kubectl get module NAME -n NAMESPACE -o yaml`; `status.kernels[].build` has the step, the message and the last words of the log.',
      'Read the whole log where the pod is still there: `kubectl logs -n NAMESPACE POD --all-containers`. The pod of a build that failed is kept until the next try.',
      'Whose is it to mend? Where `retryAt` stands beside the message, it is the network, the registry or a node, and the build is tried again by itself at that time. Where it does not, it is yours: correct what the message names. A change of the Module, or of the ConfigMap of its Dockerfile, begins the next build; after you have mended a Secret, and where the message says `given up after` so many tries, change `spec.imageRebuildTriggerGeneration`.',
      '[Build errors](../reference/build-errors.md) has the cure for what registries say.',
    ],
  },
  {
    name: 'KMMLoaderFailing',
    expression: `max by (namespace, name, state) (kmm_module_kernels{state=~"${LOADER_STATES.join('|')}"}) > 0`,
    for: '10m',
    severity: 'warning',
    summary:
      'Loaders of Module {{ $labels.namespace }}/{{ $labels.name }} fail for {{ $value }} kernels: {{ $labels.state }}.',
    meaning:
      'On at least one node of a kernel the module cannot be loaded: its loader fails, its image cannot be pulled, or the API server refuses its pods. Nodes that have the module keep it.',
    steps: [
      'Read the cause: `kubectl get module NAME -n NAMESPACE -o yaml`, condition `Degraded` and `status.kernels[].message`. [Conditions](../reference/conditions.md) has the next step of each reason.',
      '`LoaderFailing`: `kubectl logs -n NAMESPACE POD` and `dmesg` of the node. `Key was rejected by service` is Secure Boot; `Invalid module format` is an image of another kernel.',
      '`ImagePullFailed`: the reference, the registry and `spec.imageRepoSecret`.',
      '`PodsRefused`: the Pod Security level, the quota or the ServiceAccount of the namespace; the message has the sentence of the API server.',
    ],
  },
  {
    name: 'KMMNodeWaiting',
    expression: `max by (namespace, name) (time() - kmm_module_node_waiting_since_timestamp_seconds) > 60 * ${settings.nodeWaitingMinutes}`,
    for: '1m',
    severity: 'warning',
    summary:
      'A node has waited for Module {{ $labels.namespace }}/{{ $labels.name }} for {{ $value | humanizeDuration }}.',
    meaning:
      'A node is to get, to lose or to change the module, and has neither for long: for 45 minutes, unless another time is set. Not counted are nodes that are not Ready, nodes that a taint keeps from getting it, and nodes whose turn in a rollout has not come. A restart of the operator begins the count anew.',
    steps: [
      'See what is waited for: `kubectl get module NAME -n NAMESPACE -o yaml`, condition `Progressing`; its message names the node or the pod.',
      'A loader pod that does not start: `kubectl describe pod` of it. It is `Pending` for want of resources, or its volume or Secret is not there.',
      'A loader pod that does not end: its `preStop` cannot unload the module, because something uses it. `lsmod` on the node shows the count; stop what uses it.',
      'An image that is being built for long: [KMMBuildFailing](#kmmbuildfailing) has where to look.',
    ],
  },
  {
    name: 'KMMOperatorNotLeading',
    // Both sides have the same labels, so that replicas in a crash loop, whose series come and go, are one alert all the time. Two operators
    // in one cluster have a namespace each: without it the one would hide that the other is gone.
    expression: `max by (name, namespace) (${leads(settings)}) < 1 or absent(${leads(settings)})`,
    for: '5m',
    severity: 'critical',
    summary: 'No operator of KMM is at work in namespace {{ $labels.namespace }}.',
    meaning:
      'No replica holds the Lease, or none is there to be asked. What is loaded stays loaded; new nodes, new kernels and edits of Modules wait.',
    steps: [
      'Are there pods? `kubectl get pods -n kmm-system`. If there are none: `kubectl describe deployment -n kmm-system`.',
      'Do they run? `kubectl logs -n kmm-system POD`. A mistake in a flag is told in one sentence, and ends the process.',
      'Do they reach the API server? The log says `cannot reach the lease; trying again` and why, where they do not. It also says who holds the Lease (`waiting for the lease`), and when a replica began and ended (`leading`, `no longer leading`). The Lease itself is `kubectl get lease -n kmm-system kmm.sigs.x-k8s.io -o yaml`.',
      'Does it answer in time? A leader steps down when it cannot renew its Lease for `--leader-elect-renew-deadline`, 10 s. Where requests take seconds, give it longer, and the Lease more than that: `--leader-elect-renew-deadline=50s --leader-elect-lease-duration=60s`, with helm in `extraArgs`.',
      'Do they run and Prometheus sees nothing? Then the scrape fails: its targets page says why (network policy, `--metrics-authentication` without a token).',
      'Does the operator have another `--leader-election-id`, or another namespace than the expression names? Then the alert looks for the wrong one: change `name` or `namespace` there. `namespace` is a label that a ServiceMonitor gives; where Prometheus finds its targets in another way, they need it too.',
    ],
  },
  {
    name: 'KMMWatchSilent',
    expression: 'max by (kind, namespace, pod, instance) (kmm_watch_last_event_age_seconds) > 300',
    for: '5m',
    severity: 'warning',
    summary: 'The operator has heard nothing about {{ $labels.kind }} for {{ $value | humanizeDuration }}.',
    meaning:
      'The API server tells about once a minute how far a watch is, also when nothing happens; of Events (`refusals`) alone it does not, and there its answer counts whenever a silent watch is opened again, every 90 s. Silence means that the operator acts on what it last knew. It opens silent watches again by itself, so one that stays silent is refused, has no network, or is served by an API server that is stuck.',
    steps: [
      'The log has `watch interrupted` and the reason: `kubectl logs -n kmm-system POD | grep "watch interrupted"`.',
      'A refusal (403): the roles of config/rbac are not those of this version. Apply them again.',
      'No connection: look at the API server, and at network policies between it and `kmm-system`.',
      'An API server that runs with `--watch-cache=false` tells of no kind how far a watch is: with one, the alert fires for quiet kinds although nothing is wrong.',
      'Deleting the pod is safe: another replica takes over within 15 s, and no module is unloaded.',
    ],
  },
];

export const ALERTS = alertsWith(ALERT_DEFAULTS);

const anchor = (name: string): string => name.toLowerCase();

/** The groups of the PrometheusRule, which is also the form of a rules file of Prometheus. */
export function alertGroups(settings: AlertSettings = ALERT_DEFAULTS): readonly object[] {
  return [
    {
      name: NAME,
      rules: alertsWith(settings).map((alert) => ({
        alert: alert.name,
        expr: alert.expression,
        for: alert.for,
        labels: { severity: alert.severity },
        annotations: {
          summary: alert.summary,
          description: alert.meaning,
          runbook_url: `${settings.runbooks}#${anchor(alert.name)}`,
        },
      })),
    },
  ];
}

export function alertFiles(): readonly GeneratedFile[] {
  const folder = 'config/components/monitoring';
  const metadata = { name: NAME, namespace: OPERATOR_NAMESPACE, labels: LABELS };
  return [
    yamlFile(`${folder}/prometheus_rule.yaml`, {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata,
      spec: { groups: alertGroups() },
    }),
    yamlFile(`${folder}/service_monitor.yaml`, {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'ServiceMonitor',
      metadata,
      spec: {
        selector: { matchLabels: { 'app.kubernetes.io/name': NAME } },
        // The series name Modules themselves: their labels `namespace` and `name` are not to be renamed.
        endpoints: [{ port: 'metrics', path: '/metrics', interval: '30s', honorLabels: true }],
      },
    }),
    componentFile(folder, ['prometheus_rule.yaml', 'service_monitor.yaml']),
    markdownFile('docs/usage/runbooks.md', runbooks()),
  ];
}

function runbooks(): string {
  const entries = ALERTS.map((alert) =>
    [
      `## ${alert.name}`,
      `Severity \`${alert.severity}\`; holds for ${alert.for}:`,
      `\`\`\`promql\n${alert.expression}\n\`\`\``,
      alert.meaning,
      alert.steps.map((step, index) => `${index + 1}. ${step}`).join('\n'),
    ].join('\n\n'),
  );
  return [
    '# Runbooks',
    'What each alert of `config/components/monitoring` means, and what to do. [Operations](operations.md) says how to install them. In commands, `kmm-system` stands for the namespace of the operator. When you are stuck, `kmm support-bundle` collects what others need to help you.',
    ...entries,
  ].join('\n\n');
}
