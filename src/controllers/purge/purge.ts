import { FINALIZER, MODULE_NAME_LABEL, ROLE_LABEL } from '../../api/labels.ts';
import { MODULES, type Module } from '../../api/module.ts';
import type { KubeClient, ObjectRef } from '../../kube/client.ts';
import { DAEMONSETS, LEASES, type Lease, NODES, PODS } from '../../kube/core.ts';
import { isNotFound } from '../../kube/errors.ts';
import { listPages, type Selection } from '../../kube/list-pages.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { refOf } from '../../kube/paths.ts';
import type { Resource } from '../../kube/resources.ts';
import { type Clock, sleep } from '../../runtime/clock.ts';
import { holderOf, leaseMsOf } from '../../runtime/lease.ts';
import { type PurgeStep, type PurgeWorld, planPurge } from './plan.ts';

/** How often pods that are stopping are looked at. */
const LOOK_MS = 500;

/** Reads all that an operator can have left behind; a cluster whose CRD is gone has no Modules. */
export async function readPurgeWorld(client: KubeClient, signal: AbortSignal): Promise<PurgeWorld> {
  // KMM 2.x puts the first two on its objects too; the last is ours.
  const labelSelector = `${MODULE_NAME_LABEL},${ROLE_LABEL},app.kubernetes.io/managed-by=kmm`;
  return {
    modules: await listAll(client, MODULES, {}, signal).catch(ifNotServed),
    daemonSets: await listAll(client, DAEMONSETS, { labelSelector }, signal),
    pods: await listAll(client, PODS, { labelSelector }, signal),
    nodes: await listAll(client, NODES, {}, signal),
  };
}

/**
 * Takes everything of ours off the cluster and returns when it is off. It can be ended at any point and run again.
 *
 * @param tell called before each step, and each time that what is waited for has changed
 */
export async function purge(
  client: KubeClient,
  clock: Clock,
  tell: (step: PurgeStep) => void,
  signal: AbortSignal,
): Promise<void> {
  let told = '';
  for (;;) {
    signal.throwIfAborted();
    const step = planPurge(await readPurgeWorld(client, signal));
    const gist = step.kind === 'wait-for-pods' ? `${step.role} ${step.pods.length}` : '';
    if (step.kind !== 'wait-for-pods' || gist !== told) tell(step);
    told = gist;
    if (step.kind === 'done') return;
    await carryOut(client, step, signal);
    if (step.kind === 'wait-for-pods') await sleep(clock, LOOK_MS, signal);
  }
}

/** The process that holds the operator's Lease now; undefined when nobody does. Purging beside it would be a fight. */
export async function runningOperator(
  client: KubeClient,
  lease: Required<ObjectRef>,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  let found: Lease;
  try {
    found = await client.get(LEASES, lease, { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  const renewedAt = Date.parse(found.spec?.renewTime ?? '');
  const isCurrent = renewedAt + (leaseMsOf(found) ?? 0) > clock.now();
  return isCurrent ? holderOf(found) : undefined;
}

async function carryOut(client: KubeClient, step: PurgeStep, signal: AbortSignal): Promise<void> {
  switch (step.kind) {
    case 'delete-modules':
      await Promise.all(step.modules.map((module) => remove(client, MODULES, module, signal)));
      return;
    case 'delete-daemonsets':
      await Promise.all(step.daemonSets.map((daemonSet) => remove(client, DAEMONSETS, daemonSet, signal)));
      return;
    case 'delete-pods':
      await Promise.all(step.pods.map((pod) => remove(client, PODS, pod, signal)));
      return;
    case 'clear-nodes':
      await Promise.all(
        [...step.patches].map(([node, patch]) =>
          unlessGone(
            client.patch(
              NODES,
              refOf(node),
              { type: 'merge', body: { metadata: { uid: node.metadata.uid, ...patch } } },
              { signal },
            ),
          ),
        ),
      );
      return;
    case 'release-modules':
      await Promise.all(step.modules.map((module) => release(client, module, signal)));
      return;
    case 'wait-for-pods':
    case 'done':
  }
}

async function remove<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  const { uid } = object.metadata;
  await unlessGone(
    client.delete(resource, refOf(object), { preconditions: { uid }, propagationPolicy: 'Background', signal }),
  );
}

async function release(client: KubeClient, module: Module, signal: AbortSignal): Promise<void> {
  const { uid, resourceVersion } = module.metadata;
  const finalizers = (module.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  const body = { metadata: { uid, resourceVersion, finalizers } };
  await unlessGone(client.patch(MODULES, refOf(module), { type: 'merge', body }, { signal }));
}

async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function listAll<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  selection: Selection,
  signal: AbortSignal,
): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const { items } of listPages(client, resource, selection, signal)) all.push(...items);
  return all;
}

function ifNotServed(error: unknown): readonly never[] {
  if (isNotFound(error)) return [];
  throw error;
}
