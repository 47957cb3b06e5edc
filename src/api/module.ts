import type { KubeObject } from '../kube/objects.ts';
import { defineResource } from '../kube/resources.ts';
import { GROUP } from './labels.ts';
import type { ModuleSpecFields } from './module-schema.ts';
import type { ModuleStatusFields } from './status-schema.ts';

/** Objects out of caches are shared: nobody may change them in place. */
export type DeepReadonly<T> = T extends (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

export type ModuleSpec = DeepReadonly<ModuleSpecFields>;
export type ModuleStatus = DeepReadonly<ModuleStatusFields>;
export type KernelStatus = NonNullable<ModuleStatus['kernels']>[number];
export type BuildStatus = NonNullable<KernelStatus['build']>;
export type DaemonSetStatus = NonNullable<ModuleStatus['moduleLoader']>;

export interface Module extends KubeObject {
  readonly spec: ModuleSpec;
  readonly status?: ModuleStatus;
}

export const MODULES = defineResource<Module>({
  group: GROUP,
  version: 'v1beta1',
  kind: 'Module',
  plural: 'modules',
  namespaced: true,
});
