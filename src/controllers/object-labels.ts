import { type IMAGE_BUILD_ROLE, MODULE_NAME_LABEL, ROLE_LABEL, type Role } from '../api/labels.ts';
import { MODULES, type Module } from '../api/module.ts';
import { labelSafe } from '../kernel/names.ts';
import type { OwnerReference } from '../kube/objects.ts';
import { apiVersionOf } from '../kube/resources.ts';

/** What an object of ours is to its Module. */
type ObjectRole = Role | typeof IMAGE_BUILD_ROLE;

/** The labels by which an object of a Module is selected. A DaemonSet's selector is made of these, and a selector is for ever. */
export function selectingLabels(module: Module, role: ObjectRole): Record<string, string> {
  return { [MODULE_NAME_LABEL]: labelSafe(module.metadata.name ?? ''), [ROLE_LABEL]: role };
}

/** Source: Kubernetes docs, "Recommended Labels". */
export function recommendedLabels(module: Module, role: ObjectRole): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'kmm',
    'app.kubernetes.io/component': role,
    'app.kubernetes.io/instance': labelSafe(module.metadata.name ?? ''),
    'app.kubernetes.io/part-of': 'kmm',
    'app.kubernetes.io/managed-by': 'kmm',
  };
}

export function ownerReference(module: Module): OwnerReference {
  return {
    apiVersion: apiVersionOf(MODULES),
    kind: MODULES.kind,
    name: module.metadata.name ?? '',
    uid: module.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}
