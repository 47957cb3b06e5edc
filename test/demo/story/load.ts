import { CONFIG_MAP, DEBIAN, FEDORA_IMAGE, GKE_IMAGE, NAMESPACE, NEW_GKE } from '../cast.ts';
import { areLoadedWith, conditionIs, firstOf, hasNothing, kernelIs, nodeNamed, statusCounts } from '../expectations.ts';
import type { Step } from './step.ts';

const SAMPLE = 'config/samples/module-sample.yaml';

export const load: Step = {
  title: 'The sample Module is applied, and each kernel gets its image',
  async tell(scene) {
    const { narrator } = scene;
    await scene.kubectl('create', 'configmap', CONFIG_MAP, '-n', NAMESPACE);
    await scene.kubectl('apply', '-f', SAMPLE);
    await narrator.expect('node-1 to node-6: loaded with the image of its kernel', () =>
      scene.until((picture) =>
        firstOf(
          areLoadedWith(picture, ['node-1', 'node-2', 'node-3'], FEDORA_IMAGE),
          areLoadedWith(picture, ['node-4', 'node-5', 'node-6'], GKE_IMAGE),
        ),
      ),
    );
    await narrator.expect('node-7: its image has to be built first, so it waits', () =>
      scene.until((picture) =>
        firstOf(
          kernelIs(picture, NEW_GKE, 'WaitingForImage'),
          hasNothing(nodeNamed(picture, 'node-7')),
          conditionIs(picture, 'Ready', 'False', 'WaitingForImage'),
        ),
      ),
    );
    await narrator.expect('node-8: no mapping matches, which is no error', () =>
      scene.until((picture) =>
        firstOf(
          kernelIs(picture, DEBIAN, 'NoKernelMapping'),
          hasNothing(nodeNamed(picture, 'node-8')),
          conditionIs(picture, 'Degraded', 'False', 'Healthy'),
        ),
      ),
    );
    await narrator.fact('node-9: not selected, so nothing is on it', hasNothing(nodeNamed(scene.picture, 'node-9')));
    await narrator.expect('the status says: loaded on 6 of 7 nodes, 6 device plugins', () =>
      scene.until((picture) => statusCounts(picture, { loaded: 6, of: 7 })),
    );
    narrator.quote(await scene.kubectl('get', 'modules', '-n', NAMESPACE, '-o', 'wide'));
  },
};
