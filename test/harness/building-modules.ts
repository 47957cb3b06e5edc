/** Modules that build for one kernel, whichever engine builds, and what status says of the build. */
import { expect } from 'vitest';
import type { Module } from '../../src/api/module.ts';
import { eventually } from './eventually.ts';
import { aModule, type Mapping, nodesOf } from './modules.ts';
import type { ModuleRef, OperatedCluster } from './operated-cluster.ts';

type BuildStatus = NonNullable<NonNullable<Module['status']>['kernels']>[number]['build'];

export interface BuildingModule {
  readonly name: string;
  readonly kernel: string;
  readonly mapping?: Partial<Mapping>;
  readonly pullSecret?: string;
}

/** Applies it in a namespace and on a node of its own. */
export async function applyBuilding(
  kmm: OperatedCluster,
  { name, kernel, mapping = {}, pullSecret }: BuildingModule,
): Promise<ModuleRef> {
  const namespace = await kmm.cluster.freshNamespace();
  await kmm.addNodes(name, nodesOf(name), kernel);
  const module = aModule(name)
    .inNamespace(namespace)
    .withMapping({
      literal: kernel,
      containerImage: 'registry.test/kmod:1',
      build: { dockerfile: 'FROM scratch\n' },
      ...mapping,
    });
  return kmm.apply(pullSecret === undefined ? module : module.withPullSecret(pullSecret));
}

/** Of its one kernel. */
export async function buildStatus(kmm: OperatedCluster, ref: ModuleRef): Promise<BuildStatus> {
  return (await kmm.module(ref)).status?.kernels?.[0]?.build;
}

export async function untilBuild(kmm: OperatedCluster, ref: ModuleRef, expected: object): Promise<void> {
  await eventually(async () => expect(await buildStatus(kmm, ref)).toMatchObject(expected), {
    what: `the build of ${ref.name} to be ${JSON.stringify(expected)}`,
  });
}
