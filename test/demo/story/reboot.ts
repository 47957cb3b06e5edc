import { FEDORA, FEDORA_IMAGE } from '../cast.ts';
import { everyKernelIsLabelled, firstOf, isLoadedWith, nodeNamed, statusCounts } from '../expectations.ts';
import type { Step } from './step.ts';

const NODE = 'node-4';

export const reboot: Step = {
  title: 'A node reboots into another kernel and gets the other image',
  async tell(scene) {
    const { narrator, nodes } = scene;
    const old = nodeNamed(scene.picture, NODE).loader?.uid;
    narrator.say(`${NODE} reboots into ${FEDORA}.`);
    await narrator.expect(`${NODE} is up again, and its label says the new kernel`, async () => {
      await nodes.reboot(NODE, { kernel: FEDORA });
      return scene.until((picture) => {
        const { up, kernel, name } = nodeNamed(picture, NODE);
        if (!up || kernel !== FEDORA) return `${name} is ${up ? 'up' : 'down'} with ${kernel}`;
        return everyKernelIsLabelled(picture);
      });
    });
    await narrator.expect('the old loader has gone, the image of the new kernel is loaded', () =>
      scene.until((picture) => {
        const node = nodeNamed(picture, NODE);
        const same = node.loader?.uid === old ? 'it is still the old loader' : undefined;
        return firstOf(same, isLoadedWith(node, FEDORA_IMAGE));
      }),
    );
    await narrator.expect('the status says so: 6 of 7 nodes, 6 device plugins', () =>
      scene.until((picture) => statusCounts(picture, { loaded: 6, of: 7 })),
    );
  },
};
