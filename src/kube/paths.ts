import type { KubeObject } from './objects.ts';
import type { Resource } from './resources.ts';

/** Which object; `namespace` for kinds that live in one. */
export interface ObjectRef {
  readonly name: string;
  readonly namespace?: string;
}

/** Where an object is, for the verbs of the client. */
export function refOf({ metadata }: Pick<KubeObject, 'metadata'>): ObjectRef {
  return { name: metadata.name ?? '', ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) };
}

type AnyResource = Resource<KubeObject>;

/**
 * The URL path of one object, or of a subresource of it.
 * @throws TypeError for a name or namespace that is no path segment, or a namespace too many or missing.
 */
export function objectPath(resource: AnyResource, ref: ObjectRef, subresource?: string): string {
  if (resource.namespaced && ref.namespace === undefined) {
    throw new TypeError(`${resource.kind} ${JSON.stringify(ref.name)} is given without its namespace`);
  }
  const path = `${collectionPath(resource, ref.namespace)}/${segment(resource, 'name', ref.name)}`;
  return subresource === undefined ? path : `${path}/${segment(resource, 'subresource', subresource)}`;
}

/** The URL path of all objects of a kind, or of those of one namespace. @throws TypeError as objectPath does. */
export function collectionPath(resource: AnyResource, namespace?: string): string {
  const { group, version, plural } = resource;
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  if (namespace === undefined) return `${root}/${plural}`;
  if (!resource.namespaced) throw new TypeError(`${resource.kind} lives in no namespace, but one is given`);
  return `${root}/namespaces/${segment(resource, 'namespace', namespace)}/${plural}`;
}

/**
 * Names come from users: one with a slash or of dots would be another path, and another right.
 * Source: k8s.io/apimachinery/pkg/api/validation/path, IsValidPathSegmentName.
 */
function segment({ kind }: AnyResource, what: string, value: string): string {
  if (value === '' || value === '.' || value === '..' || /[/%]/.test(value)) {
    throw new TypeError(
      `${kind} has no ${what} ${JSON.stringify(value)}: it must not be empty, "." or "..", or hold "/" or "%"`,
    );
  }
  return encodeURIComponent(value);
}

export type QueryValue = string | number | boolean | undefined;

/** A query string with its `?`, of those that have a value; empty when none has. */
export function queryString(parameters: Readonly<Record<string, QueryValue>>): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== undefined) query.set(key, String(value));
  }
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** How an attempt is told in errors: `get daemonsets kmm/loader`. */
export function describeAttempt(
  verb: string,
  { plural }: AnyResource,
  { name, namespace }: Partial<ObjectRef>,
): string {
  const object = [namespace, name].filter((part) => part !== undefined && part !== '').join('/');
  return object === '' ? `${verb} ${plural}` : `${verb} ${plural} ${object}`;
}
