/** A prebuilt image, loaded by a container of the user's (form 1), on two nodes with different kernels. */
import { expect, test } from 'vitest';

import type { Kernel } from '../bed/kernels.ts';
import type { VirtualNode } from '../bed/virtual-node.ts';
import { isLoaded, kernelLines } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('prebuilt');

test('a Module that is applied is loaded on both kernels, each with the file made for it', async () => {
  const { bed } = scenario;
  const before = new Map<VirtualNode, number>();
  for (const node of bed.nodes) {
    expect(await isLoaded(node)).toBe(false);
    // Of earlier scenarios, where the bed was left up.
    before.set(node, (await kernelLines(node)).length);
  }

  await scenario.apply(scenario.helloWithPlugin());
  const module = await scenario.untilLoaded(2);

  for (const [node, kernel] of [[bed.vm1, bed.kernels[0]] as const, [bed.vm2, bed.kernels[1]] as const]) {
    expect(await isLoaded(node)).toBe(true);
    expect((await kernelLines(node)).slice(before.get(node))).toEqual([
      expect.stringContaining(`kmm_hello: loaded, made for ${kernel.release}, greets kubernetes`),
    ]);
    expect((await scenario.marks(node)).ready).toBe('');
  }
  expect(
    module.status?.kernels?.map(({ kernelVersion, state }) => ({ kernelVersion, state })).toSorted(byKernel),
  ).toEqual(bed.kernels.map(({ release }) => ({ kernelVersion: release, state: 'Loaded' })).toSorted(byKernel));
});

test('a pod that asks for the device as a resource reads from it, on each kernel', async () => {
  const { bed } = scenario;
  const read = async (node: VirtualNode, kernel: Kernel): Promise<void> => {
    const name = `reader-${node.name}`;
    const pod = await scenario.startReader(name, node, 'cat /dev/kmm_hello');
    expect(pod.status?.phase).toBe('Succeeded');
    expect(await scenario.log(name)).toBe(`hello kubernetes from ${kernel.release}\n`);
    await scenario.deletePod(name);
  };
  await Promise.all([read(bed.vm1, bed.kernels[0]), read(bed.vm2, bed.kernels[1])]);
});

function byKernel(a: { readonly kernelVersion: string }, b: { readonly kernelVersion: string }): number {
  return a.kernelVersion.localeCompare(b.kernelVersion);
}
