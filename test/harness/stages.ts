/**
 * How simulated nodes and pods behave: kwok's Stage objects, all of them for both kinds, because kwok drops its own
 * stages of a kind as soon as a config holds one for it.
 *
 * A stage touches only a pod that no one has given a status yet. From then on the pod is the test's: what a test writes
 * into a status (pods.ts) is never overwritten.
 */
import { IMAGE_BUILD_ROLE, ROLE_LABEL } from '../../src/api/labels.ts';

/** Annotation that chooses a pod's behaviour, without the `sim-` that node names and images need. */
export const SIMULATE_ANNOTATION = 'kmm.test/simulate';
/** While a pod carries it, its deletion does not end. */
export const HOLD_DELETION_ANNOTATION = 'kmm.test/hold-deletion';
/** Lets a pod go that is held by its node's or its image's name (`sim-stuck`). */
export const RELEASE_ANNOTATION = 'kmm.test/release';
/** On a node: kwok leaves it alone and does not renew what the node controller gave up on. */
export const UNREACHABLE_ANNOTATION = 'kmm.test/unreachable';
/** On a node: its kubelet is stopped. kwok selects nodes without it, so pods there neither start nor end. */
export const KUBELET_STOPPED_LABEL = 'kmm.test/kubelet-stopped';
/** On nodes whose kubelets are real: nothing of them is simulated. */
export const REAL_KUBELET_LABEL = 'kmm.test/real-kubelet';

/**
 * What a pod does on its own, chosen by the text `sim-<behaviour>` anywhere in its node's name or in an image of it
 * (both known before the pod exists), or by the annotation kmm.test/simulate.
 * - `pull-fails`   Pending, ImagePullBackOff
 * - `crash`        CrashLoopBackOff, exit code 1 and a termination message
 * - `never-ready`  running, never Ready
 * - `manual`       nothing: the test writes the status
 * - `completes` / `fails`  phase Succeeded / Failed, for pods that end
 * - `stuck`        runs, and its deletion does not end until released
 */
export type Behaviour = 'pull-fails' | 'crash' | 'never-ready' | 'manual' | 'completes' | 'fails' | 'stuck';

export const CRASH_MESSAGE = "modprobe: ERROR: could not insert 'kmod': Exec format error";

const BEHAVIOUR = `([("sim-" + (.metadata.annotations["${SIMULATE_ANNOTATION}"] // "")), .spec.nodeName, .spec.containers[].image]
  | map(. // "") | join(" ")
  | capture("sim-(?<b>pull-fails|crash|never-ready|manual|completes|fails)").b) // "run"`;

const HELD = `if .metadata.annotations["${RELEASE_ANNOTATION}"] then "no"
  elif .metadata.annotations["${HOLD_DELETION_ANNOTATION}"] then "yes"
  elif ([("sim-" + (.metadata.annotations["${SIMULATE_ANNOTATION}"] // "")), .spec.nodeName, .spec.containers[].image]
    | map(. // "") | join(" ") | test("sim-stuck")) then "yes" else "no" end`;

interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values?: readonly string[];
}

const FRESH_POD: readonly Requirement[] = [
  { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' },
  { key: '.status.phase', operator: 'In', values: ['Pending'] },
  { key: '.status.containerStatuses', operator: 'DoesNotExist' },
  // Whoever builds in the place of a kubelet writes the status of build pods.
  { key: `.metadata.labels["${ROLE_LABEL}"]`, operator: 'NotIn', values: [IMAGE_BUILD_ROLE] },
];

const READY_REASON = '.status.conditions.[] | select( .type == "Ready" ) | .status';

/** Stage objects as a multi-document YAML text (each document is JSON, which is YAML). */
export function stagesYaml(): string {
  const stages = [
    nodeStage('node-initialize', [{ key: '.status.phase', operator: 'NotIn', values: ['Running'] }], NODE_INITIAL),
    nodeStage(
      'node-recover',
      [
        { key: '.status.phase', operator: 'In', values: ['Running'] },
        { key: READY_REASON, operator: 'In', values: ['Unknown'] },
        { key: `.metadata.annotations["${UNREACHABLE_ANNOTATION}"]`, operator: 'DoesNotExist' },
      ],
      NODE_READY,
    ),
    podStage('pod-run', 'run', podStatus({ phase: 'Running', ready: true, state: RUNNING })),
    podStage('pod-never-ready', 'never-ready', podStatus({ phase: 'Running', ready: false, state: RUNNING })),
    podStage('pod-pull-fails', 'pull-fails', podStatus({ phase: 'Pending', ready: false, state: PULL_FAILS })),
    podStage('pod-crash', 'crash', podStatus({ phase: 'Running', ready: false, state: CRASH, restarts: 3 })),
    podStage('pod-completes', 'completes', podStatus({ phase: 'Succeeded', ready: false, state: COMPLETED })),
    podStage('pod-fails', 'fails', podStatus({ phase: 'Failed', ready: false, state: FAILED })),
    {
      ...stage('pod-delete', 'Pod', [
        { key: '.metadata.deletionTimestamp', operator: 'Exists' },
        { key: HELD, operator: 'In', values: ['no'] },
      ]),
      next: { delete: true },
    },
  ];
  return stages
    .map(({ name, next, resourceRef, selector }) =>
      JSON.stringify({
        apiVersion: 'kwok.x-k8s.io/v1alpha1',
        kind: 'Stage',
        metadata: { name },
        spec: { resourceRef, selector, next },
      }),
    )
    .join('\n---\n');
}

function stage(name: string, kind: 'Node' | 'Pod', matchExpressions: readonly Requirement[]) {
  return { name, resourceRef: { apiGroup: 'v1', kind }, selector: { matchExpressions } };
}

function nodeStage(name: string, when: readonly Requirement[], statusTemplate: string) {
  return { ...stage(name, 'Node', when), next: { statusTemplate } };
}

function podStage(name: string, behaviour: Behaviour | 'run', statusTemplate: string) {
  const when: readonly Requirement[] = [...FRESH_POD, { key: BEHAVIOUR, operator: 'In', values: [behaviour] }];
  return { ...stage(name, 'Pod', when), next: { statusTemplate } };
}

const NODE_READY = `
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
`;

/** For nodes made by hand (`kubectl create`): those of nodes.ts arrive with a whole status. */
const NODE_INITIAL = `${NODE_READY}
allocatable:
{{ with .status.allocatable }}
{{ YAML . 1 }}
{{ else }}
  cpu: "64"
  memory: 256Gi
  pods: "250"
{{ end }}
capacity:
{{ with .status.capacity }}
{{ YAML . 1 }}
{{ else }}
  cpu: "64"
  memory: 256Gi
  pods: "250"
{{ end }}
{{ $info := or .status.nodeInfo dict }}
nodeInfo:
  architecture: {{ or $info.architecture "amd64" | Quote }}
  bootID: {{ or $info.bootID ( sha256sum .metadata.uid ) | Quote }}
  containerRuntimeVersion: {{ or $info.containerRuntimeVersion "containerd://2.0.0" | Quote }}
  kernelVersion: {{ or $info.kernelVersion "0.0.0-simulated" | Quote }}
  kubeProxyVersion: {{ or $info.kubeProxyVersion "" | Quote }}
  kubeletVersion: {{ or $info.kubeletVersion "v1.36.3" | Quote }}
  machineID: {{ or $info.machineID "" | Quote }}
  operatingSystem: {{ or $info.operatingSystem "linux" | Quote }}
  osImage: {{ or $info.osImage "" | Quote }}
  systemUUID: {{ or $info.systemUUID "" | Quote }}
phase: Running
`;

/** What a container's status says; YAML's flow style, so that indentation does not matter. */
const RUNNING = 'state: { running: { startedAt: {{ $now | Quote }} } }';

const PULL_FAILS = `state: { waiting: { reason: ImagePullBackOff, message: {{
  printf "Back-off pulling image %q: ErrImagePull: manifest unknown" $container.image | Quote }} } }`;

const CRASHED = `{ terminated: { exitCode: 1, reason: Error, message: {{ ${JSON.stringify(CRASH_MESSAGE)} | Quote }},
  startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }`;

const FAILED = `state: ${CRASHED}`;

const CRASH = `state: { waiting: { reason: CrashLoopBackOff, message: {{
  printf "back-off 5m0s restarting failed container=%s" $container.name | Quote }} } }
  lastState: ${CRASHED}`;

const COMPLETED = `state: { terminated: { exitCode: 0, reason: Completed,
  startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }`;

/** The container ID is new with every start; the image ID belongs to the image's name. */
const PULLED = `imageID: {{ printf "%s@sha256:%s" ( regexReplaceAll "[:@][^/]*$" .image "" ) ( sha256sum .image ) | Quote }}
  containerID: {{ printf "containerd://%s" ( sha256sum ( printf "%s/%s/%s" $pod.metadata.uid .name $now ) ) | Quote }}`;

interface PodOutcome {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly ready: boolean;
  readonly state: string;
  readonly restarts?: number;
}

function podStatus({ phase, ready, state, restarts = 0 }: PodOutcome): string {
  const condition = ready ? 'status: "True"' : 'status: "False"\n  reason: ContainersNotReady';
  return `
{{ $now := Now }}
{{ $pod := . }}
phase: ${phase}
startTime: {{ $now | Quote }}
conditions:
- type: Initialized
  status: "True"
  lastTransitionTime: {{ $now | Quote }}
- type: Ready
  ${condition}
  lastTransitionTime: {{ $now | Quote }}
- type: ContainersReady
  ${condition}
  lastTransitionTime: {{ $now | Quote }}
containerStatuses:
{{ range .spec.containers }}
{{ $container := . }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: ${ready}
  started: ${state === RUNNING}
  restartCount: ${restarts}
  ${state === PULL_FAILS ? '' : PULLED}
  ${state}
{{ end }}
`;
}
