/** A prebuilt image, loaded by a container of the user's (form 1), on nodes with different kernels. */
import { expect, test } from 'vitest';

import { MODULES } from '../../../src/api/module.ts';
import { isLoaded, kernelRelease, type ModuleEvent } from '../guest.ts';
import type { RealNode } from '../real-node.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('prebuilt');

test('a Module that is applied is loaded on every kernel, each with the file made for it', async () => {
  const { nodes } = scenario.cluster;
  const linesOf = await scenario.newKernelLines();
  for (const node of nodes) expect(await isLoaded(node)).toBe(false);

  await scenario.apply(scenario.helloWithPlugin());
  const module = await scenario.untilLoaded();

  const releases = new Set<string>();
  for (const node of nodes) {
    const release = await kernelRelease(node);
    releases.add(release);
    expect(await isLoaded(node)).toBe(true);
    expect(await linesOf(node)).toEqual([
      expect.stringContaining(`kmm_hello: loaded, made for ${release}, greets kubernetes`),
    ]);
    expect((await scenario.marks(node)).ready).toBe('');
  }
  expect(
    module.status?.kernels?.map(({ kernelVersion, state }) => ({ kernelVersion, state })).toSorted(byKernel),
  ).toEqual([...releases].map((release) => ({ kernelVersion: release, state: 'Loaded' })).toSorted(byKernel));
});

test('a pod that asks for the device as a resource reads from it, on each kernel', async () => {
  const read = async (node: RealNode): Promise<void> => {
    const name = `reader-${node.name}`;
    const pod = await scenario.startReader(name, node, 'cat /dev/kmm_hello');
    expect(pod.status?.phase).toBe('Succeeded');
    expect(await scenario.log(name)).toBe(`hello kubernetes from ${await kernelRelease(node)}\n`);
    await scenario.deletePod(name);
  };
  await Promise.all(scenario.cluster.nodes.map(read));
});

test('a Module that is changed is unloaded and loaded again on each node, by a loader that is as it says now', async () => {
  const { nodes, admin } = scenario.cluster;
  const before = await scenario.kernelRecords();
  const env = [{ name: 'EDITION', value: '2' }];
  const { spec } = scenario.helloWithPlugin().withLoader({ env }).build();
  await admin.patch(MODULES, scenario.ref, { spec });

  await scenario.untilLoaded();
  const more: readonly ModuleEvent[] = ['free', 'load'];
  const after = Object.entries(before).map(([node, events]) => [node, [...events, ...more]]);
  expect(await scenario.kernelRecords()).toEqual(Object.fromEntries(after));
  for (const node of nodes) expect((await scenario.loaderOn(node)).spec?.containers[0]).toMatchObject({ env });
});

function byKernel(a: { readonly kernelVersion: string }, b: { readonly kernelVersion: string }): number {
  return a.kernelVersion.localeCompare(b.kernelVersion);
}
