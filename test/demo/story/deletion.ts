import { GROUP_PREFIX, KERNEL_LABEL, ROLE_LABEL } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { DAEMONSETS, NODES, PODS } from '../../../src/kube/core.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { NAMESPACE } from '../cast.ts';
import { type Found, hasNothing } from '../expectations.ts';
import type { Scene } from '../scene.ts';
import type { Step } from './step.ts';

export const deletion: Step = {
  title: 'The Module is deleted, and the cluster is clean',
  async tell(scene) {
    const { narrator } = scene;
    const { record, end } = scene.record();
    await narrator.expect('kubectl has seen it go, so its finalizer is off', async () => {
      await scene.kubectl('delete', '-n', NAMESPACE, '-f', 'config/samples/module-sample.yaml', '--timeout=30s');
      return scene.until(({ module }) => (module === undefined ? undefined : 'it is still there'));
    });
    await narrator.expect('every pod and label of it has gone too', () =>
      scene.until(({ nodes }) => nodes.map(hasNothing).find((found) => found !== undefined)),
    );
    end();
    await narrator.fact(
      'every device plugin had gone before a loader was stopped',
      record.pluginsLeftBehind.length === 0 ? undefined : `it was still on ${record.pluginsLeftBehind.join(', ')}`,
    );
    const leftovers = await leftoversOf(scene);
    await narrator.fact('no DaemonSet, pod or Module of it is left', leftovers.objects);
    await narrator.fact('no label or annotation is left on a node but the kernel label', leftovers.onNodes);
  },
};

/** Asks the API server itself: a watch that lost an event would say that all is well. */
async function leftoversOf({ admin }: Scene): Promise<{ readonly objects: Found; readonly onNodes: Found }> {
  const [modules, daemonSets, pods, nodes] = await Promise.all([
    admin.list(MODULES),
    admin.list(DAEMONSETS),
    admin.list(PODS, { labelSelector: ROLE_LABEL }),
    admin.list(NODES),
  ]);
  const names = [...modules, ...daemonSets, ...pods].map(({ metadata }) => metadata.name);
  const keys = nodes.flatMap((node) => keysOfOurs(node).map((key) => `${key} on ${node.metadata.name}`));
  return { objects: names.join(', ') || undefined, onNodes: keys.join(', ') || undefined };
}

function keysOfOurs({ metadata }: KubeObject): readonly string[] {
  const keys = [...Object.keys(metadata.labels ?? {}), ...Object.keys(metadata.annotations ?? {})];
  const others = keys.filter((key) => key.startsWith(GROUP_PREFIX) && key !== KERNEL_LABEL);
  return [...others, ...(metadata.finalizers ?? [])];
}
