/** From an applied Module to a loader that runs the image: the real operator, API server, pipeline, buildah and registry. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CONFIG_MAPS } from '../../../src/kube/core.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { BuildKubelet } from '../../harness/build-kubelet.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { eventually } from '../../harness/eventually.ts';
import { makeRepository } from '../../harness/git-repositories.ts';
import { startGitServer } from '../../harness/git-server.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { SECRETS } from '../../harness/secrets.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { testSecret } from '../../harness/test-secrets.ts';

const kmm = useOperatedCluster('in-cluster', {
  flags: ['--build-retry-backoff=10m', '--builder-registries-conf=registries'],
});
const LOOSE = { insecure: true };
let registry: RegistryServer;
let kubelet: BuildKubelet;
let base: string;

beforeAll(async () => {
  registry = await startRegistry();
  base = await pushBaseImage(registry.host);
  kubelet = new BuildKubelet(kmm.cluster.admin);
  kubelet.start();
});
afterAll(async () => {
  await kubelet.stop();
  await registry.stop();
});

const dockerfile = (kernel: string): string => `FROM ${base}
ARG KERNEL_FULL_VERSION
RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/
RUN [ "$KERNEL_FULL_VERSION" = "${kernel}" ]
`;

it('a Module with a Dockerfile becomes an image in the registry, and nodes run it by the digest that the registry has', async () => {
  const { kernel } = await buildFixtures();
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes('real', nodesOf('real'), kernel);
  const ref = await kmm.apply(
    aModule('real')
      .inNamespace(namespace)
      .withMapping({
        regexp: '-amd64$',
        containerImage: `${registry.host}/real:1`,
        build: { dockerfile: dockerfile(kernel), pull: LOOSE, push: LOOSE },
      }),
  );
  const module = await kmm.untilLoaded(ref, 1);
  const build = module.status?.kernels?.[0]?.build;
  expect(build).toMatchObject({ phase: 'Pushed', attempts: 1 });
  const tag = build?.reference?.slice(build.reference.lastIndexOf(':') + 1);
  expect(tag).toContain(`1-${kernel}-amd64-`);
  const answer = await fetch(`http://${registry.host}/v2/real/manifests/${tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  expect(build?.image).toBe(`${registry.host}/real@${answer.headers.get('docker-content-digest')}`);
  const loader = await kmm.untilLoaderOn(ref, 'real-0');
  expect(loader.spec?.containers[0]?.image).toBe(build?.image);
  // Another kernel may come that the pattern matches too: the user's own tag is nobody's.
  expect((await fetch(`http://${registry.host}/v2/real/manifests/1`)).status).toBe(404);
});

it("an image without a module for the node's kernel is never pushed, and status says what verify found", async () => {
  const namespace = await kmm.cluster.freshNamespace();
  const other = '6.99.0-1-amd64';
  await kmm.addNodes('wrong', nodesOf('wrong'), other);
  const ref = await kmm.apply(
    aModule('wrong')
      .inNamespace(namespace)
      .withMapping({
        literal: other,
        containerImage: `${registry.host}/wrong:1`,
        build: { dockerfile: dockerfile(other), pull: LOOSE, push: LOOSE },
      }),
  );
  await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'BuildFailed' });
  await eventually(
    async () =>
      expect((await kmm.module(ref)).status?.kernels?.[0]?.build).toMatchObject({
        phase: 'Failed',
        message: expect.stringMatching(/^verify: .*6\.99\.0-1-amd64/),
      }),
    { what: 'the failure of verify' },
  );
  // Layers are kept for the next build, under tags that nobody runs.
  expect((await registry.tags('wrong')).filter((tag) => !/^[0-9a-f]{64}$/.test(tag))).toEqual([]);
  expect(await kmm.daemonSets(ref, 'module-loader')).toEqual([]);
});

it('a private Git repository is built with the Secret and the authority that the Module names, and status has the commit', async () => {
  const { kernel } = await buildFixtures();
  const namespace = await kmm.cluster.freshNamespace();
  const password = testSecret('git');
  const root = await realpath(await mkdtemp(join(tmpdir(), 'kmm-git-')));
  const commit = await makeRepository(root, 'driver.git', { 'src/Dockerfile': dockerfile(kernel) });
  const server = await startGitServer({ root, users: { alice: password }, tls: true });
  try {
    const { admin } = kmm.cluster;
    const stringData = { username: 'alice', password };
    await admin.create(SECRETS, { metadata: { name: 'git', namespace }, stringData });
    await admin.create(CONFIG_MAPS, { metadata: { name: 'git-ca', namespace }, data: { 'ca.crt': server.authority } });
    await kmm.addNodes('git', nodesOf('git'), kernel);
    const git = {
      url: `${server.url}/driver.git`,
      ref: 'main',
      contextDir: 'src',
      secret: { name: 'git' },
      caConfigMap: { name: 'git-ca' },
    };
    const containerImage = `${registry.host}/git:1`;
    const mapping = { literal: kernel, containerImage, build: { git, pull: LOOSE, push: LOOSE } };
    const ref = await kmm.apply(aModule('git').inNamespace(namespace).withMapping(mapping));
    const { status } = await kmm.untilLoaded(ref, 1);
    expect(status?.kernels?.[0]?.build).toMatchObject({ phase: 'Pushed', attempts: 1, commit });
  } finally {
    await server.stop();
    await rm(root, { recursive: true, force: true });
  }
});

it('a Dockerfile in a ConfigMap is built, from the mirror that the ConfigMap of registries names', async () => {
  const { kernel } = await buildFixtures();
  const namespace = await kmm.cluster.freshNamespace();
  const { admin } = kmm.cluster;
  const mirror = [
    '[[registry]]',
    'location = "upstream.invalid"',
    '[[registry.mirror]]',
    `location = "${registry.host}"`,
    'insecure = true',
  ].join('\n');
  await admin.create(CONFIG_MAPS, { metadata: { name: 'registries', namespace }, data: { 'registries.conf': mirror } });
  const text = dockerfile(kernel).replace(registry.host, 'upstream.invalid');
  await admin.create(CONFIG_MAPS, { metadata: { name: 'recipe', namespace }, data: { dockerfile: text } });
  await kmm.addNodes('mirrored', nodesOf('mirrored'), kernel);
  const containerImage = `${registry.host}/mirrored:1`;
  const build = { dockerfileConfigMap: { name: 'recipe' }, push: LOOSE };
  const ref = await kmm.apply(
    aModule('mirrored').inNamespace(namespace).withMapping({ literal: kernel, containerImage, build }),
  );
  await kmm.untilLoaded(ref, 1);
});

describe('a Module with Secrets for its registry, its build and its signature', () => {
  const user = { name: 'robot', password: testSecret('registry') };
  const license = testSecret('license');
  let locked: RegistryServer;
  beforeAll(async () => {
    locked = await startRegistry({ user });
  });
  afterAll(() => locked.stop());

  async function withSecrets(name: string, ...steps: readonly string[]) {
    const namespace = await kmm.cluster.freshNamespace();
    const keys = await makeSignKeys('Acme');
    const auth = Buffer.from(`${user.name}:${user.password}`).toString('base64');
    const secrets = {
      registry: { '.dockerconfigjson': JSON.stringify({ auths: { [locked.host]: { auth } } }) },
      license: { license },
      'sign-key': { key: keys.key },
      'sign-cert': { cert: keys.certificate },
    };
    for (const [secret, stringData] of Object.entries(secrets)) {
      await kmm.cluster.admin.create(SECRETS, {
        metadata: { name: secret, namespace },
        ...(secret === 'registry' ? { type: 'kubernetes.io/dockerconfigjson' } : {}),
        stringData,
      });
    }
    const { kernel } = await buildFixtures();
    await kmm.addNodes(name, nodesOf(name), kernel);
    const text = [dockerfile(kernel).trim(), ...steps].join('\n');
    return kmm.apply(
      aModule(name)
        .inNamespace(namespace)
        .withPullSecret('registry')
        .withMapping({
          literal: kernel,
          containerImage: `${locked.host}/${name}:1`,
          build: { dockerfile: text, secrets: [{ name: 'license' }], pull: LOOSE, push: LOOSE },
          sign: { keySecret: { name: 'sign-key' }, certSecret: { name: 'sign-cert' } },
        }),
    );
  }

  it('has its image built with them, signed and pushed', async () => {
    const ref = await withSecrets('secrets', 'RUN cat /run/secrets/license/license');
    await eventually(
      async () => {
        const build = (await kmm.module(ref)).status?.kernels?.[0]?.build;
        expect(build).toMatchObject({ phase: 'Pushed', attempts: 1 });
      },
      { what: 'the image to be pushed', timeoutMs: 80_000 },
    );
    await kmm.untilLoaded(ref, 1);
  });

  it('tells what a build printed that fails, without the secret', async () => {
    // Of a step that fails at once, buildah may lose what it printed.
    const ref = await withSecrets('printed', 'RUN echo "license: $(cat /run/secrets/license/license)"', 'RUN exit 3');
    await kmm.untilCondition(ref, { type: 'Degraded', status: 'True', reason: 'BuildFailed' });
    const [pod] = await new BuildPods(kmm.cluster.admin).list({ name: 'printed' });
    const told = JSON.stringify(pod?.status);
    expect(told).toContain('license: ***');
    for (const text of [told, JSON.stringify(await kmm.module(ref))]) expect(text).not.toContain(license);
  });
});
