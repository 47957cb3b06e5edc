/** A vendor's image whose module is signed in the cluster, on a node that takes any module and on one that knows no such key. */
import { expect, test } from 'vitest';

import { SECRETS } from '../../../harness/secrets.ts';
import { makeSignKeys } from '../../../harness/sign-keys.ts';
import { REGISTRY } from '../../bed/guest-config.ts';
import { HELLO_REPOSITORY } from '../../bed/images.ts';
import { isLoaded, LOADER_PROCESS, processesOf } from '../../guest.ts';
import { useScenario } from '../../scenario.ts';

const scenario = useScenario('signed-image', { builds: true });

const SIGNER = 'e2e signer';

test('what is signed in the cluster carries its signer to the node, and a kernel that knows another key says so', async () => {
  const { bed, namespace } = scenario;
  const [newer] = bed.kernels;
  const { key, certificate } = await makeSignKeys(SIGNER);
  await bed.admin.create(SECRETS, { metadata: { namespace, name: 'signing-key' }, stringData: { key } });
  await bed.admin.create(SECRETS, { metadata: { namespace, name: 'signing-cert' }, stringData: { cert: certificate } });
  await bed.reboot(bed.vm2, bed.kernels[1], ['module.sig_enforce=1']);

  const sign = {
    unsignedImage: scenario.image(`${HELLO_REPOSITORY}:\${KERNEL_FULL_VERSION}`),
    keySecret: { name: 'signing-key' },
    certSecret: { name: 'signing-cert' },
    pull: { insecure: true },
    push: { insecure: true },
  };
  const containerImage = `${REGISTRY}/signed/kmm-hello:\${KERNEL_FULL_VERSION}`;
  await scenario.apply(scenario.helloFrom({ containerImage, sign }));

  await scenario.eventually('the signed module on the node that takes any', async () =>
    expect(await isLoaded(bed.vm1)).toBe(true),
  );
  expect(await fieldOfFile('signer', newer.release)).toBe(SIGNER);
  expect(await fieldOfFile('vermagic', newer.release)).toContain(`${newer.release} `);

  const degraded = await scenario.untilCondition({ type: 'Degraded', status: 'True', reason: 'LoaderFailing' });
  expect(degraded.message).toMatch(
    /could not insert 'kmm_hello': (Key was rejected by service|Required key not available)/,
  );
  // Not `unsigned module`, which is what the same kernel says of the image that was not signed.
  expect(await bed.vm2.output('dmesg')).toContain('Loading of module with unavailable key is rejected');
  expect(await isLoaded(bed.vm2)).toBe(false);
});

/** What modinfo on vm1 says of the module's file, in the loader that runs there. */
async function fieldOfFile(field: string, release: string): Promise<string> {
  const { vm1 } = scenario.bed;
  const [pid] = await processesOf(vm1, LOADER_PROCESS);
  const file = `/proc/${pid}/root/opt/lib/modules/${release}/kmm_hello.ko`;
  return (await vm1.output(`modinfo --field=${field} ${file}`)).trim();
}
