/** Kubelets. What one reports of its node and of its pods are two steps, as their order is not given. */
import type { Pod } from '../../src/kube/core.ts';
import { type Machine, type SimulatedCluster, type SimulatedContainer, UNREACHABLE } from './cluster.ts';
import { podRecord } from './records.ts';

/** Part of the name of an image that cannot be pulled. */
export const BROKEN_IMAGE = 'broken';

/** How many kubelet steps a slow stop takes more. */
const SLOW_STEPS = 2;

export function bootID(node: string, boot: number): string {
  return `${node}-boot-${boot}`;
}

/** The kubelet of a machine creates its Node, where there is none. */
export function kubeletRegisters(cluster: SimulatedCluster, name: string): void {
  if (cluster.nodes.has(name)) return;
  cluster.addNode(name, { driver: 'a' });
  kubeletReportsNode(cluster, name);
}

export function kubeletReportsNode(cluster: SimulatedCluster, name: string): void {
  const machine = cluster.machines.get(name);
  if (machine === undefined || !cluster.nodes.has(name) || !machine.up) return;
  const nodeInfo = { kernelVersion: machine.kernel, bootID: bootID(name, machine.boot), architecture: 'amd64' };
  cluster.setNode(name, (node) => ({ ...node, status: { nodeInfo, conditions: [{ type: 'Ready', status: 'True' }] } }));
  cluster.setTaint(name, UNREACHABLE, false);
}

/** Stops what is to be stopped, starts what is to run, and reports; a start and its readiness are two steps. */
export function kubeletActs(cluster: SimulatedCluster, name: string): void {
  const machine = cluster.machines.get(name);
  if (machine === undefined || !machine.up || !cluster.nodes.has(name)) return;
  for (const [uid, pod] of cluster.pods) {
    if (pod.spec?.nodeName !== name) continue;
    if (pod.metadata.deletionTimestamp !== undefined) stop(cluster, uid);
    else advance(cluster, uid, pod, machine);
  }
}

function stop(cluster: SimulatedCluster, uid: string): void {
  const left = cluster.stopping.get(uid) ?? (cluster.slowStops ? SLOW_STEPS : 0);
  cluster.stopping.set(uid, left - 1);
  if (left <= 0) cluster.removePod(uid);
}

function advance(cluster: SimulatedCluster, uid: string, pod: Pod, { boot }: Machine): void {
  const { containers, nowMs } = cluster;
  const container = containers.get(uid);
  const image = pod.spec?.containers[0]?.image ?? '';
  if (image.includes(BROKEN_IMAGE)) return report(cluster, pod, undefined, 'ErrImagePull');
  if (container?.crashed === true && container.boot === boot && container.startedAtMs !== 0) {
    // A crash is seen once as such before the container is started again.
    containers.set(uid, { ...container, startedAtMs: 0 });
    return report(cluster, pod, container, 'CrashLoopBackOff');
  }
  if (container === undefined || container.crashed || container.boot !== boot) {
    const restarts = container === undefined ? 0 : container.restarts + 1;
    const started = { id: cluster.newID('c'), boot, ready: false, restarts, crashed: false, startedAtMs: nowMs };
    containers.set(uid, started);
    return report(cluster, pod, started, undefined, container?.crashed === true && container.boot === boot);
  }
  if (container.ready && tellsReady(pod, container.id)) return;
  const ready = container.ready ? container : { ...container, ready: true };
  containers.set(uid, ready);
  report(cluster, pod, ready, undefined, lastCrashed(pod));
}

function report(
  cluster: SimulatedCluster,
  pod: Pod,
  container: SimulatedContainer | undefined,
  waiting: string | undefined,
  crashedBefore = false,
): void {
  const terminated = { terminated: { exitCode: 1, reason: 'Error', message: 'crashed' } };
  const ready = waiting === undefined && container?.ready === true;
  cluster.putPod({
    ...pod,
    status: {
      phase: container === undefined ? 'Pending' : 'Running',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: [
        {
          name: podRecord(pod).role ?? '',
          ready,
          restartCount: container?.restarts ?? 0,
          ...(container === undefined ? {} : { containerID: container.id }),
          state:
            waiting === undefined
              ? { running: { startedAt: new Date(container?.startedAtMs ?? 0).toISOString() } }
              : { waiting: { reason: waiting } },
          ...(waiting === 'CrashLoopBackOff' || crashedBefore ? { lastState: terminated } : {}),
        },
      ],
    },
  });
}

function tellsReady({ status }: Pod, containerID: string): boolean {
  const told = status?.containerStatuses?.[0];
  return status?.conditions?.[0]?.status === 'True' && told?.ready === true && told.containerID === containerID;
}

function lastCrashed(pod: Pod): boolean {
  return pod.status?.containerStatuses?.[0]?.lastState?.terminated !== undefined;
}
