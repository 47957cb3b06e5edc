/** A Module is deleted: while its device is in use, while it is not, and while a node is off or stands still. */
import { expect, test } from 'vitest';

import { DAEMONSETS } from '../../../src/kube/core.ts';
import { isLoaded, moduleEvents } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('delete');

test('a Module that is deleted is unloaded on every node, and nothing of it is left', async () => {
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded();

  await scenario.deleteModule();
  await scenario.untilGone();

  for (const node of scenario.cluster.nodes) {
    expect(await isLoaded(node)).toBe(false);
    expect((await moduleEvents(node)).at(-1)).toBe('free');
  }
  await nothingIsLeft();
});

test('while a pod has the device open, status names the node that still unloads and since when; when it is closed, the module goes', async () => {
  const [holding, other] = scenario.cluster.nodes;
  if (holding === undefined) throw new Error('a cluster has nodes');
  await scenario.apply(scenario.helloWithPlugin());
  await scenario.untilLoaded();
  await scenario.startReader('holder', holding, 'exec 3< /dev/kmm_hello; exec sleep 3600', { phases: ['Running'] });
  await scenario.eventually('the device to be open', async () =>
    expect(await holding.output('cat /sys/module/kmm_hello/refcnt')).toBe('1\n'),
  );

  await scenario.deleteModule();
  if (other !== undefined)
    await scenario.eventually(`the module on ${other.name} to be gone`, async () =>
      expect(await isLoaded(other)).toBe(false),
    );
  const progressing = await scenario.eventually('status to name the holder’s node alone', async () => {
    const { status } = await scenario.module();
    const found = status?.conditions?.find(({ type }) => type === 'Progressing');
    expect(found).toMatchObject({
      status: 'True',
      reason: 'Unloading',
      message: expect.stringContaining(`node ${holding.name} `),
    });
    expect(found?.message).not.toContain('more');
    return found;
  });
  expect(progressing?.message).toMatch(/since \d{4}-\d\d-\d\dT/);
  expect(await isLoaded(holding)).toBe(true);

  await scenario.deletePod('holder');
  await scenario.untilGone();
  expect(await isLoaded(holding)).toBe(false);
  await nothingIsLeft();
});

test('a deletion ends while a node is off, and the node is clean when it comes back', async ({ skip }) => {
  const bed = scenario.bedOr(skip);
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded();
  await bed.vm2.shutDown();
  await bed.untilUnreachable(bed.vm2);

  await scenario.deleteModule();
  await scenario.untilGone();
  expect(await isLoaded(bed.vm1)).toBe(false);

  await bed.vm2.start(bed.kernels[1]);
  await bed.untilReady(bed.vm2);
  await nothingIsLeft();
  expect(await moduleEvents(bed.vm2)).toEqual([]);
});

test('a deletion ends while a node stands still, and the module is unloaded when it goes on', async ({ skip }) => {
  const bed = scenario.bedOr(skip);
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded();
  await bed.vm2.pause();
  try {
    await bed.untilUnreachable(bed.vm2);
    await scenario.deleteModule();
    await scenario.untilGone();
  } finally {
    await bed.vm2.resume();
  }
  await bed.untilReady(bed.vm2);
  await scenario.eventually('the module on vm2 to be gone', async () => expect(await isLoaded(bed.vm2)).toBe(false));
  await nothingIsLeft();
});

/** No pod, no DaemonSet, and no key on a node. */
async function nothingIsLeft(): Promise<void> {
  const { cluster, namespace } = scenario;
  await scenario.eventually('nothing of the Module to be left', async () => {
    expect((await scenario.pods()).map(({ metadata }) => metadata.name)).toEqual([]);
    expect(await cluster.admin.list(DAEMONSETS, { namespace })).toEqual([]);
    for (const node of cluster.nodes) expect(scenario.leftOn(await scenario.node(node))).toEqual([]);
  });
}
