/** A device plugin that nobody here wrote: Kubernetes' own sample, unmodified. */
import { expect, test } from 'vitest';

import { SAMPLE_PLUGIN_IMAGE } from '../bed/images.ts';
import { isLoaded } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('sample');

test('a pod gets the resource of a device plugin that nobody here wrote, where the module is loaded', async () => {
  // For each device it makes a file there, which the kubelet mounts into the pod that gets it.
  const module = scenario
    .hello()
    .withVolume({ name: 'devices', hostPath: { path: '/tmp', type: 'Directory' } })
    .withDevicePlugin({
      image: scenario.image(SAMPLE_PLUGIN_IMAGE),
      volumeMounts: [{ name: 'devices', mountPath: '/tmp' }],
    });
  await scenario.apply(module);
  await scenario.untilLoaded();

  await Promise.all(
    scenario.cluster.nodes.map(async (node) => {
      expect(await isLoaded(node)).toBe(true);
      const name = `user-${node.name}`;
      const pod = await scenario.startReader(name, node, 'ls /tmp', { resource: 'example.com/resource' });
      expect(pod.status?.phase).toBe('Succeeded');
      expect(await scenario.log(name)).toMatch(/^Dev-[12]$/m);
      await scenario.deletePod(name);
    }),
  );
});
