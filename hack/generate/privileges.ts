/** docs/reference/privileges.md: each right of the operator with its reason, and how they compare with the design notes. */
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { type GeneratedFile, markdownFile } from './files.ts';
import { table } from './markdown.ts';
import { OPERATOR_NAMESPACE } from './rbac.ts';

interface Comparison {
  /** Resources that the row is about; each that is granted is in one. */
  readonly covers: readonly string[];
  readonly designNotes: string;
  readonly here: string;
  readonly difference: string;
}

/** What the design notes grant ("Kubernetes API privileges"), and what became of it. */
const DESIGN_NOTES: readonly Comparison[] = [
  {
    covers: ['nodes'],
    designNotes: 'Read, modify (for kernel version labeling) and watch `Nodes`',
    here: '`list`, `watch`, `patch` of `nodes`',
    difference:
      'No `get`, no `update`: a patch of labels and annotations is enough. More than the kernel label is written: the load and ready labels, and an annotation with the boot.',
  },
  {
    covers: ['modules', 'modules/status', 'modules/finalizers'],
    designNotes: 'Read and watch `Modules`, update their status',
    here: '`list`, `watch`, `patch` of `modules`; `patch` of `modules/status`; `update` of `modules/finalizers`',
    difference:
      'On top: `patch` for the finalizer, because a module is unloaded before its Module goes, and the right to owner references that OpenShift asks for.',
  },
  {
    covers: ['daemonsets'],
    designNotes: 'Read, create, modify and watch `DaemonSets`',
    here: '`get`, `list`, `watch`, `create`, `update`, `delete` of `daemonsets`',
    difference:
      'On top: `delete`, for a kernel that no node runs any more and for Modules that are deleted: unloading has an order that the garbage collector does not keep.',
  },
  {
    covers: ['pods'],
    designNotes: 'Read, create, modify and watch `Pod` objects (used for building and signing)',
    here: '`list`, `watch`, `create`, `delete` of `pods`',
    difference:
      'No `update`: a pod is never changed. On top: `delete`, because the operator replaces loaders node by node, and removes pods of builds.',
  },
  {
    covers: [],
    designNotes: 'Read `Secrets` for pull and build secrets',
    here: 'nothing',
    difference:
      'Not needed: the kubelet mounts Secrets into the pod of a build and pulls images with them; the operator knows them by name only.',
  },
  {
    covers: ['configmaps'],
    designNotes: 'Read `Configmaps` for build pods',
    here: '`list`, `watch` of `configmaps`',
    difference:
      'No `get`: only metadata of ConfigMaps that a Module names is watched, to notice an edit. The content is mounted by the kubelet. RBAC cannot limit the right to metadata. In `kmm-system` one more: the certificate authority of the cluster’s own registry, which the registry’s front publishes there (`get`, `update` of that one).',
  },
  {
    covers: ['events'],
    designNotes: '(not mentioned)',
    here: '`create`, `patch`, `list`, `watch` of `events`',
    difference: 'Events tell what happened; those of DaemonSets say why the API server refuses pods.',
  },
  {
    covers: ['leases'],
    designNotes: '(not mentioned)',
    here: '`get`, `create`, `update` of `leases`, in `kmm-system` only',
    difference: 'Leader election: of several replicas one is active.',
  },
  {
    covers: ['tokenreviews', 'subjectaccessreviews'],
    designNotes: '(not mentioned)',
    here: '`create` of `tokenreviews` and `subjectaccessreviews`: the operator with `metrics-auth`, the registry’s front `tokenreviews`',
    difference:
      'Nothing of it by default. Whoever asks for metrics, or pushes to the cluster’s own registry, shows a token, and the API server says whose it is.',
  },
  {
    covers: ['buildconfigs', 'builds', 'imagestreams'],
    designNotes: '(not mentioned)',
    here: '`list`, `watch`, `create`, `delete` of `buildconfigs`; `list`, `watch` of `builds` and `imagestreams`',
    difference: 'On OpenShift only, where images are built by its own BuildConfigs.',
  },
];

/**
 * @param registry rights of the registry's front, which has a ServiceAccount of its own
 * @throws Error naming a rule that does not say why it is needed, or a resource that is not compared with the design notes
 */
export function privilegesPage(rules: readonly PolicyRule[], registry: readonly PolicyRule[]): GeneratedFile {
  assertCompared([...rules, ...registry]);
  const always = rules.filter(({ component }) => component === undefined);
  const optional = rules.filter(({ component }) => component !== undefined);
  return markdownFile(
    'docs/reference/privileges.md',
    [
      '# Privileges of the operator',
      'Every right that `config/rbac` gives the ServiceAccount `kmm-system/kmm`, with the reason of each verb. Both are generated from declarations that stand beside the code that needs them. `make test` fails when the operator or the registry’s front is refused anything in the whole test suite, and when either has a right that no test uses.',
      'It may read no Secrets. It may not `get` ConfigMaps, touch roles, Nodes beyond a patch, namespaces or CRDs, and not run commands in pods. What RBAC cannot say is in an optional [admission policy](../usage/security.md#admission-policy).',
      table(always.flatMap(rowsOf).sort((a, b) => (a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0))),
      '## Optional',
      'Granted only where the component of `config/components` is installed.',
      table(optional.flatMap((rule) => rowsOf(rule).map((row) => ({ component: rule.component, ...row })))),
      '## The registry’s front',
      'What the ServiceAccount `kmm-system/kmm-registry` may do, only where `config/components/registry` is installed.',
      table(registry.flatMap(rowsOf)),
      '## Compared with the design notes',
      table(DESIGN_NOTES.map(({ covers: _covers, ...row }) => row)),
    ].join('\n\n'),
  );
}

function assertCompared(rules: readonly PolicyRule[]): void {
  const compared = new Set(DESIGN_NOTES.flatMap(({ covers }) => covers));
  const missing = rules.flatMap(({ resources }) => resources).find((resource) => !compared.has(resource));
  if (missing !== undefined) throw new Error(`the right to ${missing} is not compared with the design notes`);
}

function rowsOf({ apiGroups, resources, resourceNames = [], verbs, scope, why }: PolicyRule) {
  if (why === undefined) throw new Error(`the right to ${verbs.join(', ')} ${resources.join(', ')} does not say why`);
  return apiGroups.flatMap((group) =>
    resources.map((resource) => ({
      resource: `\`${resource}\`${group === '' ? '' : ` (${group})`}${named(resourceNames)}`,
      verbs: verbs.map((verb) => `\`${verb}\``).join(', '),
      where: placeOf(scope),
      why,
    })),
  );
}

/** @param names to which the right is narrowed, if to any */
function named(names: readonly string[]): string {
  return names.length === 0 ? '' : `, only ${names.map((name) => `\`${name}\``).join(', ')}`;
}

function placeOf(scope: PolicyRule['scope'] = 'cluster'): string {
  if (scope === 'cluster') return 'cluster';
  return `\`${scope === 'operator-namespace' ? OPERATOR_NAMESPACE : scope.namespace}\``;
}
