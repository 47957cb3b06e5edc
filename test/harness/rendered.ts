/** Objects as a chart or a kustomization makes them, before any cluster has them. */
import { parseAllDocuments } from 'yaml';

import type { KubeObject } from '../../src/kube/objects.ts';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
}

/** apps/v1 Deployment or DaemonSet, the fields that tests read. */
export interface Workload extends KubeObject {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly Container[];
        readonly priorityClassName?: string;
        readonly securityContext: Readonly<Record<string, unknown>>;
      };
    };
  };
}

/** apps/v1 Deployment, the fields that tests read. */
export interface Deployment extends Workload {
  readonly spec: Workload['spec'] & {
    readonly replicas: number;
    readonly template: { readonly spec: { readonly serviceAccountName: string } };
  };
}

export function objectsIn(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const object: KubeObject | null = document.toJS();
    return object === null ? [] : [object];
  });
}

export function isWorkload(object: KubeObject): object is Workload {
  return object.kind === 'Deployment' || object.kind === 'DaemonSet';
}

/** The first, as helm and kustomize order them: the operator's. */
export function deploymentIn(objects: readonly KubeObject[]): Deployment {
  const isDeployment = (object: KubeObject): object is Deployment => object.kind === 'Deployment';
  const found = objects.find(isDeployment);
  if (found === undefined) throw new Error('there is no Deployment');
  return found;
}

/** Of the operator. */
export function flagsOf(objects: readonly KubeObject[]): readonly string[] {
  return (deploymentIn(objects).spec.template.spec.containers[0]?.args ?? []).slice(1);
}

/** `KIND NAMESPACE/NAME`, which no two objects of one cluster share. */
export function titleOf({ kind, metadata }: KubeObject): string {
  return `${kind} ${[metadata.namespace, metadata.name].join('/')}`;
}
