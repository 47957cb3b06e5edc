/**
 * Policies that pin for the operator's ServiceAccount what RBAC cannot say: which labels of a Node, which DaemonSets, which pods, which
 * fields. They are optional (config/components/admission-policy) and bind nobody else.
 */
import {
  DEVICE_PLUGIN_ROLE,
  FINALIZER,
  GROUP,
  GROUP_PREFIX,
  IMAGE_BUILD_ROLE,
  MODULE_LOADER_ROLE,
  MODULE_NAME_LABEL,
  MODULES_ALLOWED_LABEL,
  ROLE_LABEL,
} from '../../src/api/labels.ts';
import { IN_HOST_NAMESPACE, IN_USER_NAMESPACE } from '../../src/build/engines/pod-security.ts';
import { REGISTRY_AUDIENCE } from '../../src/kernel/cluster-registry.ts';
import type { PolicyRule } from '../../src/kube/rbac.ts';
import { componentFile } from './components.ts';
import { type GeneratedFile, yamlFile } from './files.ts';
import { LABELS, NAME, OPERATOR_NAMESPACE } from './rbac.ts';

interface Validation {
  /** CEL. Source: Kubernetes docs, "Validating Admission Policy". */
  readonly expression: string;
  readonly message: string;
}

interface Rule {
  readonly group: string;
  readonly resources: readonly string[];
  readonly operations: readonly string[];
}

interface Policy {
  readonly name: string;
  readonly rules: readonly Rule[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly validations: readonly Validation[];
}

const quoted = (text: string): string => `'${text}'`;
const list = (texts: readonly string[]): string => `[${texts.map(quoted).join(', ')}]`;

/** Both maps agree in every key that is not ours. */
function foreignKeysKept(field: 'labels' | 'annotations'): Validation {
  const before = `variables.${field}Before`;
  const after = `variables.${field}After`;
  const isOurs = `k.startsWith(${quoted(GROUP_PREFIX)})`;
  return {
    expression:
      `${before}.all(k, ${isOurs} || (k in ${after} && ${after}[k] == ${before}[k])) && ` +
      `${after}.all(k, ${isOurs} || k in ${before})`,
    message: `the operator may change only ${field} of a Node that begin with ${GROUP_PREFIX}`,
  };
}

const mapOf = (object: string, field: string): string =>
  `has(${object}.metadata.${field}) ? ${object}.metadata.${field} : {}`;

const NODES: Policy = {
  name: 'nodes',
  rules: [{ group: '', resources: ['nodes'], operations: ['UPDATE'] }],
  variables: {
    labelsBefore: mapOf('oldObject', 'labels'),
    labelsAfter: mapOf('object', 'labels'),
    annotationsBefore: mapOf('oldObject', 'annotations'),
    annotationsAfter: mapOf('object', 'annotations'),
  },
  validations: [
    foreignKeysKept('labels'),
    foreignKeysKept('annotations'),
    {
      expression: 'object.spec == oldObject.spec',
      message: 'the operator may not change the spec of a Node: no taints, no cordon',
    },
    sameMetadata('a Node', ['finalizers', 'ownerReferences']),
  ],
};

function sameMetadata(subject: string, fields: readonly string[]): Validation {
  return {
    expression: fields
      .map((field) => {
        const [before, after] = [`oldObject.metadata.${field}`, `object.metadata.${field}`];
        return `has(${before}) == has(${after}) && (!has(${after}) || ${after} == ${before})`;
      })
      .join(' && '),
    message: `the operator may not change ${fields.join(' or ')} of ${subject}`,
  };
}

const OWNED_BY_MODULE = `r.kind == 'Module' && r.apiVersion.startsWith('${GROUP}/')`;
const OWNED_BY_DAEMONSET = `r.kind == 'DaemonSet' && r.apiVersion.startsWith('apps/')`;

/** Whether the object `o` carries our labels, in one of the roles. */
const hasOurLabels = (roles: readonly string[]): string =>
  `has(o.metadata.labels) && ${quoted(MODULE_NAME_LABEL)} in o.metadata.labels && ${quoted(ROLE_LABEL)} in o.metadata.labels && ` +
  `o.metadata.labels[${quoted(ROLE_LABEL)}] in ${list(roles)}`;

const belongsToModule = `has(o.metadata.ownerReferences) && o.metadata.ownerReferences.exists(r, has(r.controller) && r.controller && ${OWNED_BY_MODULE})`;

/** Whether the object `o` is one that we made for a Module, in one of the roles. */
const isOurs = (roles: readonly string[]): string => `${hasOurLabels(roles)} && ${belongsToModule}`;

/** Whether the object `o` was made for a Module, and belongs to it, to its DaemonSet, or, orphaned by somebody, to nobody. */
const wasOurs = (roles: readonly string[]): string =>
  `${hasOurLabels(roles)} && (!has(o.metadata.ownerReferences) || ` +
  `o.metadata.ownerReferences.all(r, (${OWNED_BY_MODULE}) || (${OWNED_BY_DAEMONSET})))`;

const noHostNamespaces = (spec: string): Validation => ({
  expression: `object == null || !(${['hostNetwork', 'hostPID', 'hostIPC'].map((field) => `${spec}.?${field}.orValue(false)`).join(' || ')})`,
  message: 'no pod of the operator shares a namespace of its host',
});

const noToken = (spec: string): string => `!${spec}.?automountServiceAccountToken.orValue(true)`;

const noProjectedToken = (spec: string): string =>
  `${spec}.?volumes.orValue([]).all(v, v.?projected.sources.orValue([]).all(s, !has(s.serviceAccountToken)))`;

const mountsOfHost = (spec: string, path: string): string =>
  `${spec}.?volumes.orValue([]).exists(v, v.?hostPath.path.orValue('') == ${quoted(path)})`;

const TEMPLATE = 'object.spec.template.spec';
const ROLE = `object.metadata.labels[${quoted(ROLE_LABEL)}]`;
const onlyFor = (role: string, expression: string): string =>
  `object == null || ${ROLE} != ${quoted(role)} || (${expression})`;

const DAEMONSETS: Policy = {
  name: 'daemonsets',
  rules: [{ group: 'apps', resources: ['daemonsets'], operations: ['CREATE', 'UPDATE', 'DELETE'] }],
  validations: [
    {
      expression: `object == null || [object].all(o, ${isOurs([MODULE_LOADER_ROLE, DEVICE_PLUGIN_ROLE])})`,
      message: 'the operator may make only DaemonSets that carry its labels and belong to a Module',
    },
    {
      // Its labels may have been taken off by somebody; it puts them back.
      expression: `oldObject == null || [oldObject].all(o, ${belongsToModule})`,
      message: 'the operator may change and delete only DaemonSets that belong to a Module',
    },
    {
      expression: `object == null || object.spec.template.metadata.?labels[?${quoted(ROLE_LABEL)}].orValue('') == ${ROLE}`,
      message: 'the pods of a DaemonSet have the role that the DaemonSet has',
    },
    noHostNamespaces(TEMPLATE),
    {
      expression: onlyFor(
        MODULE_LOADER_ROLE,
        `${TEMPLATE}.?initContainers.orValue([]).size() == 0 && ${TEMPLATE}.containers.all(c, c.name == 'module-loader') && ` +
          `object.spec.updateStrategy.type == 'OnDelete'`,
      ),
      message: 'a loader is one container, module-loader, and its DaemonSet is OnDelete',
    },
    {
      expression: onlyFor(MODULE_LOADER_ROLE, `${noToken(TEMPLATE)} && ${noProjectedToken(TEMPLATE)}`),
      message: 'a loader has no service-account token, also not in a volume',
    },
    {
      expression: onlyFor(
        MODULE_LOADER_ROLE,
        `${mountsOfHost(TEMPLATE, '/lib/modules')} && ${TEMPLATE}.?nodeSelector.orValue({}).exists(k, k.startsWith(${quoted(GROUP_PREFIX)}) && k.endsWith('.load'))`,
      ),
      message: "a loader mounts the host's /lib/modules, and runs where its Module's load label is",
    },
    {
      expression: onlyFor(
        DEVICE_PLUGIN_ROLE,
        `${TEMPLATE}.?initContainers.orValue([]).size() == 0 && ${TEMPLATE}.containers.all(c, c.name == 'device-plugin' && c.?securityContext.privileged.orValue(false))`,
      ),
      message: 'a device plugin is one container, device-plugin, and is privileged',
    },
    {
      expression: onlyFor(
        DEVICE_PLUGIN_ROLE,
        `${mountsOfHost(TEMPLATE, '/var/lib/kubelet/device-plugins')} && ${TEMPLATE}.?nodeSelector.orValue({}).exists(k, k.startsWith(${quoted(GROUP_PREFIX)}) && k.endsWith('.ready'))`,
      ),
      message: "a device plugin mounts the host's device-plugin folder, and runs where its Module's ready label is",
    },
  ],
};

/** Of a build pod: initContainers and containers alike. */
const BUILD_CONTAINERS = '(object.spec.?initContainers.orValue([]) + object.spec.containers)';

const BUILD_VOLUMES = ['configMap', 'downwardAPI', 'emptyDir', 'secret'];

/** A token that is good for nothing but the cluster's own registry. */
const REGISTRY_TOKEN =
  `(has(v.projected) && v.projected.sources.all(s, has(s.serviceAccountToken) && ` +
  `s.serviceAccountToken.?audience.orValue('') == ${quoted(REGISTRY_AUDIENCE)}))`;

const PODS: Policy = {
  name: 'pods',
  rules: [{ group: '', resources: ['pods'], operations: ['CREATE', 'UPDATE', 'DELETE'] }],
  validations: [
    {
      expression: `object == null || [object].all(o, ${isOurs([IMAGE_BUILD_ROLE])})`,
      message: 'the operator may make only pods that build an image for a Module',
    },
    {
      expression: `oldObject == null || [oldObject].all(o, ${wasOurs([MODULE_LOADER_ROLE, DEVICE_PLUGIN_ROLE, IMAGE_BUILD_ROLE])})`,
      message:
        'the operator may delete only pods that carry its labels and belong to nobody but a Module or its DaemonSet',
    },
    noHostNamespaces('object.spec'),
    {
      expression: `object == null || (${noToken('object.spec')} && object.spec.?serviceAccountName.orValue('default') in ['', 'default'])`,
      message: 'a build pod has no ServiceAccount of its own and no token',
    },
    {
      expression: `object == null || object.spec.?volumes.orValue([]).all(v, ${BUILD_VOLUMES.map((kind) => `has(v.${kind})`).join(' || ')} || ${REGISTRY_TOKEN})`,
      message: `a build pod mounts nothing but ${BUILD_VOLUMES.join(', ')} and a token for the cluster's own registry`,
    },
    {
      expression:
        `object == null || ${BUILD_CONTAINERS}.all(c, !c.?securityContext.privileged.orValue(false) && ` +
        `c.?securityContext.capabilities.drop.orValue([]).exists(d, d == 'ALL') && c.?securityContext.capabilities.add.orValue([]).all(a, ` +
        `a in (object.spec.?hostUsers.orValue(true) ? ${list(IN_HOST_NAMESPACE)} : ${list(IN_USER_NAMESPACE)})))`,
      message:
        'a build pod is not privileged, and has no capability that buildah does not need (more of them in a user namespace of its own)',
    },
  ],
};

const MODULES: Policy = {
  name: 'modules',
  rules: [{ group: GROUP, resources: ['modules'], operations: ['UPDATE'] }],
  variables: {
    finalizersBefore: 'oldObject.metadata.?finalizers.orValue([])',
    finalizersAfter: 'object.metadata.?finalizers.orValue([])',
  },
  validations: [
    {
      expression: 'object.spec == oldObject.spec',
      message: 'the operator may not change the spec of a Module',
    },
    sameMetadata('a Module', ['labels', 'annotations', 'ownerReferences']),
    {
      expression:
        `variables.finalizersBefore.all(f, f == ${quoted(FINALIZER)} || f in variables.finalizersAfter) && ` +
        `variables.finalizersAfter.all(f, f == ${quoted(FINALIZER)} || f in variables.finalizersBefore)`,
      message: `the operator may put on and take off no finalizer but ${FINALIZER}`,
    },
  ],
};

const EVENTS: Policy = {
  name: 'events',
  rules: [{ group: '', resources: ['events'], operations: ['CREATE', 'UPDATE'] }],
  validations: [
    {
      expression: `object.involvedObject.kind == 'Module' && object.involvedObject.apiVersion.startsWith('${GROUP}/')`,
      message: 'the operator may write only events about Modules',
    },
  ],
};

/** Also where somebody gives the operator more rights than it needs. */
function nothingElse(rules: readonly PolicyRule[]): Policy {
  const operationsOf: Readonly<Record<string, string>> = {
    create: 'CREATE',
    update: 'UPDATE',
    patch: 'UPDATE',
    delete: 'DELETE',
  };
  const allowed = rules.flatMap(({ apiGroups, resources, verbs }) =>
    verbs.flatMap((verb) => {
      const operation = operationsOf[verb];
      if (operation === undefined) return [];
      return apiGroups.flatMap((group) => resources.map((resource) => `${operation} ${group}/${resource}`));
    }),
  );
  return {
    name: 'nothing-else',
    rules: [{ group: '*', resources: ['*/*'], operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] }],
    variables: {
      resource:
        "request.resource.group + '/' + request.resource.resource + (request.?subResource.orValue('') == '' ? '' : '/' + request.subResource)",
    },
    validations: [
      {
        expression: `(request.operation + ' ' + variables.resource) in ${list([...new Set(allowed)].sort())}`,
        message: 'this is nothing that the operator does',
      },
    ],
  };
}

/** A component of its own: it wants a label on the namespaces of Modules, which somebody has to set first. */
const NAMESPACES: Policy = {
  name: 'namespaces',
  rules: [
    { group: '', resources: ['pods'], operations: ['CREATE'] },
    { group: 'apps', resources: ['daemonsets'], operations: ['CREATE', 'UPDATE'] },
  ],
  validations: [
    {
      expression: `namespaceObject.metadata.?labels[?${quoted(MODULES_ALLOWED_LABEL)}].orValue('') == 'allowed'`,
      message: `the operator makes DaemonSets and pods only in namespaces with the label ${MODULES_ALLOWED_LABEL}=allowed`,
    },
  ],
};

export interface Operator {
  readonly namespace: string;
  readonly serviceAccount: string;
}

const AS_INSTALLED: Operator = { namespace: OPERATOR_NAMESPACE, serviceAccount: NAME };

function policyAndBinding({ name, rules, variables = {}, validations }: Policy, operator: Operator): readonly object[] {
  const metadata = {
    name: `${NAME}-${name}`,
    labels: LABELS,
  };
  const apiVersion = 'admissionregistration.k8s.io/v1';
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata,
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: rules.map(({ group, resources, operations }) => ({
            apiGroups: [group],
            apiVersions: ['*'],
            operations,
            resources,
          })),
        },
        matchConditions: [
          {
            name: 'the-operator',
            expression: `request.userInfo.username == 'system:serviceaccount:${operator.namespace}:${operator.serviceAccount}'`,
          },
        ],
        variables: Object.entries(variables).map(([variable, expression]) => ({ name: variable, expression })),
        validations: validations.map((validation) => ({ ...validation, reason: 'Forbidden' })),
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: metadata.name, validationActions: ['Deny'] },
    },
  ];
}

/** The policies and their bindings, as objects: the Helm chart has them for its own namespace and ServiceAccount. */
function admissionPolicies(rules: readonly PolicyRule[], operator = AS_INSTALLED): readonly object[] {
  return [NODES, DAEMONSETS, PODS, MODULES, EVENTS, nothingElse(rules)].flatMap((policy) =>
    policyAndBinding(policy, operator),
  );
}

export function admissionPolicyFiles(rules: readonly PolicyRule[]): readonly GeneratedFile[] {
  return [
    yamlFile('config/components/admission-policy/policies.yaml', ...admissionPolicies(rules)),
    componentFile('config/components/admission-policy', ['policies.yaml']),
    yamlFile(
      'config/components/admission-policy-namespaces/policies.yaml',
      ...policyAndBinding(NAMESPACES, AS_INSTALLED),
    ),
    componentFile('config/components/admission-policy-namespaces', ['policies.yaml']),
  ];
}
