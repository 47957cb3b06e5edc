/** An operator that is killed after every write while images are built and a Module is upgraded. */
import { expect, it } from 'vitest';

import { BuildPods } from '../../harness/build-pods.ts';
import { aReport } from '../../harness/builds.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, type Mapping, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { expectSameLives, pictureOf } from '../whole-life.ts';

const kmm = useOperatedCluster('kills-long');

async function untilLoadedWith(ref: ModuleRef, image: string, nodes: readonly string[]): Promise<unknown> {
  return eventually(
    async () => {
      const { metadata, status } = await kmm.module(ref);
      expect(status).toMatchObject({
        observedGeneration: metadata.generation,
        loaded: `${nodes.length}/${nodes.length}`,
        conditions: expect.arrayContaining([expect.objectContaining({ type: 'Progressing', status: 'False' })]),
      });
      const pods = await kmm.pods(ref, 'module-loader');
      expect(pods.map(({ spec }) => spec?.containers[0]?.image)).toEqual(nodes.map(() => image));
      // Status is told before the labels that it speaks of: an operator that dies in between has the next one write them.
      for (const node of nodes) {
        const { ready, loaded } = await kmm.marks(ref, node);
        expect({ ready, loaded }).toEqual({ ready: '', loaded: expect.not.stringContaining('replacing') });
      }
      return pictureOf(kmm, ref, nodes);
    },
    { what: `${image} on ${nodes.length} nodes`, timeoutMs: 600_000, intervalMs: 500 },
  );
}

async function untilGone(ref: ModuleRef, nodes: readonly string[]): Promise<void> {
  await kmm.deleteModule(ref);
  await eventually(
    async () => {
      await expect(kmm.module(ref)).rejects.toMatchObject({ status: 404 });
      for (const node of nodes) expect(await kmm.marks(ref, node)).toEqual({});
      expect(await kmm.pods(ref, 'module-loader')).toEqual([]);
    },
    { what: `the end of ${ref.name}`, timeoutMs: 600_000, intervalMs: 500 },
  );
  await kmm.removeNodes(...nodes);
}

it('killed after every write of two builds, it builds each image once and repeats no write', async () => {
  const namespace = await kmm.cluster.freshNamespace('kills-build');
  const pods = new BuildPods(kmm.cluster.admin);
  const kernel = '6.1.0';
  const imageOf = (tag: string) => `registry.test/kmod@sha256:${tag.repeat(64)}`;
  const mapping = (tag: string): Mapping => ({
    literal: kernel,
    containerImage: `registry.test/kmod:${tag}`,
    build: { dockerfile: `FROM scratch\nLABEL tag=${tag}\n` },
  });
  const build = async (ref: ModuleRef, tag: string): Promise<void> => {
    const pod = await eventually(
      async () => {
        const [found, ...others] = (await pods.list(ref)).filter(
          ({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded',
        );
        expect(others).toEqual([]);
        if (found?.spec?.nodeName === undefined) throw new Error('there is none');
        return found;
      },
      { what: `the build pod of ${tag}`, timeoutMs: 120_000 },
    );
    await pods.enter(pod, 'build');
    await pods.enter(pod, 'push');
    await pods.succeed(pod, aReport({ image: imageOf(tag), reference: `registry.test/kmod:${tag}` }));
  };
  await expectSameLives(
    kmm,
    async (tell) => {
      const nodes = await kmm.addNodes('built', nodesOf('built'), kernel);
      const ref = await kmm.apply(aModule('built').inNamespace(namespace).withMapping(mapping('a')));
      await build(ref, 'a');
      tell('built', await untilLoadedWith(ref, imageOf('a'), nodes));
      await kmm.edit(ref, { kernelMappings: [mapping('b')] });
      await build(ref, 'b');
      tell('built again', await untilLoadedWith(ref, imageOf('b'), nodes));
      await untilGone(ref, nodes);
    },
    10,
  );
}, 1_800_000);

it('killed after every write of an upgrade over six nodes, it replaces each loader once and repeats no write', async () => {
  const namespace = await kmm.cluster.freshNamespace('kills-upgrade');
  const imageOf = (tag: string) => `registry.test/kmod:${tag}`;
  const mapped = (tag: string) => ({ kernelMappings: [{ regexp: '.', containerImage: imageOf(tag) }] });
  await expectSameLives(
    kmm,
    async (tell) => {
      const kernels = ['6.1.0', '6.12.1', '6.1.0', '6.12.1', '6.1.0', '6.12.1'];
      const nodes = await kmm.addNodes('upgraded', nodesOf('upgraded'), ...kernels);
      const ref = await kmm.apply(
        aModule('upgraded').inNamespace(namespace).withDevicePlugin().withMaxUnavailable(2).withSpec(mapped('1')),
      );
      tell('loaded', await untilLoadedWith(ref, imageOf('1'), nodes));
      await kmm.edit(ref, mapped('2'));
      tell('upgraded', await untilLoadedWith(ref, imageOf('2'), nodes));
      await untilGone(ref, nodes);
    },
    40,
  );
}, 1_800_000);
