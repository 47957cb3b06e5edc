import { stringify } from 'yaml';
import { GROUP_PREFIX, MODULE_NAME_LABEL } from '../../api/labels.ts';
import { MODULES } from '../../api/module.ts';
import { BUILD_CONFIGS, BUILDS, type Build } from '../../build/engines/openshift-objects.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DAEMONSETS, EVENTS, type Event, LEASES, NODES, type Node, PODS, type Pod } from '../../kube/core.ts';
import { listPages, type Selection } from '../../kube/list-pages.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { refOf } from '../../kube/paths.ts';
import { apiVersionOf, type Resource } from '../../kube/resources.ts';
import { containerLogs, type LogRequest } from './logs.ts';
import { redactObject, redactText } from './redact.ts';

/** One file of the bundle. */
export interface BundleFile {
  /** Below the bundle's folder, as `modules/drivers/kmod.yaml`. */
  readonly path: string;
  readonly text: string;
}

export interface CollectOptions {
  readonly client: KubeClient;
  /** Where the operator runs. */
  readonly namespace: string;
  /** The port of its /metrics. */
  readonly metricsPort: number;
  /** Whether to take logs of loaders, device plugins and builds that fail; what users' programs print is not ours to judge. */
  readonly podLogs: boolean;
  readonly version: string;
  readonly signal: AbortSignal;
}

/** Objects of a kind; a bundle of more is read by nobody. */
const MOST_OBJECTS = 5_000;
const OPERATOR_SELECTOR = 'app.kubernetes.io/name=kmm,!kmm.node.kubernetes.io/role';
/** The cluster's own registry and its front, where it is enabled. */
const REGISTRY_SELECTOR = 'app.kubernetes.io/name=kmm-registry';
const OURS = MODULE_NAME_LABEL;
const OPERATOR_LOG_BYTES = 5 * 1024 * 1024;
const POD_LOG_BYTES = 512 * 1024;
const MOST_LOGS = 100;

/**
 * Reads what explains how the operator and its Modules are, file by file. It reads no Secrets and no ConfigMaps; what it reads is
 * redacted (redact.ts). What cannot be read is a line of problems.txt, and the others are collected all the same.
 */
export async function* collect(options: CollectOptions): AsyncGenerator<BundleFile> {
  const { client, namespace, metricsPort, signal } = options;
  const problems: string[] = [];
  const tried = async <T>(what: string, attempt: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };
  const all = async <T extends KubeObject>(resource: Resource<T>, selection: Selection = {}): Promise<readonly T[]> =>
    (await tried(`list ${resource.plural}`, () => listAll(client, resource, selection, signal, problems))) ?? [];

  const server = await tried('version of the API server', () => client.serverVersion({ signal }));
  yield { path: 'versions.yaml', text: stringify({ supportBundle: options.version, server: parsed(server) }) };

  for (const module of await all(MODULES)) yield objectFile('modules', MODULES, module);
  for (const daemonSet of await all(DAEMONSETS, { labelSelector: OURS })) {
    yield objectFile('daemonsets', DAEMONSETS, daemonSet);
  }
  const pods = await all(PODS, { labelSelector: OURS });
  for (const pod of pods) yield objectFile('pods', PODS, pod);
  const groups = (await tried('API groups', () => client.apiGroups({ signal }))) ?? [];
  if (groups.some(({ name }) => name === BUILD_CONFIGS.group)) {
    for (const config of await all(BUILD_CONFIGS, { labelSelector: OURS })) {
      yield objectFile('openshift', BUILD_CONFIGS, config);
    }
    for (const build of await all(BUILDS, { labelSelector: OURS })) {
      yield objectFile('openshift', BUILDS, options.podLogs ? build : withoutLog(build));
    }
  }
  const operators = await all(PODS, { namespace, labelSelector: OPERATOR_SELECTOR });
  const registry = await all(PODS, { namespace, labelSelector: REGISTRY_SELECTOR });
  const installed = [...operators, ...registry];
  for (const pod of installed) yield objectFile('operator', PODS, pod);
  for (const lease of await all(LEASES, { namespace })) yield objectFile('operator', LEASES, lease);

  yield { path: 'nodes.yaml', text: stringify((await all(NODES)).map(nodeOf), YAML) };
  const events = [
    ...(await all(EVENTS, { fieldSelector: 'involvedObject.kind=Module' })),
    ...(await all(EVENTS, { fieldSelector: 'involvedObject.kind=DaemonSet' })).filter(isAbout(pods)),
    ...(await all(EVENTS, { fieldSelector: 'involvedObject.kind=Pod' })).filter(isAbout([...pods, ...installed])),
  ];
  yield { path: 'events.txt', text: events.map(eventLine).sort().join('') };

  for (const { metadata } of operators) {
    const name = `${metadata.name}:${metricsPort}`;
    const text = await tried(`metrics of ${metadata.name}`, () =>
      client.text(PODS, { namespace, name }, ['proxy', 'metrics'], { signal }),
    );
    if (text !== undefined) yield { path: `metrics/${metadata.name}.txt`, text };
  }
  const logs: LogRequest[] = [
    ...containerLogs(installed, 'all', OPERATOR_LOG_BYTES),
    ...(options.podLogs ? containerLogs(pods, 'failing', POD_LOG_BYTES) : []),
  ];
  if (logs.length > MOST_LOGS) problems.push(`logs: ${logs.length - MOST_LOGS} more of failing pods are left out`);
  for (const { pod, container, previous, limitBytes } of logs.slice(0, MOST_LOGS)) {
    const parameters = { container, previous: previous || undefined, limitBytes, tailLines: 20_000, timestamps: true };
    const path = `logs/${pod.namespace}/${pod.name}/${container}${previous ? '.previous' : ''}.log`;
    const text = await tried(path, () => client.text(PODS, pod, ['log'], { parameters, signal }));
    if (text !== undefined) yield { path, text: redactText(text) };
  }
  yield { path: 'problems.txt', text: problems.map((problem) => `${redactText(problem)}\n`).join('') };
}

const YAML = { lineWidth: 0, aliasDuplicateObjects: false };

async function listAll<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  selection: Selection,
  signal: AbortSignal,
  problems: string[],
): Promise<readonly T[]> {
  const objects: T[] = [];
  for await (const { items, isLast } of listPages(client, resource, selection, signal)) {
    objects.push(...items);
    if (isLast || objects.length < MOST_OBJECTS) continue;
    problems.push(`list ${resource.plural}: there are more than ${objects.length}`);
    break;
  }
  return objects;
}

function objectFile<T extends KubeObject>(folder: string, resource: Resource<T>, object: T): BundleFile {
  const { namespace = '', name } = refOf(object);
  const whole = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
  const place = folder === 'operator' ? '' : `${namespace}/`;
  // Of other folders each has objects of one kind.
  const kind = folder === 'operator' || folder === 'openshift' ? `${resource.kind.toLowerCase()}-` : '';
  return { path: `${folder}/${place}${kind}${name}.yaml`, text: stringify(redactObject(whole), YAML) };
}

/** OpenShift copies the end of a Build's log into its status. */
function withoutLog(build: Build): Build {
  const { logSnippet: _, ...status } = build.status ?? {};
  return { ...build, status };
}

/** What decides about a node, and what we put on it; other people's labels are none of the bundle's business. */
function nodeOf({ metadata, spec, status }: Node): unknown {
  const ours = (map: Readonly<Record<string, string>> = {}): unknown =>
    Object.fromEntries(Object.entries(map).filter(([key]) => key.startsWith(GROUP_PREFIX)));
  return {
    name: metadata.name,
    labels: ours(metadata.labels),
    annotations: ours(metadata.annotations),
    taints: spec?.taints,
    unschedulable: spec?.unschedulable,
    nodeInfo: status?.nodeInfo,
    conditions: status?.conditions,
  };
}

/** Events about one of the pods, or about the DaemonSet that owns one. */
function isAbout(pods: readonly Pod[]): (event: Event) => boolean {
  const uids = new Set(
    pods.flatMap(({ metadata }) => [metadata.uid, ...(metadata.ownerReferences ?? []).map(({ uid }) => uid)]),
  );
  return ({ involvedObject }) => uids.has(involvedObject.uid);
}

function eventLine({ metadata, involvedObject, lastTimestamp, type, reason, message, count }: Event): string {
  const { kind, name } = involvedObject;
  const at = lastTimestamp ?? metadata.creationTimestamp ?? '';
  const what = redactText(message ?? '').replaceAll(/\s*\n\s*/g, ' ');
  return `${at} ${type} ${kind} ${metadata.namespace}/${name} ${reason} x${count ?? 1}: ${what}\n`;
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
