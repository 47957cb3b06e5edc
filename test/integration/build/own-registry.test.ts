/**
 * From a Module that names no image to a loader that runs one, with no credentials of anybody's: the real operator, API server, pipeline,
 * buildah, and a real registry behind the real front.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';

import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { BuildKubelet } from '../../harness/build-kubelet.ts';
import { aRequest, BuildPod } from '../../harness/build-tools.ts';
import { eventually } from '../../harness/eventually.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import { freePorts } from '../../harness/ports.ts';
import {
  type AuthorityFile,
  installRegistryComponent,
  publishedAuthority,
  RegistryFront,
  registryToken,
} from '../../harness/registry-front.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';

const [frontPort = 0, nodePort = 0] = await freePorts(2);
const PUSH_HOST = `localhost:${frontPort}`;
const PULL_HOST = `127.0.0.1:${nodePort}`;
const kmm = useOperatedCluster('own-registry', {
  flags: [`--registry-pull-host=${PULL_HOST}`, `--registry-push-host=${PUSH_HOST}`, '--build-retry-backoff=1s'],
});
let registry: RegistryServer;
let front: RegistryFront;
let node: RegistryFront;
let authority: AuthorityFile;
let kubelet: BuildKubelet;
let kernel: string;

beforeAll(async () => {
  ({ kernel } = await buildFixtures());
  registry = await startRegistry();
  await pushBaseImage(registry.host, 'elsewhere/base:1');
  kubelet = new BuildKubelet(kmm.cluster.admin);
  kubelet.start();
});
afterAll(async () => {
  await kubelet.stop();
  await node?.down();
  await front?.down();
  await registry.stop();
  await authority?.remove();
});

/** Its base is in the registry too, under the name that nodes have for it. */
const dockerfile = [
  `FROM ${PULL_HOST}/elsewhere/base:1`,
  'ARG KERNEL_FULL_VERSION',
  'RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/',
].join('\n');

async function withoutSecrets(namespace: string): Promise<void> {
  const secrets = await kmm.controlPlane.kubectl(['get', 'secrets', '-n', namespace, '-o', 'name']);
  expect(secrets).toBe('');
}

it('a Module without containerImage waits for the registry, says so, and is built, pushed and loaded when there is one', async () => {
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes('own', nodesOf('own'), kernel);
  const ref = await kmm.apply(
    aModule('own').inNamespace(namespace).withMapping({ regexp: '-amd64$', build: { dockerfile } }),
  );
  await kmm.untilCondition(ref, {
    type: 'Ready',
    status: 'False',
    reason: 'WaitingForImage',
    message: expect.stringContaining('ConfigMap kmm-registry-ca'),
  });
  await installRegistryComponent(kmm.controlPlane);
  front = await RegistryFront.start(kmm.controlPlane, registry.host, frontPort);
  authority = await publishedAuthority(kmm.controlPlane);
  node = await RegistryFront.startNode(front.host, authority.path, nodePort);

  await eventually(
    async () => expect((await kmm.module(ref)).status?.kernels?.[0]?.build).toMatchObject({ phase: 'Pushed' }),
    { what: 'the image to be pushed', timeoutMs: 90_000 },
  );
  const module = await kmm.untilLoaded(ref, 1);
  const build = module.status?.kernels?.[0]?.build;
  const repository = `${PULL_HOST}/${namespace}/own`;
  expect(build).toMatchObject({ phase: 'Pushed', reference: `${repository}:${kernel}` });
  expect(build?.image).toMatch(new RegExp(`^${repository}@sha256:`));
  const loader = await kmm.untilLoaderOn(ref, 'own-0');
  expect(loader.spec?.containers[0]?.image).toBe(build?.image);
  // What the kubelet asks for is there, by the way that a node has.
  const digest = build?.image?.slice(build.image.indexOf('@') + 1);
  const answer = await fetch(`http://${node.host}/v2/${namespace}/own/manifests/${digest}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  expect(answer.status).toBe(200);
  await withoutSecrets(namespace);

  // The image goes, as with an emptyDir, and a node that needs it finds out: a later second than the push's, as the API tells times in seconds.
  const pushedAt = Date.parse(build?.since ?? '');
  await eventually(() => expect(Date.now()).toBeGreaterThan(pushedAt + 1_000), {
    what: 'the second of the push to end',
  });
  await kmm.cluster.pods.delete(loader);
  const next = await kmm.untilLoaderOn(ref, 'own-0', ({ metadata }) => metadata.uid !== loader.metadata.uid);
  await kmm.cluster.pods.failPull(
    next,
    `Back-off pulling image "${build?.image}": ErrImagePull: ${build?.image}: not found`,
  );
  await eventually(
    async () =>
      expect((await kmm.module(ref)).status?.kernels?.[0]?.build).toMatchObject({ phase: 'Pushed', attempts: 2 }),
    { what: 'the image to be made again', timeoutMs: 90_000 },
  );
}, 300_000);

it('a front that is started anew in the middle of an upload fails a build that is tried again, with the new certificate', async () => {
  const namespace = await kmm.cluster.freshNamespace();
  const token = await registryToken(kmm.controlPlane, namespace);
  await authority.refresh();
  const image = `${PUSH_HOST}/${namespace}/big:1`;
  const request = aRequest(image, kernel, {
    source: { kind: 'inline', dockerfile: `${dockerfile}\nRUN head -c 50000000 /dev/urandom > /opt/random` },
    pull: { insecure: false, insecureSkipTLSVerify: false },
    push: { insecure: false, insecureSkipTLSVerify: false },
    clusterRegistry: { pull: PULL_HOST, push: PUSH_HOST },
  });
  const pod = await BuildPod.create(request, {
    clusterRegistryCA: await authority.text(),
    clusterRegistryToken: token,
  });
  try {
    const running = pod.run();
    await eventually(() => expect(front.log).toMatch(new RegExp(`"path":"/v2/${namespace}/big/blobs/uploads/"`)), {
      what: 'the upload to begin',
      timeoutMs: 60_000,
      intervalMs: 2,
    });
    await front.down();
    await front.up();
    const first = await running;
    expect(first.report).toMatchObject({ result: 'failed', step: 'push', cause: 'infrastructure' });
    const second = await pod.run();
    // It knows the old certificate only: that is no fault of the user's.
    expect(second.report).toMatchObject({
      result: 'failed',
      cause: 'infrastructure',
      message: expect.stringContaining('newer authority than this build knows (x509)'),
    });
    await authority.refresh();
    await pod.mount(request, { clusterRegistryCA: await authority.text(), clusterRegistryToken: token });
    const third = await pod.run();
    expect(third.report).toMatchObject({ result: 'built', reference: image });
    expect(`${first.log}${second.log}${third.log}`).not.toContain(token.split('.')[2]);
  } finally {
    await pod.remove();
  }
}, 300_000);

it('a mapping that names an image of another namespace there is an error that says where it may be', async () => {
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes('foreign', nodesOf('foreign'), kernel);
  const containerImage = `${PULL_HOST}/elsewhere/base:2`;
  const ref = await kmm.apply(
    aModule('foreign').inNamespace(namespace).withMapping({ literal: kernel, containerImage, build: { dockerfile } }),
  );
  await kmm.untilCondition(ref, {
    type: 'Degraded',
    status: 'True',
    message: expect.stringContaining(`push below ${PULL_HOST}/${namespace}/ only`),
  });
});
