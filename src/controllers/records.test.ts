import { describe, expect, it } from 'vitest';
import type { Module } from '../api/module.ts';
import type { ContainerStatus, DaemonSet, Event, Node, Pod } from '../kube/core.ts';
import { kernelKeyOf, trimDaemonSet, trimModule, trimNode, trimPod, trimRefusal } from './records.ts';

const LOAD = 'kmm.node.kubernetes.io/ns.m.load';

const status: ContainerStatus = {
  name: 'module-loader',
  ready: true,
  restartCount: 0,
  containerID: 'containerd://1',
  imageID: 'registry.test/m@sha256:abc',
  state: { running: { startedAt: '2026-03-01T12:00:00Z' } },
};

const pod: Pod = {
  metadata: {
    name: 'm-1',
    namespace: 'ns',
    uid: 'pod-uid',
    resourceVersion: '7',
    creationTimestamp: '2026-03-01T11:59:00Z',
    labels: { 'kmm.node.kubernetes.io/module.name': 'm', 'kmm.node.kubernetes.io/role': 'module-loader', other: 'x' },
    annotations: { 'kmm.node.kubernetes.io/inputs': 'abc', noise: 'x' },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'm', uid: 'ds-uid', controller: true }],
  },
  spec: { nodeName: 'n1', nodeSelector: { [LOAD]: '5.4.0-amd64' }, containers: [{ name: 'module-loader' }] },
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [{ ...status, name: 'a-sidecar', containerID: 'containerd://side', ready: false }, status],
  },
};

/** The pod with its loader container in another state. */
function podWith(fields: Partial<ContainerStatus>): Pod {
  return { ...pod, status: { ...pod.status, containerStatuses: [{ ...status, ...fields }] } };
}

const instanceOf = (fields: Partial<ContainerStatus>, uid = 'pod-uid') =>
  trimPod({ ...podWith(fields), metadata: { ...pod.metadata, uid } }).container?.instance;

describe('a pod in the cache', () => {
  it('keeps what decisions read and nothing else', () => {
    expect(trimPod(pod)).toEqual({
      metadata: {
        name: 'm-1',
        namespace: 'ns',
        uid: 'pod-uid',
        resourceVersion: '7',
        creationTimestamp: '2026-03-01T11:59:00Z',
      },
      role: 'module-loader',
      moduleLabel: 'm',
      node: 'n1',
      kernelKey: '5.4.0-amd64',
      inputs: 'abc',
      phase: 'Running',
      ready: true,
      container: {
        instance: expect.stringMatching(/^[0-9a-f]{12}$/),
        running: true,
        startedAt: '2026-03-01T12:00:00Z',
        ready: true,
        restarts: 0,
        imageID: 'registry.test/m@sha256:abc',
      },
    });
  });

  it('says that it is being deleted', () => {
    const deletionTimestamp = '2026-03-01T12:02:00Z';
    expect(trimPod({ ...pod, metadata: { ...pod.metadata, deletionTimestamp } }).metadata).toMatchObject({
      deletionTimestamp,
    });
  });

  it('is Pending, not ready and without a container while nothing has been reported', () => {
    const { status: _none, ...fresh } = pod;
    expect(trimPod(fresh)).toMatchObject({ phase: 'Pending', ready: false });
    expect(trimPod(fresh)).not.toHaveProperty('container');
  });

  it('has no role of ours when its label says another', () => {
    const labels = { 'kmm.node.kubernetes.io/role': 'worker' };
    expect(trimPod({ ...pod, metadata: { ...pod.metadata, labels } })).toMatchObject({
      role: undefined,
      moduleLabel: '',
    });
  });

  it('is orphaned when no controller owns it', () => {
    expect(trimPod(pod)).not.toHaveProperty('orphaned');
    expect(trimPod({ ...pod, metadata: { ...pod.metadata, ownerReferences: [] } })).toMatchObject({ orphaned: true });
  });

  it('stands before it is scheduled for the node that its DaemonSet made it for', () => {
    const term = { matchFields: [{ key: 'metadata.name', values: ['n2'] }] };
    const affinity = {
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
    };
    expect(trimPod({ ...pod, spec: { containers: [], affinity } }).node).toBe('n2');
    expect(trimPod({ ...pod, spec: { containers: [], affinity, nodeName: 'n1' } }).node).toBe('n1');
  });

  it.each([
    ['has no affinity', []],
    ['names no field', [{}]],
    ['names another field', [{ matchFields: [{ key: 'metadata.uid', values: ['n2'] }] }]],
    ['names several nodes', [{ matchFields: [{ key: 'metadata.name', values: ['n2', 'n3'] }] }]],
  ])('stands for no node while unscheduled when it %s', (_what, nodeSelectorTerms) => {
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
    expect(trimPod({ ...pod, spec: { containers: [], affinity } }).node).toBe('');
  });
});

describe('the instance of a container', () => {
  it('is the same as long as the container is', () => {
    expect(instanceOf({ ready: false })).toBe(instanceOf({}));
    expect(instanceOf({ restartCount: 3 })).toBe(instanceOf({}));
  });

  it('changes with each start of the container', () => {
    expect(instanceOf({ containerID: 'containerd://2' })).not.toBe(instanceOf({}));
  });

  it('changes with the pod', () => {
    expect(instanceOf({}, 'another-pod')).not.toBe(instanceOf({}));
  });

  it('changes with the start time, or with the number of restarts, where the runtime reports no containerID', () => {
    const started = (startedAt: string) => instanceOf({ containerID: undefined, state: { running: { startedAt } } });
    expect(started('2026-03-01T12:00:00Z')).not.toBe(started('2026-03-01T12:01:00Z'));
    const restarted = (restartCount: number) => instanceOf({ containerID: undefined, state: {}, restartCount });
    expect(restarted(0)).not.toBe(restarted(1));
  });
});

describe('why a pod does not run', () => {
  it('is what its container waits for, in the words of the kubelet', () => {
    const waiting = podWith({ ready: false, state: { waiting: { reason: 'ErrImagePull', message: 'no such image' } } });
    expect(trimPod(waiting).container).toMatchObject({
      running: false,
      waiting: { reason: 'ErrImagePull', message: 'no such image' },
    });
  });

  it('is how the container ended, or how the one before it did', () => {
    const terminated = { exitCode: 3, reason: 'Error', message: ' insmod: cannot insert\n' };
    const expected = { exitCode: 3, reason: 'Error', message: 'insmod: cannot insert' };
    expect(trimPod(podWith({ state: { terminated } })).container).toMatchObject({
      running: false,
      terminated: expected,
    });
    expect(trimPod(podWith({ lastState: { terminated } })).container).toMatchObject({
      running: true,
      terminated: expected,
    });
  });

  it('keeps the end of a long last message, where the cause stands, and the beginning of a long wait', () => {
    const terminated = { exitCode: 1, message: `${'x'.repeat(4_000)}the cause` };
    const ended = trimPod(podWith({ state: { terminated } })).container?.terminated?.message ?? '';
    expect(ended).toHaveLength(512);
    expect(ended).toMatch(/the cause$/);
    const waiting = { reason: 'ErrImagePull', message: `the cause${'x'.repeat(4_000)}` };
    const words = trimPod(podWith({ state: { waiting } })).container?.waiting?.message ?? '';
    expect(words).toHaveLength(512);
    expect(words).toMatch(/^the cause/);
  });

  it("is the scheduler's sentence, or that of whoever failed the pod", () => {
    const unscheduled = { type: 'PodScheduled', status: 'False', message: '0/3 nodes are available' };
    expect(trimPod({ ...pod, status: { conditions: [unscheduled] } }).blocked).toBe('0/3 nodes are available');
    expect(trimPod({ ...pod, status: { phase: 'Failed', message: 'Evicted: disk' } }).blocked).toBe('Evicted: disk');
    expect(trimPod({ ...pod, status: { phase: 'Failed', reason: 'OutOfpods' } }).blocked).toBe('OutOfpods');
    expect(trimPod({ ...pod, status: { phase: 'Failed' } }).blocked).toBe('the pod failed');
    expect(trimPod(pod)).not.toHaveProperty('blocked');
  });
});

describe('the kernel key in a nodeSelector', () => {
  it.each<[Readonly<Record<string, string>> | undefined, string]>([
    [{ [LOAD]: 'key' }, 'key'],
    [{ 'kubernetes.io/os': 'linux', [LOAD]: 'key' }, 'key'],
    [{ 'kmm.node.kubernetes.io/ns.m.ready': '' }, ''],
    [{ 'example.com/ns.m.load': 'key' }, ''],
    [{}, ''],
    [undefined, ''],
  ])('of %j is %j', (nodeSelector, expected) => {
    expect(kernelKeyOf(nodeSelector)).toBe(expected);
  });
});

describe('a Node in the cache', () => {
  const node: Node = {
    metadata: {
      name: 'n1',
      uid: 'u',
      resourceVersion: '3',
      creationTimestamp: '2026-03-01T12:00:00Z',
      labels: { a: 'b' },
      annotations: { 'kmm.node.kubernetes.io/ns.m.loaded': 'boot=b,container=c', 'example.com/large': 'x' },
    },
    spec: { taints: [{ key: 't', effect: 'NoSchedule' }], unschedulable: true },
    status: {
      conditions: [
        { type: 'MemoryPressure', status: 'False' },
        { type: 'Ready', status: 'True', lastTransitionTime: '2026-03-01T12:00:00Z' },
      ],
      nodeInfo: { kernelVersion: '5.4.0', bootID: 'b', architecture: 'amd64' },
    },
  };

  it('keeps its labels, our annotations, its taints, kernel, boot and whether it is Ready, and nothing else', () => {
    const more = { ...node, status: { ...node.status, images: [{ names: ['x'], sizeBytes: 1 }] } };
    expect(trimNode(more)).toEqual({
      metadata: {
        name: 'n1',
        uid: 'u',
        resourceVersion: '3',
        labels: { a: 'b' },
        annotations: { 'kmm.node.kubernetes.io/ns.m.loaded': 'boot=b,container=c' },
      },
      spec: { taints: [{ key: 't', effect: 'NoSchedule' }] },
      status: {
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-03-01T12:00:00Z' }],
        nodeInfo: { kernelVersion: '5.4.0', bootID: 'b', architecture: 'amd64' },
      },
    });
  });

  it('can be one that was just registered', () => {
    expect(trimNode({ metadata: { name: 'n1', uid: 'u', resourceVersion: '1' } })).toEqual({
      metadata: { name: 'n1', uid: 'u', resourceVersion: '1', labels: {} },
      status: { conditions: [] },
    });
  });

  it('says that it is being deleted', () => {
    const deletionTimestamp = '2026-03-01T12:02:00Z';
    expect(trimNode({ ...node, metadata: { ...node.metadata, deletionTimestamp } }).metadata).toMatchObject({
      deletionTimestamp,
    });
  });
});

describe('a Module in the cache', () => {
  it('keeps its spec and status whole, without the bookkeeping of its writers', () => {
    const module: Module = {
      apiVersion: 'kmm.sigs.x-k8s.io/v1beta1',
      kind: 'Module',
      metadata: {
        name: 'm',
        namespace: 'ns',
        uid: 'u',
        resourceVersion: '3',
        generation: 2,
        finalizers: ['f'],
        deletionTimestamp: '2026-03-01T12:02:00Z',
        annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      },
      spec: { selector: {}, moduleLoader: {} },
      status: { loaded: '1/1' },
    };
    const { annotations: _large, ...metadata } = module.metadata;
    expect(trimModule(module)).toEqual({ metadata, spec: module.spec, status: module.status });
  });
});

describe('a DaemonSet in the cache', () => {
  const daemonSet: DaemonSet = {
    metadata: {
      name: 'm-loader',
      namespace: 'ns',
      uid: 'u',
      resourceVersion: '3',
      generation: 2,
      labels: { 'kmm.node.kubernetes.io/module.name': 'm', 'kmm.node.kubernetes.io/role': 'module-loader' },
      annotations: { 'kmm.node.kubernetes.io/generation': '2' },
      finalizers: ['f'],
    },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: {
        metadata: { annotations: { 'kmm.node.kubernetes.io/inputs': 'abc' } },
        spec: { nodeSelector: { [LOAD]: 'key', 'kubernetes.io/os': 'linux' }, containers: [] },
      },
    },
    status: { observedGeneration: 1 },
  };

  it('keeps what identifies it and what its pods are placed by, without its template', () => {
    expect(trimDaemonSet(daemonSet)).toEqual({
      metadata: { ...daemonSet.metadata, ownerReferences: [], creationTimestamp: undefined },
      role: 'module-loader',
      moduleLabel: 'm',
      kernelKey: 'key',
      nodeSelectorKeys: [LOAD, 'kubernetes.io/os'],
      matchLabels: { a: 'b' },
      inputs: 'abc',
      observedGeneration: 1,
    });
  });

  it('has been observed by nobody before its controller reports', () => {
    const { status: _none, ...fresh } = daemonSet;
    expect(trimDaemonSet(fresh).observedGeneration).toBe(0);
  });
});

describe('a refusal of pods', () => {
  const event: Event = {
    metadata: { name: 'e', namespace: 'ns', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-03-01T12:00:00Z' },
    involvedObject: { kind: 'DaemonSet', uid: 'ds-uid' },
    message: 'Error creating: pods "m" is forbidden: violates PodSecurity',
  };

  it('keeps whose it is, the sentence and the time', () => {
    expect(trimRefusal({ ...event, lastTimestamp: '2026-03-01T12:05:00Z' })).toMatchObject({
      daemonSetUID: 'ds-uid',
      message: 'pods are forbidden: violates PodSecurity',
      at: '2026-03-01T12:05:00Z',
    });
    expect(trimRefusal({ ...event, lastTimestamp: null }).at).toBe('2026-03-01T12:00:00Z');
  });

  it('says the same sentence when the API server has combined several into one', () => {
    expect(trimRefusal({ ...event, message: `(combined from similar events): ${event.message}` }).message).toBe(
      trimRefusal(event).message,
    );
  });

  it('says the same sentence for another pod, and keeps words that it does not know', () => {
    expect(trimRefusal({ ...event, message: event.message?.replace('"m"', '"n"') }).message).toBe(
      trimRefusal(event).message,
    );
    expect(trimRefusal({ ...event, message: 'Error creating: etcd is full' }).message).toBe(
      'Error creating: etcd is full',
    );
  });
});
