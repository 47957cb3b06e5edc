import { expect } from 'vitest';

import {
  DEVICE_PLUGIN_ROLE,
  IMAGE_BUILD_ROLE,
  MODULE_LOADER_ROLE,
  MODULE_NAME_LABEL,
  ROLE_LABEL,
} from '../../src/api/labels.ts';
import { MODULES } from '../../src/api/module.ts';
import { type CacheDigest, digestOf } from '../../src/controllers/cache-digest.ts';
import { DAEMONSETS, EVENTS, NODES, PODS } from '../../src/kube/core.ts';
import { eventually } from '../harness/eventually.ts';
import type { OperatedCluster } from '../harness/operated-cluster.ts';

/** Returns when the operator's caches hold what the API server has: of each kind the same objects, in the same versions. */
export async function untilCachesAreServed(kmm: OperatedCluster, operator = kmm.operator): Promise<void> {
  await eventually(async () => expect(await operator.cacheDigests()).toEqual(await servedDigests(kmm)), {
    what: 'caches to equal the server',
    timeoutMs: 120_000,
    intervalMs: 1_000,
  });
}

async function servedDigests({ cluster: { admin } }: OperatedCluster): Promise<Readonly<Record<string, CacheDigest>>> {
  const ofModules = {
    labelSelector: `${MODULE_NAME_LABEL},${ROLE_LABEL} in (${MODULE_LOADER_ROLE},${DEVICE_PLUGIN_ROLE})`,
  };
  const refusals = { fieldSelector: 'involvedObject.kind=DaemonSet,reason=FailedCreate' };
  return {
    modules: digestOf(await admin.list(MODULES)),
    nodes: digestOf(await admin.list(NODES)),
    daemonSets: digestOf(await admin.list(DAEMONSETS, ofModules)),
    pods: digestOf(await admin.list(PODS, ofModules)),
    buildPods: digestOf(await admin.list(PODS, { labelSelector: `${ROLE_LABEL}=${IMAGE_BUILD_ROLE}` })),
    refusals: digestOf(await admin.list(EVENTS, refusals)),
  };
}
