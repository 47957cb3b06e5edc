/** What the long tests begin with and look at. */
import { expect } from 'vitest';

import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import type { ModuleRef, OperatedCluster } from '../../harness/operated-cluster.ts';

const KERNELS = ['6.1.0', '6.12.1', '5.4.0-1054-gke', '6.8.0'] as const;

const SLOW = { timeoutMs: 900_000, intervalMs: 1_000 };

const imageOf = (tag: string): string => `registry.test/kmod:${tag}`;
export const mapped = (tag: string) => ({ kernelMappings: [{ regexp: '.', containerImage: imageOf(tag) }] });

/** A Module with a device plugin, and four nodes of four kernels for it. */
export async function fourNodes(kmm: OperatedCluster, name: string): Promise<ModuleRef> {
  const namespace = await kmm.cluster.freshNamespace(name);
  await kmm.addNodes(name, nodesOf(name), ...KERNELS);
  return kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin().withSpec(mapped('1')));
}

export function untilLoadedEverywhere(kmm: OperatedCluster, ref: ModuleRef, tag: string): Promise<void> {
  return eventually(
    async () => {
      const { metadata, status } = await kmm.module(ref);
      expect(status).toMatchObject({
        observedGeneration: metadata.generation,
        loaded: '4/4',
        devicePlugin: { availableNumber: 4 },
      });
      const pods = await kmm.pods(ref, 'module-loader');
      expect(pods.map(({ spec }) => spec?.containers[0]?.image)).toEqual(Array(4).fill(imageOf(tag)));
    },
    { what: `${ref.name} to be loaded from image ${tag}`, ...SLOW },
  );
}

export function untilDegraded(kmm: OperatedCluster, ref: ModuleRef): Promise<void> {
  return eventually(
    async () => {
      const { status } = await kmm.module(ref);
      expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Degraded', status: 'True' }));
    },
    { what: `${ref.name} to be Degraded`, ...SLOW },
  );
}

export async function untilGone(kmm: OperatedCluster, ref: ModuleRef): Promise<void> {
  await kmm.deleteModule(ref);
  await eventually(async () => expect(kmm.module(ref)).rejects.toMatchObject({ status: 404 }), {
    what: `the end of ${ref.name}`,
    ...SLOW,
  });
}

export async function loaderUIDs(kmm: OperatedCluster, ref: ModuleRef): Promise<readonly string[]> {
  return (await kmm.pods(ref, 'module-loader')).map(({ metadata }) => metadata.uid ?? '').toSorted();
}
