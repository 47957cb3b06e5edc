/** The Module of kmm_hello, and a pod that reads from its device, as users write them. */
import { aModule, type Mapping, type ModuleBuilder } from '../../harness/modules.ts';
import type { ModuleRef } from '../../harness/operated-cluster.ts';

/** The resource that test/e2e/hello/device-plugin offers. */
export const HELLO_RESOURCE = 'kmm.example.com/hello';

/** What a mapping of kmm_hello says beside its kernels. */
export type HelloMapping = Omit<Mapping, 'literal' | 'regexp'>;

/** kmm_hello on the nodes that have the labels, loaded as docs/usage/loader-containers.md has it, with its image from wherever the mappings say. */
export function helloModule(
  { namespace, name }: ModuleRef,
  selector: Readonly<Record<string, string>>,
  mappings: readonly Mapping[],
): ModuleBuilder {
  return aModule(name)
    .inNamespace(namespace)
    .withSelector(selector)
    .withSpec({ kernelMappings: mappings })
    .withLoader({
      // Longer than anything is waited for: a loader that spends it has hung, and its test fails.
      terminationGracePeriodSeconds: 1_800,
      securityContext: { readOnlyRootFilesystem: true },
      // Each probe is a process in the container: a second of work under emulation.
      readinessProbe: {
        exec: { command: ['grep', '-q', 'live', '/sys/module/kmm_hello/initstate'] },
        // One second is little under emulation.
        timeoutSeconds: 20,
        periodSeconds: 10,
      },
    });
}

/** What puts a pod on that node, whatever its labels say. */
export function onNode(name: string) {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [name] }];
  return {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] } },
  };
}

interface Reader {
  readonly node: string;
  /** Reference of an image that has a shell. */
  readonly image: string;
  readonly script: string;
  readonly resource?: string | undefined;
}

/** A pod that is given a device on the node and runs the script; the script's name for that of kmm_hello is /dev/kmm_hello. */
export function readerPod({ namespace, name }: ModuleRef, { node, image, script, resource = HELLO_RESOURCE }: Reader) {
  const limits = { [resource]: '1' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name },
    spec: {
      affinity: onNode(node),
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'reader', image, command: ['sh', '-c', script], resources: { limits } }],
    },
  };
}
