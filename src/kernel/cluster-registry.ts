import { splitImageReference } from './image-reference.ts';

/** The ConfigMap, beside the operator, through which the registry makes its certificate authority known, and its key. */
export const AUTHORITY_CONFIG_MAP = 'kmm-registry-ca';
export const AUTHORITY_KEY = 'ca.crt';
/** What a token is for that pushes to the registry; one for the API server, say, is good for nothing there. */
export const REGISTRY_AUDIENCE = 'kmm-registry';

/** A registry that serves the cluster: images whose reference nobody wrote are there. It may go by two names. */
export interface ClusterRegistry {
  /** `host[:port]` from which nodes pull; what stands in a Module's status and in pods. */
  readonly pullHost: string;
  /** `host[:port]` that build pods look in, push to and pull from. */
  readonly pushHost: string;
}

/** The image of a mapping that names none: one repository a Module, below its namespace, and one tag a kernel. */
export function defaultImageTemplate(pullHost: string): string {
  return `${pullHost}/\${MOD_NAMESPACE}/\${MOD_NAME}:\${KERNEL_FULL_VERSION}`;
}

export function isInRegistry({ pullHost, pushHost }: ClusterRegistry, reference: string): boolean {
  return reference.startsWith(`${pullHost}/`) || reference.startsWith(`${pushHost}/`);
}

/** A reference to the registry as builds know it; any other stays. */
export function asPushed({ pullHost, pushHost }: ClusterRegistry, reference: string): string {
  return reference.startsWith(`${pullHost}/`) ? `${pushHost}${reference.slice(pullHost.length)}` : reference;
}

/** A reference to the registry as nodes know it; any other stays. */
export function asPulled({ pullHost, pushHost }: ClusterRegistry, reference: string): string {
  return reference.startsWith(`${pushHost}/`) ? `${pullHost}${reference.slice(pushHost.length)}` : reference;
}

/**
 * Why a build of `namespace` could not push this reference, as a sentence without a full stop: of the registry, it may push what stands
 * below its namespace.
 */
export function pushProblem(registry: ClusterRegistry, reference: string, namespace: string): string | undefined {
  if (!isInRegistry(registry, reference)) return undefined;
  const { name } = splitImageReference(reference);
  const path = name.slice(name.indexOf('/') + 1);
  if (path.startsWith(`${namespace}/`)) return undefined;
  const host = name.slice(0, name.indexOf('/'));
  return `builds of this namespace push below ${host}/${namespace}/ only: write such a reference, or leave containerImage out`;
}
