/**
 * Every label, annotation and finalizer name of ours, in one place: they are what users select on and what an uninstall looks for.
 */
import { shortHash } from '../kernel/names.ts';

/** API group of our own kinds. */
export const GROUP = 'kmm.sigs.x-k8s.io';

/** Begins every label, annotation and finalizer that we put on objects. */
export const GROUP_PREFIX = 'kmm.node.kubernetes.io/';

/** On Nodes: the running kernel release, made label-safe. For people and their selectors; nothing of ours reads it. */
export const KERNEL_LABEL = `${GROUP_PREFIX}kernel-version.full`;

/** On objects of ours: the Module's name, made label-safe. */
export const MODULE_NAME_LABEL = `${GROUP_PREFIX}module.name`;

/** On objects of ours: what they are to the Module. */
export const ROLE_LABEL = `${GROUP_PREFIX}role`;

export const MODULE_LOADER_ROLE = 'module-loader';
export const DEVICE_PLUGIN_ROLE = 'device-plugin';
export type Role = typeof MODULE_LOADER_ROLE | typeof DEVICE_PLUGIN_ROLE;

/** The role of a pod that builds an image; it is no loader and no plugin, and nothing of a node depends on it. */
export const IMAGE_BUILD_ROLE = 'image-build';

/** On namespaces, with the value `allowed`: where the optional admission policy lets the operator make pods. */
export const MODULES_ALLOWED_LABEL = `${GROUP}/modules`;

/** On Modules: keeps one from vanishing before it is unloaded. */
export const FINALIZER = `${GROUP_PREFIX}module-finalizer`;

export interface ModuleName {
  readonly namespace: string;
  readonly name: string;
}

/** Node label: the kernel key whose loader may run on the node. */
export function loadLabel(module: ModuleName): string {
  return nodeKey(module, 'load');
}

/** Node label: the module is in the kernel of this boot. */
export function readyLabel(module: ModuleName): string {
  return nodeKey(module, 'ready');
}

/** Node annotation: the boot, and the start of the loader container, in which the module was seen loaded. */
export function loadedAnnotation(module: ModuleName): string {
  return nodeKey(module, 'loaded');
}

/**
 * The namespace of the Module that a key of these three is of; of a key whose namespace was shortened, something that is no namespace's
 * name (it has an underscore).
 */
export function namespaceOfKey(key: string): string {
  const [namespace = ''] = key.slice(GROUP_PREFIX.length).split('.', 1);
  return namespace;
}

/** The part of a label's key after the slash. Source: k8s.io/apimachinery/pkg/util/validation, IsQualifiedName. */
const LONGEST_NAME_PART = 63;

/**
 * `<prefix>/<namespace>.<name>.<suffix>`; where that does not fit, the front of it and a hash of the whole.
 *
 * Two Modules never share a key. A namespace holds no dot, so its end is known. The hash follows an underscore, which stands in no
 * namespace and no Module name, so nobody can name a Module after the shortened key of another.
 */
function nodeKey({ namespace, name }: ModuleName, suffix: 'load' | 'ready' | 'loaded'): string {
  const whole = `${namespace}.${name}`;
  const room = LONGEST_NAME_PART - suffix.length - 1;
  if (whole.length <= room) return `${GROUP_PREFIX}${whole}.${suffix}`;
  const hash = `_${shortHash(`${namespace}/${name}`)}`;
  return `${GROUP_PREFIX}${whole.slice(0, room - hash.length)}${hash}.${suffix}`;
}
