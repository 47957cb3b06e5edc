import { GROUP_PREFIX, KERNEL_LABEL } from '../../api/labels.ts';
import type { Module } from '../../api/module.ts';
import type { NormalizedModule } from '../../api/normalize.ts';
import { labelSafe } from '../../kernel/names.ts';
import type { Container, DaemonSet } from '../../kube/core.ts';
import { GENERATION_ANNOTATION, INPUTS_ANNOTATION } from '../identity.ts';
import { ownerReference, recommendedLabels, selectingLabels } from '../object-labels.ts';
import type { KernelPlan } from './plan-kernels.ts';
import { loaderSecurityContext } from './security-context.ts';
import type { NodeKeys } from './snapshot.ts';

/** Volumes of ours start with `kmm-`, which admission refuses to users. */
const LIB_MODULES_VOLUME = 'kmm-lib-modules';
/** Between the deletion of a loader's pod and the SIGTERM, where the user has set no preStop. */
const SECONDS_BEFORE_SIGTERM = 2;

export interface DaemonSetContext {
  readonly module: Module;
  readonly spec: NormalizedModule;
  readonly keys: NodeKeys;
  readonly priorityClassName: string;
}

/**
 * The loader DaemonSet of one kernel. Its pods run where the operator put the load label and nowhere else, and nothing but the operator
 * replaces them (OnDelete): killing a loader unloads its module.
 */
export function loaderDaemonSet(
  { module, spec, keys, priorityClassName }: DaemonSetContext,
  kernel: KernelPlan,
  image: string,
  inputs: string,
): DaemonSet {
  const labels = {
    ...selectingLabels(module, 'module-loader'),
    [KERNEL_LABEL]: labelSafe(kernel.kernel),
    'kubernetes.io/arch': kernel.arch,
  };
  const allLabels = { ...labels, ...recommendedLabels(module, 'module-loader') };
  const { loader, additionalVolumes, imageRepoSecret } = spec;
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {
      name: kernel.daemonSetName,
      namespace: module.metadata.namespace,
      labels: allLabels,
      annotations: {
        [`${GROUP_PREFIX}kernel-version`]: kernel.kernel,
        [INPUTS_ANNOTATION]: inputs,
        [GENERATION_ANNOTATION]: '1',
      },
      ownerReferences: [ownerReference(module)],
    },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'OnDelete' },
      revisionHistoryLimit: 2,
      template: {
        metadata: { labels: allLabels, annotations: { [INPUTS_ANNOTATION]: inputs } },
        spec: {
          nodeSelector: { [keys.load]: kernel.key },
          // Which nodes may have the module was decided when the load label was given; from then on no taint evicts it.
          tolerations: [{ operator: 'Exists' }],
          ...(priorityClassName === '' ? {} : { priorityClassName }),
          ...(imageRepoSecret === undefined ? {} : { imagePullSecrets: [{ name: imageRepoSecret }] }),
          ...(loader.serviceAccountName === undefined ? {} : { serviceAccountName: loader.serviceAccountName }),
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: loader.terminationGracePeriodSeconds,
          containers: [loaderContainer(loader, image)],
          volumes: [
            ...additionalVolumes,
            { name: LIB_MODULES_VOLUME, hostPath: { path: '/lib/modules', type: 'Directory' } },
          ],
        },
      },
    },
  };
}

function loaderContainer(
  { container: user, terminationGracePeriodSeconds }: NormalizedModule['loader'],
  image: string,
): Container {
  return {
    terminationMessagePolicy: 'FallbackToLogsOnError',
    ...user,
    lifecycle: {
      // Pid 1 never sees a signal that comes before its handler is there (pid_namespaces(7)): a pod that is deleted as its loader starts
      // would keep the module loaded, wait for the end of its grace period, and be killed without unloading.
      preStop: { sleep: { seconds: Math.min(SECONDS_BEFORE_SIGTERM, terminationGracePeriodSeconds) } },
      ...user.lifecycle,
    },
    name: 'module-loader',
    image,
    securityContext: loaderSecurityContext(user.securityContext),
    volumeMounts: [
      ...(user.volumeMounts ?? []),
      // One host path at two mount paths: on a host without /usr/lib/modules the kubelet would create it.
      { name: LIB_MODULES_VOLUME, mountPath: '/lib/modules', readOnly: true },
      { name: LIB_MODULES_VOLUME, mountPath: '/usr/lib/modules', readOnly: true },
    ],
  };
}
