/** Reasons of conditions and events, with what a person does about each. `docs/reference` is generated from these tables. */

export interface ReasonDoc {
  readonly reason: string;
  readonly meaning: string;
  readonly nextStep: string;
}

/** States of a node or a kernel, worst first: a kernel shows the worst state of its nodes, a Module the worst of its kernels. */
export const STATES = [
  'NotSupportedYet',
  'InvalidMapping',
  'NameTaken',
  'WriteRefused',
  'PodsRefused',
  'ImagePullFailed',
  'LoaderFailing',
  'BuildFailed',
  'WaitingForImage',
  'Building',
  'Signing',
  'Pushing',
  'Unloading',
  'RollingOut',
  'Loading',
  'NodesSkipped',
  'NoKernelMapping',
  'Loaded',
] as const;

export type State = (typeof STATES)[number];

/** States that mean something is wrong and stays so until somebody acts. */
export const DEGRADED_STATES: ReadonlySet<State> = new Set<State>([
  'NotSupportedYet',
  'InvalidMapping',
  'NameTaken',
  'WriteRefused',
  'PodsRefused',
  'ImagePullFailed',
  'LoaderFailing',
  'BuildFailed',
]);

export const CONDITION_REASONS: readonly ReasonDoc[] = [
  {
    reason: 'AllLoaded',
    meaning: 'Every node that should have the module has it, and the device plugin (if any) runs there.',
    nextStep: 'Nothing to do.',
  },
  {
    reason: 'NoNodes',
    meaning: 'No node matches spec.selector.',
    nextStep: 'Compare spec.selector with `kubectl get nodes --show-labels`.',
  },
  {
    reason: 'NoKernelMapping',
    meaning: 'No kernel mapping matches the kernel of any selected node.',
    nextStep: 'Add a mapping; try it with `kmm match -f module.yaml --kernel RELEASE`.',
  },
  {
    reason: 'InvalidMapping',
    meaning: 'The mapping that matches a kernel cannot be resolved, for example because of an unknown variable.',
    nextStep: 'Correct the field that the message names. What is loaded stays loaded meanwhile.',
  },
  {
    reason: 'WaitingForImage',
    meaning: 'The image of a kernel has to be built in the cluster first, and its build has not begun.',
    nextStep: 'Wait; when it stands still, the message says for what: a free slot, a node, a ConfigMap, a Secret.',
  },
  {
    reason: 'Building',
    meaning: 'The image of a kernel is being built.',
    nextStep: 'Wait; `kubectl logs` of the pod that the message names shows how far it is.',
  },
  { reason: 'Signing', meaning: 'The kernel modules in a built image are being signed.', nextStep: 'Wait.' },
  { reason: 'Pushing', meaning: 'A finished image is being verified and pushed.', nextStep: 'Wait.' },
  {
    reason: 'BuildFailed',
    meaning:
      'The image of a kernel cannot be built, signed, verified or pushed; the message has the step and the last words.',
    nextStep:
      'Correct what the message names. What is wrong with the network or the registry is tried again by itself; ' +
      'anything else when the Module changes.',
  },
  {
    reason: 'ImagePullFailed',
    meaning: 'The kubelet cannot pull the image of a kernel; the message has its words.',
    nextStep: 'Check the reference, the registry and spec.imageRepoSecret.',
  },
  {
    reason: 'Loading',
    meaning: 'Loader pods are starting.',
    nextStep: 'Wait; `kubectl get pods -l kmm.node.kubernetes.io/role=module-loader` shows them.',
  },
  {
    reason: 'LoaderFailing',
    meaning: 'A loader container fails; the message has its last words.',
    nextStep: "Read `kubectl logs` of the pod and the node's `dmesg`.",
  },
  {
    reason: 'PodsRefused',
    meaning: 'The API server refuses to create the pods; the message has its sentence.',
    nextStep: 'Pod Security level, quota or ServiceAccount of the namespace: allow what the sentence names.',
  },
  {
    reason: 'NameTaken',
    meaning: 'An object that is not of this Module has the name of its DaemonSet. It is never touched.',
    nextStep: 'Delete or rename that object.',
  },
  {
    reason: 'WriteRefused',
    meaning:
      'The API server refuses a DaemonSet of this Module, or its labels on a node; the message has its sentence.',
    nextStep: 'Correct the field that the sentence names, or allow the write.',
  },
  {
    reason: 'NodesSkipped',
    meaning: 'Nodes are left out for now: not Ready, or with a taint that spec.tolerations does not tolerate.',
    nextStep: 'Repair the node, or add a toleration.',
  },
  {
    reason: 'RollingOut',
    meaning: 'Loaders are being replaced node by node, at most spec.upgradePolicy.maxUnavailable at once.',
    nextStep: 'Wait; when it stands still, the message says for which node.',
  },
  {
    reason: 'DevicePluginUnavailable',
    meaning: 'The module is loaded, but the device plugin does not run on every such node.',
    nextStep: 'Look at the device-plugin pods; the message has the first cause.',
  },
  {
    reason: 'Unloading',
    meaning: 'The module is being unloaded: the Module is being deleted, or nodes no longer match it.',
    nextStep: 'Wait; the message names the pods that still run.',
  },
  {
    reason: 'NotSupportedYet',
    meaning: 'The Module is written in a form that this version stores but does not act on.',
    nextStep: 'Write it with spec.moduleLoader as a Container and spec.kernelMappings beside it.',
  },
  { reason: 'Done', meaning: 'Nothing is in progress.', nextStep: 'Nothing to do.' },
  { reason: 'Healthy', meaning: 'Nothing is wrong.', nextStep: 'Nothing to do.' },
];

export const EVENT_REASONS: readonly (ReasonDoc & { readonly type: 'Normal' | 'Warning' })[] = [
  {
    type: 'Normal',
    reason: 'Loaded',
    meaning: 'The module is loaded on every node of a kernel.',
    nextStep: 'Nothing to do.',
  },
  {
    type: 'Normal',
    reason: 'RollingOut',
    meaning: 'The loaders of a kernel are being replaced.',
    nextStep: 'Nothing to do.',
  },
  { type: 'Normal', reason: 'Unloading', meaning: 'The Module is being deleted.', nextStep: 'Nothing to do.' },
  {
    type: 'Normal',
    reason: 'DaemonSetRestored',
    meaning: 'A DaemonSet of ours was edited by hand and has been put back.',
    nextStep: 'Edit the Module instead.',
  },
  {
    type: 'Warning',
    reason: 'EmptySelector',
    meaning: 'spec.selector is empty, so every node is selected.',
    nextStep: 'Name a label if that is not meant.',
  },
  {
    type: 'Warning',
    reason: 'DuplicateMapping',
    meaning: 'A kernel mapping can never win, because an equal one stands before it.',
    nextStep: 'Remove it.',
  },
  ...['WaitingForImage', 'Building', 'Signing', 'Pushing'].map((reason) => ({
    type: 'Normal' as const,
    reason,
    meaning: 'See the condition reason of this name.',
    nextStep: 'As there.',
  })),
  {
    type: 'Warning',
    reason: 'DevicePluginUnavailable',
    meaning: 'See the condition reason of this name.',
    nextStep: 'As there.',
  },
  ...[...DEGRADED_STATES].map((reason) => ({
    type: 'Warning' as const,
    reason,
    meaning: 'See the condition reason of this name.',
    nextStep: 'As there.',
  })),
];
