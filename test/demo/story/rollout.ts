import { FEDORA, FEDORA_IMAGE_V2, MODULE, NAMESPACE } from '../cast.ts';
import { areLoadedWith, firstOf, statusCounts } from '../expectations.ts';
import type { Step } from './step.ts';

const NODES = ['node-1', 'node-2', 'node-3', 'node-4'];

export const rollout: Step = {
  title: 'An image is edited and rolls out node by node',
  async tell(scene) {
    const { narrator } = scene;
    const { record, end } = scene.record();
    narrator.say(`The image for ${FEDORA} is edited: its tag now ends in -v2.`);
    await narrator.expect(`${NODES.join(', ')} have the new image loaded`, async () => {
      await edit();
      return scene.until((picture) => areLoadedWith(picture, NODES, FEDORA_IMAGE_V2));
    });
    end();
    await narrator.fact(
      `never two at once: ${record.unloaded.join(', ')}`,
      firstOf(
        record.mostWithout === 1 ? undefined : `${record.mostWithout} nodes were without the module at once`,
        [...record.unloaded].sort().join() === NODES.join() ? undefined : 'not each of them was replaced once',
      ),
    );
    await narrator.fact(
      'each device plugin had gone before its loader was stopped',
      record.pluginsLeftBehind.length === 0 ? undefined : `it was still on ${record.pluginsLeftBehind.join(', ')}`,
    );
    await narrator.expect('the status says so: 6 of 7 nodes, 6 device plugins', () =>
      scene.until((picture) => statusCounts(picture, { loaded: 6, of: 7 })),
    );

    /** What an editor would send: the first mapping with another image. */
    async function edit(): Promise<void> {
      const value = FEDORA_IMAGE_V2;
      const patch = [{ op: 'replace', path: '/spec/kernelMappings/0/containerImage', value }];
      const args = ['patch', 'module', MODULE, '-n', NAMESPACE, '--type=json', '-p', JSON.stringify(patch)];
      await scene.controlPlane.kubectl(args, { signal: scene.signal });
    }
  },
};
