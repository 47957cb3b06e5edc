/** An operator that is killed after every single write of a Module's life. */
import { expect, it } from 'vitest';

import { eventually } from '../harness/eventually.ts';
import { aModule, nodesOf } from '../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../harness/operated-cluster.ts';
import { expectSameLives, pictureOf } from './whole-life.ts';

const kmm = useOperatedCluster('kills');

const NAME = 'doomed';
const NODE_NAMES = [`${NAME}-0`, `${NAME}-1`];
const KERNELS = ['6.1.0', '6.12.1'] as const;
const NEXT_KERNEL = '6.2.0';

const imageOf = (tag: string) => `registry.test/kmod:${tag}`;
const mapped = (tag: string) => ({ kernelMappings: [{ regexp: '.', containerImage: imageOf(tag) }] });

async function untilEverywhere(ref: ModuleRef, tag: string, kernels: readonly string[] = KERNELS): Promise<unknown> {
  return eventually(
    async () => {
      const module = await kmm.module(ref);
      expect(module.status).toMatchObject({
        observedGeneration: module.metadata.generation,
        loaded: '2/2',
        devicePlugin: { availableNumber: 2 },
        conditions: expect.arrayContaining([
          expect.objectContaining({ type: 'Ready', status: 'True' }),
          expect.objectContaining({ type: 'Progressing', status: 'False' }),
        ]),
      });
      const pods = [...(await kmm.pods(ref, 'module-loader')), ...(await kmm.pods(ref, 'device-plugin'))];
      expect(pods.filter(({ spec }) => spec?.containers[0]?.image === imageOf(tag))).toHaveLength(2);
      expect(pods).toHaveLength(4);
      expect(await kmm.daemonSets(ref, 'module-loader')).toHaveLength(2);
      expect(module.status?.kernels?.map(({ kernelVersion }) => kernelVersion).toSorted()).toEqual(kernels.toSorted());
      return pictureOf(kmm, ref, NODE_NAMES);
    },
    { what: `image ${tag} on both nodes`, timeoutMs: 240_000, intervalMs: 200 },
  );
}

async function untilNothingIsLeft(ref: ModuleRef): Promise<void> {
  await eventually(
    async () => {
      await expect(kmm.module(ref)).rejects.toMatchObject({ status: 404 });
      expect(await kmm.daemonSets(ref)).toEqual([]);
      expect([...(await kmm.pods(ref, 'module-loader')), ...(await kmm.pods(ref, 'device-plugin'))]).toEqual([]);
      for (const name of NODE_NAMES) expect(await kmm.marks(ref, name)).toEqual({});
    },
    { what: 'the end of the Module and of its marks', timeoutMs: 240_000, intervalMs: 200 },
  );
}

it('an operator that is killed after every single write comes to the same end, and repeats none', async () => {
  const namespace = await kmm.cluster.freshNamespace('kills');
  await expectSameLives(
    kmm,
    async (tell) => {
      await kmm.addNodes(NAME, nodesOf(NAME), ...KERNELS);
      const ref = await kmm.apply(aModule(NAME).inNamespace(namespace).withDevicePlugin().withSpec(mapped('1')));
      tell('created', await untilEverywhere(ref, '1'));
      await kmm.edit(ref, mapped('2'));
      tell('rolled out', await untilEverywhere(ref, '2'));
      await kmm.cluster.nodes.reboot(`${NAME}-0`, { kernel: NEXT_KERNEL });
      tell('another kernel', await untilEverywhere(ref, '2', [NEXT_KERNEL, KERNELS[1]]));
      await kmm.deleteModule(ref);
      await untilNothingIsLeft(ref);
      await kmm.removeNodes(...NODE_NAMES);
    },
    20,
  );
}, 600_000);
