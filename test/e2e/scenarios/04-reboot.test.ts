/** Nodes reboot: into the kernel they had, and into another one. */
import { beforeAll, expect, test } from 'vitest';

import { KERNEL_LABEL } from '../../../src/api/labels.ts';
import { labelSafe } from '../../../src/kernel/names.ts';
import { DAEMONSETS } from '../../../src/kube/core.ts';
import { isLoaded, kernelLines, moduleEvents } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('reboot');

beforeAll(async () => {
  await scenario.apply(scenario.helloWithPlugin());
  await scenario.untilLoaded();
});

test('after a reboot into the same kernel the module is loaded again, and the other node sees nothing of it', async () => {
  const { bed } = scenario;
  const before = await moduleEvents(bed.vm2);

  await bed.reboot(bed.vm1, bed.kernels[0]);
  await scenario.eventually('the module on vm1 in its new boot', async () =>
    expect(await isLoaded(bed.vm1)).toBe(true),
  );
  await scenario.untilLoaded();

  expect(await moduleEvents(bed.vm1)).toEqual(['load']);
  expect(await moduleEvents(bed.vm2)).toEqual(before);
});

// The documented loader once tried to unload what was not there until its grace period was over: here it would never end.
test('after a reboot into the other kernel label, image and module follow, and the DaemonSet that no node needs goes', async () => {
  const { bed } = scenario;
  const [newer, older] = bed.kernels;
  const labelOfOlder = labelSafe(older.release);
  expect(new Set(await loaderDaemonSets())).toEqual(new Set([labelSafe(newer.release), labelOfOlder]));

  await bed.reboot(bed.vm1, older);
  await scenario.eventually('the module of the older kernel on vm1', async () =>
    expect(await kernelLines(bed.vm1)).toEqual([expect.stringContaining(`made for ${older.release}`)]),
  );
  await scenario.untilLoaded();

  expect((await scenario.node(bed.vm1)).metadata.labels?.[KERNEL_LABEL]).toBe(labelOfOlder);
  expect(await scenario.marks(bed.vm1)).toEqual(await scenario.marks(bed.vm2));
  await scenario.eventually('the DaemonSet of the newer kernel to be gone', async () =>
    expect(await loaderDaemonSets()).toEqual([labelOfOlder]),
  );
});

test('back on the kernel it had first, the node gets that kernel’s module again', async () => {
  const { bed } = scenario;
  const [newer] = bed.kernels;

  await bed.reboot(bed.vm1, newer);
  await scenario.eventually('the module of the newer kernel on vm1', async () =>
    expect(await kernelLines(bed.vm1)).toEqual([expect.stringContaining(`made for ${newer.release}`)]),
  );
  await scenario.untilLoaded();

  expect(await moduleEvents(bed.vm1)).toEqual(['load']);
});

/** Kernels that loader DaemonSets are for, as labels have them: a release may have characters that those may not. */
async function loaderDaemonSets(): Promise<readonly string[]> {
  const daemonSets = await scenario.bed.admin.list(DAEMONSETS, {
    namespace: scenario.namespace,
    labelSelector: KERNEL_LABEL,
  });
  return daemonSets.map(({ metadata }) => metadata.labels?.[KERNEL_LABEL] ?? '');
}
