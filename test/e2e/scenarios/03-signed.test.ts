/** A node that takes signed modules only, beside one that takes any. */
import { expect, test } from 'vitest';

import { isLoaded } from '../guest.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('signed');

test('a node that enforces signatures refuses an unsigned module, and the condition has its kernel’s own words', async () => {
  const { bed } = scenario;
  await bed.reboot(bed.vm2, bed.kernels[1], ['module.sig_enforce=1']);
  await scenario.apply(scenario.hello());

  const degraded = await scenario.untilCondition({ type: 'Degraded', status: 'True', reason: 'LoaderFailing' });
  expect(degraded.message).toMatch(
    /could not insert 'kmm_hello': (Key was rejected by service|Required key not available)/,
  );
  expect(await bed.vm2.output('dmesg')).toContain('Loading of unsigned module is rejected');
  expect(await isLoaded(bed.vm2)).toBe(false);

  await scenario.eventually('the module on the node that takes any', async () =>
    expect(await isLoaded(bed.vm1)).toBe(true),
  );
});
