/** From an applied Module to a loader that runs the image: the real operator, API server, pipeline, buildah and registry. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { BuildKubelet } from '../../harness/build-kubelet.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { SECRETS } from '../../harness/secrets.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { testSecret } from '../../harness/test-secrets.ts';

const kmm = useOperatedCluster('in-cluster', { flags: ['--build-retry-backoff=10m'] });
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
