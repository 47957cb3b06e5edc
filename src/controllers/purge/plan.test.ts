import { describe, expect, it } from 'vitest';
import { aModule } from '../../../test/harness/modules.ts';
import { aNode, stored } from '../../../test/harness/plan-world.ts';
import { FINALIZER, ROLE_LABEL } from '../../api/labels.ts';
import type { DaemonSet, Pod } from '../../kube/core.ts';
import { type PurgeWorld, planPurge } from './plan.ts';

const EMPTY: PurgeWorld = { modules: [], daemonSets: [], pods: [], nodes: [] };
const node = aNode('n1').running('5.4.0');
const dead = aNode('dead').running('5.4.0').notReady();
const controller = [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'd', controller: true }];

const module = stored(aModule('m'));
const deleted = {
  ...module,
  metadata: { ...module.metadata, deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [FINALIZER] },
};

const daemonSet = (role: string): DaemonSet => ({
  metadata: { name: role, labels: { [ROLE_LABEL]: role } },
  spec: { selector: { matchLabels: {} }, template: { spec: { containers: [] } } },
});

const pod = (
  role: string,
  nodeName: string,
  ownerReferences: Pod['metadata']['ownerReferences'] = controller,
): Pod => ({
  metadata: { name: `${role}-${nodeName}`, labels: { [ROLE_LABEL]: role }, ownerReferences },
  spec: { nodeName, containers: [] },
});

describe('the next step of a purge', () => {
  const nodes = [node.build(), dead.build()];

  it('is to delete Modules, then plugins, then loaders, each waited for', () => {
    const loaders = [daemonSet('module-loader')];
    const all = { ...EMPTY, nodes, modules: [module], daemonSets: [...loaders, daemonSet('device-plugin')] };
    expect(planPurge(all)).toMatchObject({ kind: 'delete-modules' });
    const begun = { ...all, modules: [deleted] };
    expect(planPurge(begun)).toMatchObject({ kind: 'delete-daemonsets', role: 'device-plugin' });
    const plugins = { ...begun, daemonSets: loaders, pods: [pod('device-plugin', 'n1')] };
    expect(planPurge(plugins)).toMatchObject({ kind: 'wait-for-pods', role: 'device-plugin' });
    expect(planPurge({ ...plugins, pods: [] })).toMatchObject({ kind: 'delete-daemonsets', role: 'module-loader' });
  });

  it('does not wait for a pod on a node that is dead or gone', () => {
    const pods = [pod('module-loader', 'dead'), pod('module-loader', 'gone')];
    expect(planPurge({ ...EMPTY, nodes, pods })).toEqual({ kind: 'done' });
  });

  it('deletes pods that no DaemonSet has any more', () => {
    const pods = [pod('module-loader', 'n1', [])];
    expect(planPurge({ ...EMPTY, nodes, pods })).toEqual({ kind: 'delete-pods', pods });
  });

  it('takes labels off nodes before it releases the Modules, and leaves what is not ours', () => {
    const marked = node.withLabel('kmm.node.kubernetes.io/ns.m.ready').withLabel('example.com/mine').build();
    const step = planPurge({ ...EMPTY, modules: [deleted], nodes: [marked] });
    expect.assert(step.kind === 'clear-nodes');
    expect([...step.patches.values()]).toEqual([
      { labels: { 'kmm.node.kubernetes.io/ns.m.ready': null }, annotations: {} },
    ]);
    expect(planPurge({ ...EMPTY, modules: [deleted], nodes })).toEqual({ kind: 'release-modules', modules: [deleted] });
    expect(planPurge({ ...EMPTY, nodes })).toEqual({ kind: 'done' });
  });
});
