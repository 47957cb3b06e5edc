import { afterEach, describe, expect, it } from 'vitest';
import { CONFIG_MAPS } from '../../src/kube/core.ts';
import { countByVerbAndResource, matching } from '../harness/audit.ts';
import { BuildPods } from '../harness/build-pods.ts';
import { eventually } from '../harness/eventually.ts';
import { aModule, nodesOf } from '../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../harness/operated-cluster.ts';
import { OPERATOR_USER } from '../harness/operator.ts';
import { unusedRights } from '../harness/rights.ts';

const KERNELS = ['6.1.0-50-cloud-amd64', '6.1.0-56-cloud-amd64', '6.12.1', '5.4.0-1054-gke'];

// As an older or more careful cluster is: lists are not streamed, and who sets an owner reference that blocks must be allowed to.
import { PATIENT_LEASE } from './lease.ts';

const kmm = useOperatedCluster('operator-faults', {
  controlPlane: {
    apiServerArgs: ['feature-gates=WatchList=false', 'enable-admission-plugins=OwnerReferencesPermissionEnforcement'],
  },
});

/** An API server that has just started refuses everybody until it has read the roles: RFC 3339. */
let apiServerAway = { from: '', to: '' };

/** Uids and container IDs of every pod of the Module: what must stay the same. */
async function running(ref: ModuleRef): Promise<readonly string[]> {
  const pods = [...(await kmm.pods(ref, 'module-loader')), ...(await kmm.pods(ref, 'device-plugin'))];
  return pods
    .map(({ metadata, status }) => `${metadata.uid} ${status?.containerStatuses?.[0]?.containerID}`)
    .toSorted();
}

async function settledModule(name: string): Promise<ModuleRef> {
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes(name, nodesOf(name), ...KERNELS);
  const ref = await kmm.apply(aModule(name).inNamespace(namespace).withDevicePlugin());
  await eventually(
    async () =>
      expect((await kmm.module(ref)).status).toMatchObject({ loaded: '4/4', devicePlugin: { availableNumber: 4 } }),
    { what: 'everything to be loaded' },
  );
  await kmm.untilIdle();
  return ref;
}

describe('nothing is written and no pod is replaced', () => {
  it.each([
    ['a restart of the operator', async () => void (await kmm.operator.stop())],
    ['its being killed', () => kmm.operator.kill()],
  ])('by %s', async (what, end) => {
    const ref = await settledModule(`restart-${what.includes('killed') ? 'killed' : 'stopped'}`);
    const before = await running(ref);
    const mark = await kmm.controlPlane.auditMark();
    await end();
    await kmm.startOperator();
    await kmm.untilIdle();
    expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(new Map());
    expect(await running(ref)).toEqual(before);
  });

  it('by a restart of the API server: every cache is right again, and work goes on', async () => {
    await kmm.operator.stop();
    await kmm.startOperator(PATIENT_LEASE);
    const ref = await settledModule('api-restart');
    const before = await running(ref);
    const mark = await kmm.controlPlane.auditMark();
    const from = new Date().toISOString();
    await kmm.controlPlane.restartApiServer();
    // The operator acts again on what happens after the restart: then its watches are back.
    await kmm.edit(ref, { upgradePolicy: { maxUnavailable: 2 } });
    await kmm.untilCondition(ref, { type: 'Ready', status: 'True' });
    await kmm.untilIdle();
    apiServerAway = { from, to: new Date().toISOString() };
    expect(await running(ref)).toEqual(before);
    const written = await kmm.operatorWrites(mark);
    // The edit changes the plugin's rolling update and the generation in status; nothing else is due.
    expect([...countByVerbAndResource(written).keys()].toSorted()).toEqual([
      'patch modules/status',
      'update daemonsets',
    ]);
    await kmm.operator.stop();
    await kmm.startOperator();
  });

  it('by a change of leader', async () => {
    const ref = await settledModule('leaders');
    const before = await running(ref);
    const first = kmm.operator;
    await kmm.startOperator();
    const mark = await kmm.controlPlane.auditMark();
    expect(await first.stop()).toBe(0);
    await eventually(
      async () => expect(await kmm.operator.metric('leader_election_master_status{name="kmm.sigs.x-k8s.io"}')).toBe(1),
      { what: 'the other operator to lead' },
    );
    await kmm.untilIdle();
    expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(new Map());
    expect(await running(ref)).toEqual(before);
  });
});

describe('an operator that was frozen while another took over', () => {
  it('writes nothing more, and ends', async () => {
    const ref = await settledModule('frozen');
    const frozen = kmm.operator;
    frozen.pause();
    // It wakes up to work that has been done by another meanwhile.
    await kmm.startOperator();
    await kmm.edit(ref, { kernelMappings: [{ regexp: '.', containerImage: 'registry.test/kmod:thawed' }] });
    await eventually(
      async () => {
        const pods = await kmm.pods(ref, 'module-loader');
        expect(pods.map(({ spec }) => spec?.containers[0]?.image)).toEqual(Array(4).fill('registry.test/kmod:thawed'));
      },
      { what: 'the other operator to do the work', timeoutMs: 60_000 },
    );
    await kmm.untilLoaded(ref, 4);
    await kmm.untilIdle();
    const mark = await kmm.controlPlane.auditMark();
    frozen.resume();
    expect(await frozen.exited).toBe(1);
    expect((await frozen.log()).at(-1)?.level).toBe('fatal');
    expect(countByVerbAndResource(await kmm.operatorWrites(mark))).toEqual(new Map());
  });
});

describe('an operator that is killed again and again while it works', () => {
  it('finishes the work, and never has two loaders on a node', async () => {
    const namespace = await kmm.cluster.freshNamespace();
    await kmm.addNodes('hammered', nodesOf('hammered'), ...KERNELS, ...KERNELS);
    const ref = await kmm.apply(aModule('hammered').inNamespace(namespace).withDevicePlugin());
    for (const [round, image] of ['1', '2', '3'].entries()) {
      await kmm.edit(ref, { kernelMappings: [{ regexp: '.', containerImage: `registry.test/kmod:${image}` }] });
      // Killed when it has written another few times: each round at another point.
      const mark = await kmm.controlPlane.auditMark();
      await eventually(async () => expect((await kmm.operatorWrites(mark)).length).toBeGreaterThan(2 * round), {
        what: 'a few writes',
        intervalMs: 5,
      });
      await kmm.operator.kill();
      const perNode = new Map<string, number>();
      for (const { spec, metadata } of await kmm.pods(ref, 'module-loader')) {
        // One that the scheduler has not placed yet is on no node.
        const on = spec?.nodeName;
        if (on === undefined || metadata.deletionTimestamp !== undefined) continue;
        perNode.set(on, (perNode.get(on) ?? 0) + 1);
      }
      expect([...perNode.values()].every((count) => count === 1)).toBe(true);
      await kmm.startOperator();
    }
    await eventually(
      async () => {
        const pods = await kmm.pods(ref, 'module-loader');
        expect(new Set(pods.map(({ spec }) => spec?.containers[0]?.image))).toEqual(new Set(['registry.test/kmod:3']));
        expect((await kmm.module(ref)).status).toMatchObject({ loaded: '8/8', devicePlugin: { availableNumber: 8 } });
      },
      { what: 'the last image everywhere', timeoutMs: 60_000 },
    );
    await kmm.deleteModule(ref);
    await kmm.untilGone(ref);
  });
});

describe('the rights of the operator', () => {
  it('were never exceeded, and each of them was used', async () => {
    // What nothing above has done yet: a DaemonSet whose kernel has gone is looked at before it is removed.
    const namespace = await kmm.cluster.freshNamespace();
    const [node] = await kmm.addNodes('rights', nodesOf('rights'), '6.1.0');
    expect.assert(node !== undefined);
    const ref = await kmm.apply(aModule('rights').inNamespace(namespace));
    await kmm.untilLoaded(ref, 1);
    await kmm.cluster.nodes.reboot(node, { kernel: '6.2.0' });
    await eventually(
      async () =>
        expect(
          (await kmm.daemonSets(ref)).map(
            ({ metadata }) => metadata.annotations?.['kmm.node.kubernetes.io/kernel-version'],
          ),
        ).toEqual(['6.2.0']),
      { what: 'the DaemonSet of the old kernel to be removed' },
    );
    // And one whose image is built, from a ConfigMap.
    await kmm.cluster.admin.create(CONFIG_MAPS, {
      metadata: { name: 'recipe', namespace },
      data: { dockerfile: 'FROM scratch' },
    });
    const build = { dockerfileConfigMap: { name: 'recipe' } };
    const built = await kmm.apply(
      aModule('rights-build')
        .inNamespace(namespace)
        .withSelector(nodesOf('rights'))
        .withMapping({ regexp: '.', containerImage: 'registry.test/kmod:built', build }),
    );
    await new BuildPods(kmm.cluster.admin).next(built);
    const ours = (await kmm.controlPlane.auditEvents()).filter(({ user }) => user === OPERATOR_USER);
    const { from, to } = apiServerAway;
    expect(ours.filter(({ code, at }) => (code === 401 || code === 403) && !(from < at && at < to))).toEqual([]);
    const granted = await kmm.controlPlane.kubectl(['get', 'clusterrole/kmm', '-o', 'json']);
    expect(unusedRights(JSON.parse(granted).rules, ours)).toEqual(USED_OTHERWISE);
    expect(matching(ours, { resource: 'secrets' })).toEqual([]);
  });
});

/** Rights whose use no request of this file shows. */
const USED_OTHERWISE = [
  // An event that repeats is counted after five minutes: event-recorder.test.ts moves the clock.
  'patch events',
  // No request of its own: the admission plugin that is on here asks for it when an owner reference is set.
  'update modules/finalizers',
];

describe('an operator with a mistake in its flags', () => {
  it('ends with 1 and one sentence a mistake', async () => {
    await expect(kmm.startOperator(['--status-intervall=5s', '--log-level=loud'])).rejects.toThrow(
      /the operator ended with 1: [^]*--status-intervall is not a known flag; did you mean --status-interval\.[^]*--log-level: "loud" is not one of/,
    );
  });
});

afterEach(async () => {
  // Whatever a test did to it, the next one finds an operator at work.
  if (kmm.operator.hasEnded) await kmm.startOperator();
});
