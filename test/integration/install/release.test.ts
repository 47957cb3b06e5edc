/**
 * The life of a release on the real API server, as the documents tell it: helm install, upgrade, rollback, uninstall, purge, and
 * kustomize. The operator runs as a process, with the flags and the ServiceAccount that its Deployment says. The tests follow one another.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';

import type { CustomResourceDefinition } from '../../../src/api/crd.ts';
import { MODULE_LOADER_ROLE } from '../../../src/api/labels.ts';
import type { ControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { CHART, deployedOperator, Helm, RELEASE } from '../../harness/helm.ts';
import { documentedOverlay, writeKustomization } from '../../harness/kustomization.ts';
import { aModule, nodesOf } from '../../harness/modules.ts';
import { type ModuleRef, useOperatedCluster } from '../../harness/operated-cluster.ts';
import { OPERATOR_NAMESPACE, type OperatorOptions } from '../../harness/operator.ts';
import { PROGRAM } from '../../harness/program.ts';
import { run } from '../../harness/run.ts';
import { TokenClient } from '../../harness/token-client.ts';

const KERNELS = ['6.1.0-50-cloud-amd64', '6.1.0-56-cloud-amd64', '6.12.1'];
const CRD = 'modules.kmm.sigs.x-k8s.io';
const IN_OPERATORS_NAMESPACE = ['--namespace', OPERATOR_NAMESPACE];

/** Until there has been a release, the previous one is this one under an older version and with other values. */
const PREVIOUS = '0.0.9';
const PREVIOUS_VALUES = ['--set', 'replicas=1,logLevel=debug,build.maxConcurrent=2'];

const kmm = useOperatedCluster('release', {
  install: async (controlPlane) => {
    const helm = await Helm.on(controlPlane);
    const previous = await helm.package(CHART, PREVIOUS);
    await helm.run('install', RELEASE, previous, ...IN_OPERATORS_NAMESPACE, '--create-namespace', ...PREVIOUS_VALUES);
    return deployedWhenServed(controlPlane);
  },
});

async function deployedWhenServed(controlPlane: ControlPlane): Promise<OperatorOptions> {
  await controlPlane.kubectl(['wait', '--for=condition=Established', `crd/${CRD}`, '--timeout=60s']);
  return deployedOperator(controlPlane);
}

async function helm(...args: readonly string[]): Promise<string> {
  return (await Helm.on(kmm.controlPlane)).run(...args, ...IN_OPERATORS_NAMESPACE);
}

/** Uids, container IDs and restarts of the loaders: what an upgrade of the operator must leave as it is. */
async function loaders(ref: ModuleRef): Promise<readonly string[]> {
  return (await kmm.pods(ref, MODULE_LOADER_ROLE))
    .map(({ metadata, status }) => {
      const [container] = status?.containerStatuses ?? [];
      return `${metadata.name} ${metadata.uid} ${container?.containerID} ${container?.restartCount}`;
    })
    .toSorted();
}

/** Stops the operator, changes the release, and starts the operator that the Deployment then tells of. */
async function replacedBy(change: () => Promise<unknown>): Promise<void> {
  await kmm.operator.stop();
  await change();
  await kmm.install(deployedOperator);
  await kmm.startOperator();
  await kmm.untilIdle();
}

/** Gives the chart in a folder of the cluster's, with a CRD that lacks `spec.tolerations` and `status.loaded`, as an older one might. */
async function chartWithOlderCrd(): Promise<string> {
  const folder = join(kmm.controlPlane.directory, 'older');
  await cp(CHART, folder, { recursive: true });
  const file = join(folder, 'files/modules-crd.yaml');
  const crd: CustomResourceDefinition = parse(await readFile(file, 'utf8'));
  const { spec, status } = crd.spec.versions[0]?.schema.openAPIV3Schema.properties ?? {};
  for (const [schema, field] of [[spec, 'tolerations'] as const, [status, 'loaded'] as const]) {
    if (schema?.properties?.[field] === undefined)
      throw new Error(`the CRD has no ${field} any more: take another field`);
    Reflect.deleteProperty(schema.properties, field);
  }
  await writeFile(file, stringify(crd, { aliasDuplicateObjects: false }));
  return folder;
}

const ref: ModuleRef = { name: 'live', namespace: 'drivers' };
let before: readonly string[] = [];

describe('a release of the chart', () => {
  it('is installed by one command, and its operator loads modules with the rights and flags it was given', async () => {
    await kmm.controlPlane.kubectl(['create', 'namespace', ref.namespace]);
    await kmm.addNodes('release', nodesOf(ref.name), ...KERNELS);
    await kmm.apply(aModule(ref.name).inNamespace(ref.namespace).withDevicePlugin());
    await kmm.untilLoaded(ref, KERNELS.length);
    before = await loaders(ref);
    expect(before).toHaveLength(KERNELS.length);
  });

  it('fits into its Secret many times over', async () => {
    const secrets = await kmm.controlPlane.kubectl(['get', 'secret', '-n', OPERATOR_NAMESPACE, '-o', 'json']);
    // An API server takes objects up to about 1 MB.
    expect(secrets.length).toBeLessThan(400_000);
  });

  it('has pods that the Pod Security level restricted lets through', async () => {
    const level = 'pod-security.kubernetes.io/enforce=restricted';
    await kmm.controlPlane.kubectl(['label', 'namespace', OPERATOR_NAMESPACE, level]);
    await kmm.controlPlane.kubectl(['delete', 'pods', '--all', '-n', OPERATOR_NAMESPACE, '--wait=false']);
    await eventually(
      async () => {
        const pods = await kmm.cluster.pods.list(OPERATOR_NAMESPACE, { 'app.kubernetes.io/component': 'manager' });
        expect(pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)).toHaveLength(1);
      },
      { what: 'the pod of the operator to be there again' },
    );
  });

  it('is upgraded with Modules live: the CRD stays served, no loader restarts and nothing is written (I2)', async () => {
    const mark = await kmm.controlPlane.auditMark();
    await replacedBy(() => helm('upgrade', RELEASE, CHART, '--reset-then-reuse-values'));
    expect(await loaders(ref)).toEqual(before);
    expect(await kmm.operatorWrites(mark)).toEqual([]);
    const { flags = [] } = await deployedOperator(kmm.controlPlane);
    expect(flags).toContain('--max-concurrent-builds=2');
    expect(await helm('list', '-o', 'json')).not.toContain(`"app_version":"${PREVIOUS}"`);
  });

  it('takes rights away that RBAC gives, with policies on, and its operator works on', async () => {
    const mark = await kmm.controlPlane.auditMark();
    const policies = 'admissionPolicy.enabled=true,metrics.authentication=true';
    const namespaces = `networkPolicy.modules.namespaces={${ref.namespace}}`;
    await replacedBy(() => helm('upgrade', RELEASE, CHART, '--reset-values', '--set', policies, '--set', namespaces));
    expect(await kmm.operatorWrites(mark)).toEqual([]);
    const { flags = [] } = await deployedOperator(kmm.controlPlane);
    expect(flags).toContain('--max-concurrent-builds=4');
    const names = await kmm.controlPlane.kubectl(['get', 'networkpolicies', '-n', ref.namespace, '-o', 'name']);
    expect(names).toContain('kmm-builds');
    const token = await TokenClient.of(kmm.controlPlane, OPERATOR_NAMESPACE, RELEASE);
    const taint = { spec: { taints: [{ key: 'stolen', value: 'token', effect: 'NoSchedule' }] } };
    // A policy counts a moment after it was made.
    await eventually(
      async () => {
        const { message } = await token.send('PATCH', '/api/v1/nodes/release-0?dryRun=All', taint);
        expect(message).toContain('the operator may not change the spec of a Node');
      },
      { what: 'the policy of nodes to count' },
    );
    await token.close();
    const second: ModuleRef = { name: 'under-policies', namespace: ref.namespace };
    await kmm.apply(aModule(second.name).inNamespace(second.namespace).withSelector(nodesOf(ref.name)));
    await kmm.untilLoaded(second, KERNELS.length);
    await kmm.deleteModule(second);
    await kmm.untilGone(second);
    expect(await loaders(ref)).toEqual(before);
  });

  // In virtual machines: after an upgrade both were on one node, which was turned off, and for five minutes there was no operator.
  it('has its replicas on two nodes after an upgrade, also where both had been on one', async () => {
    const kubectl = (...words: readonly string[]) => kmm.controlPlane.kubectl(words);
    const manager = { 'app.kubernetes.io/component': 'manager' };
    const nodesOfReplicas = async (): Promise<readonly string[]> => {
      await kubectl('rollout', 'status', `deployment/${RELEASE}`, ...IN_OPERATORS_NAMESPACE, '--timeout=120s');
      const pods = await kmm.cluster.pods.list(OPERATOR_NAMESPACE, manager);
      const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      return staying.map(({ spec }) => spec?.nodeName ?? '').toSorted();
    };
    await kubectl('cordon', 'release-1', 'release-2');
    await kubectl('delete', 'pods', '--all', ...IN_OPERATORS_NAMESPACE);
    expect(await nodesOfReplicas()).toEqual(['release-0', 'release-0']);
    await kubectl('uncordon', 'release-1');
    await helm('upgrade', RELEASE, CHART, '--reset-then-reuse-values', '--set', 'podAnnotations.edition=two');
    expect(await nodesOfReplicas()).toEqual(['release-0', 'release-1']);
    await kubectl('uncordon', 'release-2');
  });

  it('is rolled back with Modules live, and back come the values it had', async () => {
    const mark = await kmm.controlPlane.auditMark();
    await replacedBy(() => helm('rollback', RELEASE, '1'));
    expect(await loaders(ref)).toEqual(before);
    expect(await kmm.operatorWrites(mark)).toEqual([]);
    const { flags = [] } = await deployedOperator(kmm.controlPlane);
    expect(flags).toContain('--max-concurrent-builds=2');
    expect(await helm('list', '-o', 'json')).toContain(`"app_version":"${PREVIOUS}"`);
  });

  it('leaves Modules, loaders and the CRD when it is uninstalled, and says that the CRD is kept', async () => {
    await kmm.operator.stop();
    expect(await helm('uninstall', RELEASE)).toContain(`[CustomResourceDefinition] ${CRD}`);
    expect(await loaders(ref)).toEqual(before);
    expect((await kmm.module(ref)).status?.loaded).toBe(`${KERNELS.length}/${KERNELS.length}`);
    const left = await kmm.controlPlane.kubectl(['get', 'deployments,serviceaccounts', '-n', OPERATOR_NAMESPACE]);
    expect(left).not.toContain(RELEASE);
  });

  it('takes up its Modules again when it is installed again', async () => {
    const mark = await kmm.controlPlane.auditMark();
    await kmm.install(async (controlPlane) => {
      await helm('install', RELEASE, CHART);
      return deployedOperator(controlPlane);
    });
    await kmm.startOperator();
    await kmm.untilIdle();
    expect(await loaders(ref)).toEqual(before);
    expect(await kmm.operatorWrites(mark)).toEqual([]);
    await kmm.operator.stop();
    await helm('uninstall', RELEASE);
  });

  it('is removed for good by the second command: every module is unloaded', async () => {
    const kubeconfig = `--kubeconfig=${kmm.controlPlane.kubeconfig}`;
    const args = [PROGRAM, 'purge', kubeconfig, `--namespace=${OPERATOR_NAMESPACE}`, '--yes'];
    // A Lease that was given up is free at once.
    const purged = await run(process.execPath, args);
    expect(purged).toMatchObject({ code: 0, stderr: '' });
    await kmm.controlPlane.kubectl(['delete', 'crd', CRD]);
    expect(await loaders(ref)).toEqual([]);
    expect(await kmm.marks(ref, 'release-0')).toEqual({});
  });
});

describe('an operator whose CRD is older than itself', () => {
  it('is not ready and says what is missing and what to run, and is ready without a restart once it is upgraded', async () => {
    await helm('install', RELEASE, await chartWithOlderCrd());
    await kmm.install(deployedWhenServed);
    const operator = await kmm.spawnOperator();
    await eventually(async () => expect(await operator.readyz()).toContain('is older than this operator'), {
      what: 'the operator to say that the CRD is older',
    });
    expect(await operator.readyz()).toContain('it has no spec.tolerations, status.loaded, and');
    expect(await operator.readyz()).toContain('Run `helm upgrade` with the chart of release');
    expect(await operator.log()).toContainEqual(
      expect.objectContaining({ level: 'warn', problem: expect.stringContaining('spec.tolerations') }),
    );

    await helm('upgrade', RELEASE, CHART);
    await operator.waitUntilReady();
    await kmm.apply(aModule('later').inNamespace(ref.namespace).withSelector(nodesOf(ref.name)));
    await kmm.untilLoaded({ ...ref, name: 'later' }, KERNELS.length);
    await kmm.deleteModule({ ...ref, name: 'later' });
    await kmm.untilGone({ ...ref, name: 'later' });
    await operator.stop();
    await helm('uninstall', RELEASE);
  });
});

describe('kustomize', () => {
  const kustomized: ModuleRef = { ...ref, name: 'kustomized' };
  let overlay: string;

  it('installs the same by one command, with the overlay that the page has', async () => {
    overlay = join(kmm.controlPlane.directory, 'my-kmm');
    await writeKustomization(overlay, { ...(await documentedOverlay()), resources: ['default'] });
    // Of the release above; on a cluster without one the command needs no force.
    await kmm.controlPlane.kubectl(['delete', 'crd', CRD]);
    await kmm.controlPlane.kubectl(['apply', '--server-side', '-k', overlay]);
    await kmm.install(deployedWhenServed);
    await kmm.startOperator();
    await kmm.apply(aModule(kustomized.name).inNamespace(ref.namespace).withSelector(nodesOf(ref.name)));
    await kmm.untilLoaded(kustomized, KERNELS.length);
    before = await loaders(kustomized);
    const deployment = ['get', 'deployment/kmm', ...IN_OPERATORS_NAMESPACE, '-o', 'yaml'];
    const { image, args } = parse(await kmm.controlPlane.kubectl(deployment)).spec.template.spec.containers[0];
    expect(image).toMatch(/^registry\.example\.com\/kmm\/kmm-operator:/);
    expect(args.at(-1)).toMatch(/^--builder-image=registry\.example\.com\//);
  });

  it('upgrades by the same command with Modules live: no loader restarts and nothing is written', async () => {
    const mark = await kmm.controlPlane.auditMark();
    await replacedBy(() => kmm.controlPlane.kubectl(['apply', '--server-side', '-k', overlay]));
    expect(await loaders(kustomized)).toEqual(before);
    expect(await kmm.operatorWrites(mark)).toEqual([]);
  });

  it('hands over to helm, with Modules live', async () => {
    const mark = await kmm.controlPlane.auditMark();
    await replacedBy(() => helm('install', RELEASE, CHART, '--take-ownership', '--force-conflicts'));
    expect(await loaders(kustomized)).toEqual(before);
    expect(await kmm.operatorWrites(mark)).toEqual([]);
    await kmm.operator.stop();
    await helm('uninstall', RELEASE);
  });

  it('removes everything that it installed by one command, once the Modules are gone', async () => {
    await kmm.controlPlane.kubectl(['apply', '--server-side', '--force-conflicts', '-k', overlay]);
    await kmm.install(deployedWhenServed);
    await kmm.startOperator();
    await kmm.deleteModule(kustomized);
    await kmm.untilGone(kustomized);
    await kmm.operator.stop();
    await kmm.controlPlane.kubectl(['delete', '-k', overlay]);
    const kinds = 'crd,clusterroles,clusterrolebindings,namespaces';
    expect(await kmm.controlPlane.kubectl(['get', kinds, '-o', 'name'])).not.toMatch(/kmm/);
  });
});
