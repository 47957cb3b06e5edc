/** Images that are built on the nodes: from a Dockerfile in the Module, and from a Git repository. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { IMAGE_BUILD_ROLE } from '../../../../src/api/labels.ts';
import { MODULES } from '../../../../src/api/module.ts';
import { makeRepository } from '../../../harness/git-repositories.ts';
import { type GitServer, startGitServer } from '../../../harness/git-server.ts';
import { SECRETS } from '../../../harness/secrets.ts';
import { testSecret } from '../../../harness/test-secrets.ts';
import { helloBuildArgs, helloSources, inlineDockerfile } from '../../bed/building.ts';
import { HOST_ADDRESS, REGISTRY } from '../../bed/guest-config.ts';
import { isLoaded, kernelLines } from '../../guest.ts';
import { useScenario } from '../../scenario.ts';

const scenario = useScenario('built', { builds: true });

/** What both ways of building have in common; the bed's registry speaks plain HTTP. */
const BUILD = { pull: { insecure: true }, push: { insecure: true } };
const REPOSITORY = `${REGISTRY}/built/kmm-hello`;
const CONTAINER_IMAGE = `${REPOSITORY}:\${KERNEL_FULL_VERSION}`;

const token = testSecret('build');

let repositories: string;
let server: GitServer;
let commit: string;

beforeAll(async () => {
  repositories = await mkdtemp(join(tmpdir(), 'kmm-e2e-git-'));
  commit = await makeRepository(repositories, 'hello.git', await helloSources());
  server = await startGitServer({ root: repositories });
});
afterAll(async () => {
  await server.stop();
  await rm(repositories, { recursive: true, force: true });
});

test('a Dockerfile in the Module becomes a loaded module on both kernels, each compiled for its own', async () => {
  const { bed } = scenario;
  const before = await Promise.all(bed.nodes.map(async (node) => (await kernelLines(node)).length));
  const dockerfile = await inlineDockerfile();
  await scenario.apply(
    scenario.helloFor((kernel) => ({
      containerImage: CONTAINER_IMAGE,
      build: { ...BUILD, dockerfile, buildArgs: helloBuildArgs(kernel) },
    })),
  );

  const { status } = await scenario.untilLoaded();
  for (const [index, node] of bed.nodes.entries()) {
    expect(await isLoaded(node)).toBe(true);
    const release = bed.kernels[index]?.release;
    expect((await kernelLines(node)).slice(before[index])).toEqual([
      expect.stringContaining(`kmm_hello: loaded, made for ${release}, greets kubernetes`),
    ]);
    const kernel = status?.kernels?.find(({ kernelVersion }) => kernelVersion === release);
    expect(kernel?.build).toMatchObject({ phase: 'Pushed', attempts: 1 });
    const { spec } = await scenario.loaderOn(node);
    expect(spec?.containers[0]?.image).toBe(kernel?.build?.image);
    expect(kernel?.build?.image).toMatch(new RegExp(`^${REPOSITORY}@sha256:[0-9a-f]{64}$`));
  }
});

test('the same from a Git repository takes its place, and status has the commit', async () => {
  const { bed } = scenario;
  const loaded = await scenario.loaderOn(bed.vm1);
  const port = new URL(server.url).port;
  // One node is enough: the other is not to build what was shown.
  const selector = { 'kubernetes.io/hostname': bed.vm1.name };
  // A Secret is what an older kernel cannot mount into a user namespace.
  await bed.admin.create(SECRETS, {
    metadata: { namespace: scenario.namespace, name: 'token' },
    stringData: { token },
  });
  const build = {
    ...BUILD,
    git: { url: `http://${HOST_ADDRESS}:${port}/hello.git` },
    secrets: [{ name: 'token' }],
    selector,
    buildArgs: helloBuildArgs(bed.kernels[0]),
  };
  const { spec } = scenario.helloFrom({ containerImage: CONTAINER_IMAGE, build }).build();
  await bed.admin.patch(MODULES, scenario.ref, { spec: { ...spec, selector } });

  // The operator sees what the one node can do that the build may be put on.
  await scenario.eventually('the build pod, with a user namespace where the node has one for it', async () => {
    const pods = await scenario.pods(IMAGE_BUILD_ROLE);
    expect(pods.map((pod) => pod.spec?.hostUsers)).toEqual([bed.software === 'newest' ? false : undefined]);
  });
  const { status } = await scenario.untilLoaded(1);
  expect(status?.kernels?.[0]?.build).toMatchObject({ phase: 'Pushed', commit });
  expect(await isLoaded(bed.vm1)).toBe(true);
  const replaced = await scenario.loaderOn(bed.vm1);
  expect(replaced.metadata.uid).not.toBe(loaded.metadata.uid);
  expect(replaced.spec?.containers[0]?.image).toBe(status?.kernels?.[0]?.build?.image);
  expect(replaced.spec?.containers[0]?.image).not.toBe(loaded.spec?.containers[0]?.image);
});
