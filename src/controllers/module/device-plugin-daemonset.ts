import type { DaemonSet } from '../../kube/core.ts';
import { GENERATION_ANNOTATION, hashOfInputs, INPUTS_ANNOTATION } from '../identity.ts';
import { ownerReference, recommendedLabels, selectingLabels } from '../object-labels.ts';
import type { DaemonSetContext } from './loader-daemonset.ts';
import { pluginDaemonSetName } from './names.ts';
import { pluginSecurityContext } from './security-context.ts';

const DEVICE_PLUGINS_VOLUME = 'kmm-device-plugins';
const DEVICE_PLUGINS_PATH = '/var/lib/kubelet/device-plugins';

/** The device plugin's DaemonSet: runs exactly where the ready label says that the module is loaded. Undefined without a plugin. */
export function devicePluginDaemonSet({
  module,
  spec,
  keys,
  priorityClassName,
}: DaemonSetContext): DaemonSet | undefined {
  const { devicePlugin, additionalVolumes, imageRepoSecret, maxUnavailable } = spec;
  if (devicePlugin === undefined) return undefined;
  const labels = selectingLabels(module, 'device-plugin');
  const allLabels = { ...labels, ...recommendedLabels(module, 'device-plugin') };
  const podInputs = hashOfInputs({
    devicePlugin: module.spec.devicePlugin,
    additionalVolumes: module.spec.additionalVolumes,
    imageRepoSecret: module.spec.imageRepoSecret,
  });
  const { container, serviceAccountName } = devicePlugin;
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {
      name: pluginDaemonSetName({
        namespace: module.metadata.namespace ?? '',
        name: module.metadata.name ?? '',
      }),
      namespace: module.metadata.namespace,
      labels: allLabels,
      annotations: {
        [INPUTS_ANNOTATION]: hashOfInputs({ podInputs, maxUnavailable }),
        [GENERATION_ANNOTATION]: '1',
      },
      ownerReferences: [ownerReference(module)],
    },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable } },
      revisionHistoryLimit: 2,
      template: {
        metadata: { labels: allLabels, annotations: { [INPUTS_ANNOTATION]: podInputs } },
        spec: {
          nodeSelector: { [keys.ready]: '' },
          tolerations: [{ operator: 'Exists' }],
          ...(priorityClassName === '' ? {} : { priorityClassName }),
          ...(imageRepoSecret === undefined ? {} : { imagePullSecrets: [{ name: imageRepoSecret }] }),
          // A plugin that talks to the API names its ServiceAccount; any other gets no token.
          ...(serviceAccountName === undefined
            ? { automountServiceAccountToken: false }
            : { serviceAccountName, automountServiceAccountToken: true }),
          enableServiceLinks: false,
          containers: [
            {
              terminationMessagePolicy: 'FallbackToLogsOnError',
              ...container,
              name: 'device-plugin',
              securityContext: pluginSecurityContext(container.securityContext),
              volumeMounts: [
                ...(container.volumeMounts ?? []),
                { name: DEVICE_PLUGINS_VOLUME, mountPath: DEVICE_PLUGINS_PATH },
              ],
            },
          ],
          volumes: [
            ...additionalVolumes,
            { name: DEVICE_PLUGINS_VOLUME, hostPath: { path: DEVICE_PLUGINS_PATH, type: 'Directory' } },
          ],
        },
      },
    },
  };
}
