import type { KubeObject } from '../../src/kube/objects.ts';
import { defineResource } from '../../src/kube/resources.ts';

interface ResourceQuota extends KubeObject {
  readonly spec: { readonly hard: Readonly<Record<string, string>> };
}

export const QUOTAS = defineResource<ResourceQuota>({
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  namespaced: true,
});
