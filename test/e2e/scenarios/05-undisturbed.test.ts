/** What happens to nodes and to the operator does not unload a module. The kernels themselves are the witnesses: see moduleEvents. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { MODULE_NAME_LABEL, ROLE_LABEL } from '../../../src/api/labels.ts';
import { MODULES } from '../../../src/api/module.ts';
import { LEASE_NAME } from '../../../src/commands/config.ts';
import { DAEMONSETS, LEASES, NODES, PODS } from '../../../src/kube/core.ts';
import { holds } from '../../harness/eventually.ts';
import { aModule } from '../../harness/modules.ts';
import { OPERATOR_NAMESPACE } from '../../harness/operator.ts';
import { Bed } from '../bed/bed.ts';
import { TOOLS_IMAGE } from '../bed/images.ts';
import type { BedOperator } from '../bed/operator.ts';
import { isLoaded } from '../guest.ts';
import { onNode } from '../hello/module.ts';
import type { RealNode } from '../real-node.ts';
import { useScenario } from '../scenario.ts';
import { MAINTENANCE_TAINT } from '../tested-cluster.ts';

const scenario = useScenario('undisturbed');

const LABEL = 'kmm-e2e.test/has-the-device';
const ABSENT = 'absent';
/** Long enough for an operator that is wrong to act: it hears of a change at once. */
const A_WHILE_MS = 10_000;

// The loaders are those of an earlier operator, as in a cluster that has been there for longer.
beforeAll(async () => {
  await upgradable()?.startEarlier();
  for (const node of scenario.cluster.nodes) await label(node, 'yes');
  await scenario.apply(scenario.hello().withSelector({ [LABEL]: 'yes' }));
  await scenario.untilLoaded();
});

afterAll(async () => {
  for (const node of scenario.cluster.nodes) await label(node, null);
});

test('an operator that is upgraded from an earlier commit, and renders now what that rendered otherwise, unloads nothing', async ({
  skip,
}) => {
  const operator = upgradable() ?? skip('it needs an operator of ours, and a history that reaches the earlier commit');
  const asEarlier = [undefined, undefined];
  expect(await preStops()).toEqual(asEarlier);
  await undisturbed(async () => {
    await leadershipChanges(() => operator.upgrade());
    await loadedFor(A_WHILE_MS);
  });
  expect(await preStops()).toEqual(asEarlier);
  // What is made from now on is as this checkout renders it.
  await scenario.cluster.admin.create(MODULES, aModuleWithoutImage());
  await scenario.eventually('a DaemonSet as the upgraded operator renders it', async () =>
    expect(await preStops(ABSENT)).toEqual([{ sleep: { seconds: 2 } }]),
  );
  await scenario.cluster.admin.delete(MODULES, { namespace: scenario.namespace, name: ABSENT });
});

test('a cordon unloads nothing', () =>
  undisturbed(async () => {
    await kubectl('cordon', disturbed().name);
    await loadedFor(A_WHILE_MS);
    await kubectl('uncordon', disturbed().name);
  }));

test('a drain of ordinary pods unloads nothing', () =>
  undisturbed(async () => {
    await startOrdinaryPod('drained');
    const ordinary = ['--ignore-daemonsets', '--delete-emptydir-data', '--force'];
    await kubectl('drain', disturbed().name, ...ordinary, '--grace-period=1', '--timeout=300s');
    await untilPodGone('drained');
    await loadedFor(A_WHILE_MS);
    await kubectl('uncordon', disturbed().name);
  }));

test('a NoExecute taint, which evicts other pods, unloads nothing', () =>
  undisturbed(async () => {
    await startOrdinaryPod('evicted');
    await kubectl('taint', 'node', disturbed().name, `${MAINTENANCE_TAINT}=now:NoExecute`);
    await untilPodGone('evicted');
    await loadedFor(A_WHILE_MS);
    await kubectl('taint', 'node', disturbed().name, `${MAINTENANCE_TAINT}-`);
  }));

test('a selector label that vanishes for a minute unloads nothing', () =>
  undisturbed(async () => {
    await label(disturbed(), null);
    await loadedFor(60_000);
    await label(disturbed(), 'yes');
  }));

test('a node that falls silent and comes back keeps its module', async ({ skip }) => {
  const bed = scenario.bedOr(skip);
  await undisturbed(async () => {
    const { bootID } = (await scenario.node(bed.vm1)).status?.nodeInfo ?? {};
    await bed.vm1.pause();
    try {
      await bed.untilUnreachable(bed.vm1);
      await holds(async () => expect((await scenario.marks(bed.vm1)).load).toBeDefined(), {
        what: 'the load label of the silent node',
        forMs: A_WHILE_MS,
        intervalMs: 1_000,
      });
    } finally {
      await bed.vm1.resume();
    }
    const node = await bed.untilReady(bed.vm1);
    expect(node.status?.nodeInfo?.bootID).toBe(bootID);
  });
});

test('an operator that is killed and started again unloads nothing, whatever it missed', async ({ skip }) => {
  const { operator, vm2 } = scenario.bedOr(skip);
  await undisturbed(async () => {
    await leadershipChanges(async () => {
      await operator.kill();
      await label(disturbed(), null);
      await kubectl('taint', 'node', vm2.name, `${MAINTENANCE_TAINT}=now:NoExecute`);
      await loadedFor(A_WHILE_MS);
      await operator.start();
    });
    await loadedFor(A_WHILE_MS);
    await label(disturbed(), 'yes');
    await kubectl('taint', 'node', vm2.name, `${MAINTENANCE_TAINT}-`);
  });
});

/** Holds that across `happens` no kernel loaded or unloaded the module, no loader was replaced, and all is well in the end. */
async function undisturbed(happens: () => Promise<void>): Promise<void> {
  const records = await scenario.kernelRecords();
  for (const events of Object.values(records)) expect(events.at(-1)).toBe('load');
  const loaders = await loaderContainers();
  await happens();
  // What comes of it may come late.
  await loadedFor(A_WHILE_MS / 2);
  await scenario.untilLoaded();
  expect(await scenario.kernelRecords()).toEqual(records);
  expect(await loaderContainers()).toEqual(loaders);
}

/** The operator of the bed, where there is one of an earlier commit too. */
function upgradable(): BedOperator | undefined {
  const { cluster } = scenario;
  return cluster instanceof Bed && cluster.operator.hasEarlier ? cluster.operator : undefined;
}

/** Of the loaders, as the DaemonSets of a Module have them; those of an earlier operator have none. */
async function preStops(module = scenario.ref.name): Promise<readonly unknown[]> {
  const labelSelector = `${MODULE_NAME_LABEL}=${module},${ROLE_LABEL}=module-loader`;
  const daemonSets = await scenario.cluster.admin.list(DAEMONSETS, { namespace: scenario.namespace, labelSelector });
  return daemonSets.map(({ spec }) => spec?.template.spec?.containers[0]?.lifecycle?.['preStop']);
}

/** Its image is nowhere, so it loads nothing beside what is tested. */
function aModuleWithoutImage() {
  return aModule(ABSENT)
    .inNamespace(scenario.namespace)
    .withSelector({ 'kubernetes.io/hostname': disturbed().name })
    .withMapping({ regexp: '.+', containerImage: scenario.image('absent:1') })
    .build();
}

/** Until another operator leads than before: one that only runs does nothing. */
async function leadershipChanges(happens: () => Promise<void>): Promise<void> {
  const before = await leader();
  expect(before).toBeTruthy();
  await happens();
  await scenario.eventually('another operator to lead', async () => {
    const now = await leader();
    expect(now).toBeTruthy();
    expect(now).not.toBe(before);
  });
}

async function leader(): Promise<string | undefined> {
  const { spec } = await scenario.cluster.admin.get(LEASES, { namespace: OPERATOR_NAMESPACE, name: LEASE_NAME });
  return spec?.holderIdentity;
}

async function loadedFor(forMs: number): Promise<void> {
  await holds(
    async () => {
      for (const node of scenario.cluster.nodes) expect(await isLoaded(node)).toBe(true);
    },
    { what: 'the module in the kernels of all nodes', forMs, intervalMs: 1_000 },
  );
}

async function loaderContainers(): Promise<readonly string[]> {
  const pods = await scenario.pods('module-loader');
  return pods.map(({ status }) => status?.containerStatuses?.[0]?.containerID ?? '').toSorted();
}

function kubectl(...args: readonly string[]): Promise<string> {
  return scenario.cluster.kubectl(args);
}

async function label({ name }: RealNode, value: string | null): Promise<void> {
  await scenario.cluster.admin.patch(NODES, { name }, { metadata: { labels: { [LABEL]: value } } });
}

/** The node that most of it happens to. */
function disturbed(): RealNode {
  const [node] = scenario.cluster.nodes;
  if (node === undefined) throw new Error('a cluster has nodes');
  return node;
}

/** One that tolerates nothing, on that node. */
async function startOrdinaryPod(name: string): Promise<void> {
  const container = { name: 'c', image: scenario.image(TOOLS_IMAGE), command: ['sleep', '3600'] };
  const spec = {
    affinity: onNode(disturbed().name),
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    containers: [container],
  };
  const metadata = { name, namespace: scenario.namespace };
  await scenario.cluster.kubectl(['create', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata, spec }),
  });
  await scenario.eventually(`pod ${name} to run`, async () => {
    const { status } = await scenario.cluster.admin.get(PODS, metadata);
    expect(status?.phase).toBe('Running');
  });
}

async function untilPodGone(name: string): Promise<void> {
  await scenario.eventually(`pod ${name} to be gone`, async () => {
    const names = (await scenario.pods()).map(({ metadata }) => metadata.name);
    expect(names).not.toContain(name);
  });
}
