import { DEBIAN, FEDORA, GKE, NEW_GKE, NODES_OF_THE_DEMO } from '../cast.ts';
import { everyNodeIsUp } from '../expectations.ts';
import type { Step } from './step.ts';

export const simulatedNodes: Step = {
  title: 'Nodes join, on four kernels',
  async tell(scene) {
    const { narrator, nodes } = scene;
    narrator.say(`Kernels: ${[FEDORA, GKE, NEW_GKE, DEBIAN].join(', ')}`);
    await narrator.expect(`${NODES_OF_THE_DEMO.length} simulated nodes are Ready`, async () => {
      await nodes.create(...NODES_OF_THE_DEMO);
      return scene.until((picture) => everyNodeIsUp(picture, NODES_OF_THE_DEMO.length));
    });
  },
};
