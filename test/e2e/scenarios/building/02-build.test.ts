/** Images that are built on the nodes: from a Dockerfile in the Module, and from a Git repository. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { IMAGE_BUILD_ROLE } from '../../../../src/api/labels.ts';
import { IN_HOST_NAMESPACE, IN_USER_NAMESPACE } from '../../../../src/build/engines/pod-security.ts';
import type { Pod } from '../../../../src/kube/core.ts';
import { makeRepository } from '../../../harness/git-repositories.ts';
import { type GitServer, startGitServer } from '../../../harness/git-server.ts';
import { SECRETS } from '../../../harness/secrets.ts';
import { testSecret } from '../../../harness/test-secrets.ts';
import { helloBuildArgs, helloSources, inlineDockerfile } from '../../bed/building.ts';
import { HOST_ADDRESS, REGISTRY } from '../../bed/guest-config.ts';
import { isLoaded, kernelRelease } from '../../guest.ts';
import type { RealNode } from '../../real-node.ts';
import { useScenario } from '../../scenario.ts';

const scenario = useScenario('built', { builds: true });

/** The bed's registry speaks plain HTTP. */
const BUILD = { pull: { insecure: true }, push: { insecure: true } };
const REPOSITORY = `${REGISTRY}/built/kmm-hello`;

const token = testSecret('build');

let repositories: string;
let server: GitServer;
let commit: string;
let linesOf: (node: RealNode) => Promise<readonly string[]>;

// Both ways side by side, each on the node that runs the kernel: one after the other they take twice as long.
beforeAll(async () => {
  repositories = await mkdtemp(join(tmpdir(), 'kmm-e2e-git-'));
  commit = await makeRepository(repositories, 'hello.git', await helloSources());
  server = await startGitServer({ root: repositories });
  const { bed, namespace } = scenario;
  linesOf = await scenario.newKernelLines();
  // A Secret is what an older kernel cannot mount into a user namespace.
  await bed.admin.create(SECRETS, { metadata: { namespace, name: 'token' }, stringData: { token } });
  const git = { url: `http://${HOST_ADDRESS}:${new URL(server.url).port}/hello.git` };
  const on = ({ name }: RealNode) => ({ 'kubernetes.io/hostname': name });
  const fromGit = { git, secrets: [{ name: 'token' }], selector: on(bed.vm1) };
  const inline = { dockerfile: await inlineDockerfile(), selector: on(bed.vm2) };
  await scenario.apply(
    scenario.helloFor((kernel) => ({
      containerImage: `${REPOSITORY}:\${KERNEL_FULL_VERSION}`,
      build: { ...BUILD, ...(kernel === bed.kernels[0] ? fromGit : inline), buildArgs: helloBuildArgs(kernel) },
    })),
  );
});
afterAll(async () => {
  await server.stop();
  await rm(repositories, { recursive: true, force: true });
});

test('a build pod has a user namespace where its node can mount Secrets into one, and three capabilities where not', async () => {
  const { bed } = scenario;
  await scenario.eventually('a build pod on each node', async () => {
    const pods = await scenario.pods(IMAGE_BUILD_ROLE);
    const given = pods.map(({ spec }) => [spec?.nodeName, { hostUsers: spec?.hostUsers, adds: addsOf(spec) }]);
    const few = { hostUsers: undefined, adds: [IN_HOST_NAMESPACE] };
    expect(Object.fromEntries(given)).toStrictEqual({
      [bed.vm1.name]: bed.software === 'newest' ? { hostUsers: false, adds: [IN_USER_NAMESPACE] } : few,
      [bed.vm2.name]: few,
    });
  });
});

test('a Dockerfile in the Module becomes a module that is loaded, compiled for the kernel of its node', async () => {
  expect(await untilBuiltOn(scenario.bed.vm2)).not.toHaveProperty('commit');
});

test('so does one in a Git repository, and status has the commit', async () => {
  expect(await untilBuiltOn(scenario.bed.vm1)).toMatchObject({ commit });
});

/** What the containers of a pod add to no capability at all, each way once. */
function addsOf(spec: Pod['spec']): readonly unknown[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const adds = containers.map(({ securityContext }) => JSON.stringify(securityContext?.['capabilities']));
  return [...new Set(adds)].map((capabilities) => JSON.parse(capabilities).add);
}

/** The build that the node's module is of, once that is loaded. */
async function untilBuiltOn(node: RealNode) {
  const { status } = await scenario.untilLoaded();
  const release = await kernelRelease(node);
  expect(await isLoaded(node)).toBe(true);
  expect(await linesOf(node)).toEqual([
    expect.stringContaining(`kmm_hello: loaded, made for ${release}, greets kubernetes`),
  ]);
  const build = status?.kernels?.find(({ kernelVersion }) => kernelVersion === release)?.build;
  expect(build).toMatchObject({ phase: 'Pushed', attempts: 1 });
  expect(build?.image).toMatch(new RegExp(`^${REPOSITORY}@sha256:[0-9a-f]{64}$`));
  const { spec } = await scenario.loaderOn(node);
  expect(spec?.containers[0]?.image).toBe(build?.image);
  return build;
}
