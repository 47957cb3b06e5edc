import { expect, test } from 'vitest';

import { isReady } from '../../../src/kube/conditions.ts';
import { DAEMONSETS, PODS, type Pod } from '../../../src/kube/core.ts';
import { useCluster } from '../../harness/cluster.ts';
import { eventually, holds } from '../../harness/eventually.ts';
import { containersOf } from '../../harness/pods.ts';
import { CRASH_MESSAGE } from '../../harness/stages.ts';

const { admin, nodes, pods, freshNamespace } = await useCluster();

async function daemonSet(
  namespace: string,
  name: string,
  selector: Record<string, string>,
  image = 'example.com/kmod:v1',
) {
  const labels = { app: name };
  await admin.create(DAEMONSETS, {
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: labels },
      updateStrategy: { type: 'OnDelete' },
      template: {
        metadata: { labels },
        spec: { nodeSelector: selector, tolerations: [{ operator: 'Exists' }], containers: [{ name: 'c', image }] },
      },
    },
  });
}

function podOn(namespace: string, node: string): Promise<Pod> {
  return eventually(
    async () => {
      const [pod] = (await pods.list(namespace)).filter((pod) => pod.spec?.nodeName === node);
      if (pod?.status?.containerStatuses === undefined) throw new Error(`status ${JSON.stringify(pod?.status)}`);
      return pod;
    },
    { what: `a pod with a status on ${node}` },
  );
}

test('a pod on a simulated node runs with a container ID, an image digest and a start time', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'run-a', kernel: '6.1.0', labels: { run: '' } });
  await daemonSet(namespace, 'ds', { run: '' });
  const pod = await podOn(namespace, 'run-a');
  expect(pod.status?.phase).toBe('Running');
  expect(isReady(pod)).toBe(true);
  const [container] = containersOf(pod);
  expect(container?.containerID).toMatch(/^containerd:\/\/[0-9a-f]{64}$/);
  expect(container?.imageID).toMatch(/^example.com\/kmod@sha256:[0-9a-f]{64}$/);
  expect(container?.state?.running?.startedAt).toBeDefined();
});

test('a reboot gives the node another bootID and kernel, and its containers another ID and one more restart', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'reboot-a', kernel: '6.1.0', labels: { reboot: '' } });
  await daemonSet(namespace, 'ds', { reboot: '' });
  const before = await podOn(namespace, 'reboot-a');
  const nodeBefore = await nodes.get('reboot-a');

  await nodes.reboot('reboot-a', { kernel: '6.2.0' });

  const node = await nodes.get('reboot-a');
  expect(node.status?.nodeInfo?.kernelVersion).toBe('6.2.0');
  expect(node.status?.nodeInfo?.architecture).toBe('amd64');
  expect(node.status?.nodeInfo?.bootID).not.toBe(nodeBefore.status?.nodeInfo?.bootID);
  expect(node.status?.conditions).toHaveLength(5);
  const after = await pods.get(before);
  expect(isReady(after)).toBe(true);
  expect(containersOf(after)[0]?.restartCount).toBe(1);
  expect(containersOf(after)[0]?.containerID).not.toBe(containersOf(before)[0]?.containerID);
});

test('what a test writes into a pod stays: failures, readiness, restarts', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'drive-a', kernel: '6.1.0', labels: { drive: '' } });
  await daemonSet(namespace, 'ds', { drive: '' });
  const pod = await podOn(namespace, 'drive-a');

  await pods.failContainer(pod, { exitCode: 3, message: 'no such device' });
  await holds(
    async () => {
      expect(containersOf(await pods.get(pod))[0]?.state?.terminated?.message).toBe('no such device');
    },
    { what: 'the failure', forMs: 500 },
  );
  await pods.restart(pod);
  expect(isReady(await pods.get(pod))).toBe(true);
  await pods.setReady(pod, false);
  const blip = await pods.get(pod);
  expect(isReady(blip)).toBe(false);
  expect(containersOf(blip)[0]?.state?.running).toBeDefined();
});

test('the Ready condition that the node controller took from a pod whose containers are ready is given back, and no other', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'taken-a', kernel: '6.1.0', labels: { taken: '' } });
  await nodes.create({ name: 'taken-b', kernel: '6.1.0', labels: { taken: '' } });
  await daemonSet(namespace, 'ds', { taken: '' });
  const [taken, failed] = [await podOn(namespace, 'taken-a'), await podOn(namespace, 'taken-b')];
  // As MarkPodsNotReady does it.
  const status = { conditions: [{ type: 'Ready', status: 'False' }] };
  const { name = '' } = taken.metadata;
  await admin.patch(PODS, { namespace, name }, { status }, { type: 'strategic', subresource: 'status' });
  await pods.failContainer(failed, { exitCode: 1 });
  expect(isReady(await pods.get(taken))).toBe(false);
  await pods.reconcileReady(namespace);
  expect([isReady(await pods.get(taken)), isReady(await pods.get(failed))]).toEqual([true, false]);
});

test.each([
  ['sim-pull-fails', { phase: 'Pending', waiting: 'ImagePullBackOff' }],
  ['sim-crash', { phase: 'Running', waiting: 'CrashLoopBackOff', message: CRASH_MESSAGE }],
  ['sim-never-ready', { phase: 'Running', waiting: undefined }],
])('a node named %s shows its pods in that state', async (behaviour, expected) => {
  const namespace = await freshNamespace();
  const name = `${behaviour}-a`;
  await nodes.create({ name, kernel: '6.1.0', labels: { [behaviour]: '' } });
  await daemonSet(namespace, 'ds', { [behaviour]: '' });
  const pod = await podOn(namespace, name);
  const [container] = containersOf(pod);
  expect(isReady(pod)).toBe(false);
  expect(pod.status?.phase).toBe(expected.phase);
  expect(container?.state?.waiting?.reason).toBe(expected.waiting);
  expect(container?.lastState?.terminated?.message).toBe('message' in expected ? expected.message : undefined);
});

test('a deletion that is held lasts until it is released', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'hold-a', kernel: '6.1.0', labels: { hold: '' } });
  await daemonSet(namespace, 'ds', { hold: '' });
  const pod = await podOn(namespace, 'hold-a');
  await pods.holdDeletion(pod);
  await pods.delete(pod);
  await holds(
    async () => {
      expect((await pods.get(pod)).metadata.deletionTimestamp).toBeDefined();
    },
    { what: 'the deletion', forMs: 1_000 },
  );
  await pods.releaseDeletion(pod);
  await expect(eventuallyGone(pod)).resolves.toBeUndefined();
});

test('on a node whose kubelet is stopped no pod starts or ends, until it is started again', async () => {
  const namespace = await freshNamespace();
  await nodes.create({ name: 'dead-a', kernel: '6.1.0', labels: { dead: '' } });
  await daemonSet(namespace, 'ds', { dead: '' });
  const pod = await podOn(namespace, 'dead-a');
  await nodes.stopKubelet('dead-a');
  await nodes.setReady('dead-a', 'Unknown');
  await pods.delete(pod);
  await holds(
    async () => {
      expect((await pods.get(pod)).metadata.deletionTimestamp).toBeDefined();
      const ready = (await nodes.get('dead-a')).status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready?.status).toBe('Unknown');
    },
    { what: 'the stopped kubelet', forMs: 1_500 },
  );
  await nodes.startKubelet('dead-a');
  await nodes.setReady('dead-a', true);
  await eventuallyGone(pod);
});

test('a node set NotReady stays so', async () => {
  await nodes.create({ name: 'notready-a', kernel: '6.1.0' });
  await nodes.setReady('notready-a', false);
  await holds(
    async () => {
      const ready = (await nodes.get('notready-a')).status?.conditions?.find(({ type }) => type === 'Ready');
      expect(ready?.status).toBe('False');
    },
    { what: 'NotReady', forMs: 1_000 },
  );
});

async function eventuallyGone(pod: Pod): Promise<void> {
  await eventually(
    async () => {
      const left = await pods.list(pod.metadata.namespace ?? '');
      if (left.some((other) => other.metadata.uid === pod.metadata.uid)) throw new Error('it is there');
    },
    { what: `the end of pod ${pod.metadata.name}` },
  );
}
