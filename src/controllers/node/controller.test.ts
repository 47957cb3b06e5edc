import { afterEach, describe, expect, it } from 'vitest';
import { captureLog } from '../../../test/harness/captured-log.ts';
import { aNode } from '../../../test/harness/plan-world.ts';
import { answer, type StubServer, stubServer } from '../../../test/harness/stub-server.ts';
import { KERNEL_LABEL } from '../../api/labels.ts';
import { podEngine } from '../../build/engines/pod.ts';
import type { Node } from '../../kube/core.ts';
import { createCaches } from '../caches.ts';
import { NodeReconciler } from './controller.ts';
import { LabelDesk } from './label-desk.ts';

const ENGINE = podEngine({ builderImage: 'kmm-builder:test', isolation: () => ({ kind: 'user-namespace' }) });
const KERNEL = '6.1.0-50-cloud-amd64';

const stubs: StubServer[] = [];
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.close()));
});

/** The bodies of the patches that a reconcile of the node sends. */
async function patchesOf(node: Node, watchNamespaces: readonly string[] = []): Promise<unknown[]> {
  const patches: unknown[] = [];
  const stub = await stubServer((_request, response, body) => {
    patches.push(JSON.parse(body));
    answer(response, node);
  });
  stubs.push(stub);
  const client = stub.client();
  const caches = createCaches(client, { engine: ENGINE, namespaces: watchNamespaces });
  caches.nodes.absorb(node);
  const reconciler = new NodeReconciler(
    client,
    caches,
    new LabelDesk(
      () => undefined,
      () => undefined,
    ),
    watchNamespaces,
  );
  const context = { signal: new AbortController().signal, log: captureLog().log, reconcileID: 'test' };
  await reconciler.reconcile(node.metadata.name ?? '', context);
  return patches;
}

describe('a patch of a node', () => {
  it('is of the very Node that it was decided for: one registered again under the name refuses it', async () => {
    const node = aNode('n1').running(KERNEL).build();
    expect(await patchesOf(node)).toMatchObject([{ metadata: { uid: node.metadata.uid } }]);
    expect(node.metadata.uid).toBeDefined();
  });

  it('takes the labels of Modules that are gone, but never those of a namespace that is not watched (I1)', async () => {
    const [mine, foreign] = ['kmm.node.kubernetes.io/mine.m.load', 'kmm.node.kubernetes.io/foreign.m.load'];
    const node = aNode('n1').running(KERNEL).withLabel(mine).withLabel(foreign).withLabel(KERNEL_LABEL, KERNEL).build();
    const taken = async (...namespaces: readonly string[]) => {
      const [patch] = await patchesOf(node, namespaces);
      return patch;
    };
    expect(await taken('mine')).toMatchObject({ metadata: { labels: { [mine]: null } } });
    expect(JSON.stringify(await taken('mine'))).not.toContain(foreign);
    expect(await taken()).toMatchObject({ metadata: { labels: { [mine]: null, [foreign]: null } } });
  });

  it('is not written when nothing is due (I2)', async () => {
    expect(await patchesOf(aNode('n1').running(KERNEL).withLabel(KERNEL_LABEL, KERNEL).build())).toEqual([]);
  });
});
