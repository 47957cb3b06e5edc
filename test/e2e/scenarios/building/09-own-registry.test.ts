/** The cluster's own registry: from a Dockerfile to a loaded module, with no registry of the user's and no credential anywhere. */
import { expect, test } from 'vitest';

import { PODS } from '../../../../src/kube/core.ts';
import { SECRETS } from '../../../harness/secrets.ts';
import { helloBuildArgs, inlineDockerfile } from '../../bed/building.ts';
import { InstalledOperator } from '../../bed/installed-operator.ts';
import { isLoaded } from '../../guest.ts';
import { useScenario } from '../../scenario.ts';

const scenario = useScenario('own-registry', { builds: true });

test('a mapping that names no image is built, pushed to the cluster’s own registry and loaded from there', async () => {
  const { bed, namespace } = scenario;
  // Until now the cluster had none: every reboot of the other scenarios would start its pods too.
  expect.assert(bed.operator instanceof InstalledOperator);
  await bed.operator.enableRegistry();
  // The base images come from the bed's registry, in the place of a public one. Of layers that are kept the first is the compiler's whole
  // image: an emulated registry takes minutes for it, and 02 has them kept.
  const build = { dockerfile: await inlineDockerfile(), pull: { insecure: true }, cache: false };
  await scenario.apply(scenario.helloFor((kernel) => ({ build: { ...build, buildArgs: helloBuildArgs(kernel) } })));

  const { status } = await scenario.untilLoaded();
  for (const [index, node] of bed.nodes.entries()) {
    expect(await isLoaded(node)).toBe(true);
    const kernel = status?.kernels?.find(({ kernelVersion }) => kernelVersion === bed.kernels[index]?.release);
    const { spec } = await scenario.loaderOn(node);
    expect(spec?.containers[0]?.image).toBe(kernel?.build?.image);
    expect(spec?.containers[0]?.image).toMatch(
      new RegExp(`^127\\.0\\.0\\.1:5780/${namespace}/hello@sha256:[0-9a-f]{64}$`),
    );
  }
  for (const { spec } of await bed.admin.list(PODS)) expect(spec?.imagePullSecrets ?? []).toEqual([]);
  // What helm keeps of its releases is all that there is in the whole cluster.
  const secrets = (await bed.admin.list(SECRETS)).filter(({ type }) => type !== 'helm.sh/release.v1');
  expect(secrets.map(({ metadata }) => metadata.name)).toEqual([]);
});
