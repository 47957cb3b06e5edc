/** What kube-controller-manager does: DaemonSets, garbage, nodes that are silent, pods that do not tolerate a taint. */
import { INPUTS_ANNOTATION } from '../../src/controllers/identity.ts';
import type { DaemonSet, Pod } from '../../src/kube/core.ts';
import { matchesLabels } from '../../src/kube/selectors.ts';
import { toleratesTaint } from '../../src/kube/taints.ts';
import type { SimulatedCluster } from './cluster.ts';
import { podRecord } from './records.ts';

export function daemonSetControllerActs(cluster: SimulatedCluster): void {
  for (const daemonSet of cluster.daemonSets.values()) syncDaemonSet(cluster, daemonSet);
}

/** Deletes the DaemonSets of a Module that is gone, the pods of DaemonSets that are gone, and those of nodes that are gone. */
export function garbageCollectorActs(cluster: SimulatedCluster): void {
  if (cluster.module === undefined) cluster.clearDaemonSets();
  const living = new Set([...cluster.daemonSets.values()].map(({ metadata }) => metadata.uid));
  for (const [uid, pod] of cluster.pods) {
    if (!cluster.nodes.has(pod.spec?.nodeName ?? '')) cluster.removePod(uid);
    else if (!pod.metadata.ownerReferences?.some((owner) => living.has(owner.uid))) cluster.terminate(pod);
  }
}

/** A machine that is down becomes NotReady some time; one that is up is Ready when its kubelet says so. */
export function nodeControllerActs(cluster: SimulatedCluster): void {
  for (const [name, { up }] of cluster.machines) if (!up) cluster.markNotReady(name);
}

/** Pods that a NoExecute taint of their node evicts. */
export function taintEvictionActs(cluster: SimulatedCluster): readonly Pod[] {
  const evicted = [...cluster.pods.values()].filter(({ metadata, spec }) => {
    const taints = cluster.nodes.get(spec?.nodeName ?? '')?.spec?.taints ?? [];
    return (
      metadata.deletionTimestamp === undefined &&
      taints.some(
        (taint) =>
          taint.effect === 'NoExecute' &&
          !(spec?.tolerations ?? []).some((toleration) => toleratesTaint(toleration, taint)),
      )
    );
  });
  for (const pod of evicted) cluster.terminate(pod);
  return evicted;
}

function syncDaemonSet(cluster: SimulatedCluster, daemonSet: DaemonSet): void {
  const { template, updateStrategy } = daemonSet.spec;
  const inputs = template.metadata?.annotations?.[INPUTS_ANNOTATION] ?? '';
  let desired = 0;
  let current = 0;
  let misscheduled = 0;
  let free = updateStrategy?.type === 'RollingUpdate' ? 1 : 0;
  for (const [name, node] of cluster.nodes) {
    const here = [...cluster.pods.values()].filter(
      ({ metadata, spec }) => spec?.nodeName === name && metadata.ownerReferences?.[0]?.uid === daemonSet.metadata.uid,
    );
    const wanted = matchesLabels(template.spec.nodeSelector ?? {}, node.metadata.labels ?? {});
    if (wanted) desired += 1;
    if (wanted && here.length > 0) current += 1;
    if (!wanted && here.length > 0) misscheduled += 1;
    if (wanted && here.length === 0) createPod(cluster, daemonSet, name);
    for (const pod of here) {
      if (!wanted) cluster.terminate(pod);
      else if (podRecord(pod).inputs !== inputs && free > 0) {
        free -= 1;
        cluster.terminate(pod);
      }
    }
  }
  cluster.setDaemonSetStatus(daemonSet, {
    observedGeneration: daemonSet.metadata.generation,
    desiredNumberScheduled: desired,
    currentNumberScheduled: current,
    numberMisscheduled: misscheduled,
  });
}

function createPod(cluster: SimulatedCluster, { metadata, spec }: DaemonSet, nodeName: string): void {
  if (cluster.refusesPods) {
    cluster.refuse(metadata.uid ?? '');
    return;
  }
  const uid = cluster.newID('pod');
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    controller: true,
  };
  cluster.addPod({
    metadata: {
      ...spec.template.metadata,
      name: `${metadata.name}-${uid}`,
      namespace: metadata.namespace,
      uid,
      ownerReferences: [owner],
    },
    spec: { ...spec.template.spec, nodeName },
  });
}
