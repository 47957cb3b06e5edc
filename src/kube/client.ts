import type { Connection } from './connection.ts';
import { connectionErrorOf } from './connection-errors.ts';
import { ConnectionError } from './errors.ts';
import type { KubeList, KubeObject } from './objects.ts';
import { collectionPath, describeAttempt, type ObjectRef, objectPath, type QueryValue, queryString } from './paths.ts';
import { apiVersionOf, type Resource } from './resources.ts';
import { WatchStream } from './streamed-body.ts';
import { type ApiRequest, type HttpMethod, type RequestReport, Transport } from './transport.ts';

export type { ObjectRef } from './paths.ts';
export type { WatchStream } from './streamed-body.ts';
export type { RequestReport } from './transport.ts';

export interface ClientOptions {
  readonly connection: Connection;
  /** Program and version, e.g. `kmm/0.1.0`. The server records its first part as the owner of the fields we write. */
  readonly userAgent: string;
  /** Requests under way at once, watches not counted. Default 32. */
  readonly maxConcurrentRequests?: number;
  /** Told about every send, also those that are sent again. */
  readonly observer?: (report: RequestReport) => void;
  /** Called right before each send that could change something; what it throws is thrown by the call, and nothing is sent. */
  readonly beforeWrite?: () => void;
  /** Longest wait for an answer to begin, and then for more of it, milliseconds. Default 30 s. */
  readonly requestTimeoutMs?: number;
}

export interface CallOptions {
  /** Ends the call, whatever it is doing, with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface Selection {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
}

export interface ListOptions extends Selection, CallOptions {
  /** Most objects in the answer; its `metadata.continue` gets the next ones. */
  readonly limit?: number;
  readonly continue?: string;
}

export interface WatchOptions extends Selection {
  /** Streaming list: the objects come first, then a bookmark annotated `k8s.io/initial-events-end`. */
  readonly sendInitialEvents?: boolean;
  readonly allowWatchBookmarks?: boolean;
  /** After that long the server ends the watch. */
  readonly timeoutSeconds?: number;
  readonly signal: AbortSignal;
}

export interface CreateOptions extends CallOptions {
  /** What becomes of unknown fields. The server's default is a warning. */
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
}

export interface WriteOptions extends CallOptions {
  /** E.g. `status`. */
  readonly subresource?: string;
}

export interface DeleteOptions extends CallOptions {
  /** Of another object, or another state of it, the deletion is refused with a conflict. */
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  readonly gracePeriodSeconds?: number;
}

/** Source: k8s.io/apimachinery/pkg/apis/meta/v1, APIGroup. */
export interface ApiGroup {
  readonly name: string;
  readonly versions: readonly { readonly version: string }[];
}

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  /** JSON pointer. */
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

export type Patch =
  | { readonly type: 'merge'; readonly body: object }
  | { readonly type: 'json'; readonly body: readonly JsonPatchOperation[] }
  | {
      readonly type: 'apply';
      /** Just the fields we want to own. */
      readonly body: object;
      readonly fieldManager: string;
      /** Takes fields that others own; without it they are a conflict. */
      readonly force?: boolean;
    };

type AnyResource = Resource<KubeObject>;

interface Call extends CallOptions {
  readonly verb: string;
  readonly method: HttpMethod;
  readonly path: string;
  readonly ref: Partial<ObjectRef>;
  readonly contentType?: string;
  readonly body?: unknown;
}

/**
 * The Kubernetes API, verb by verb. Every verb throws ApiError when the server refuses, ConnectionError when there is no
 * answer, ConfigError when there is no credential, TypeError for a name that cannot be one, and the signal's reason.
 *
 * An answer of 429, or 503 with a time to come back at, is waited out and sent again up to five times (retry.ts).
 */
export class KubeClient {
  readonly #connection: Connection;
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#connection = options.connection;
    this.#transport = new Transport({
      connection: options.connection,
      userAgent: options.userAgent,
      maxConcurrentRequests: options.maxConcurrentRequests ?? 32,
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      observer: options.observer,
      beforeWrite: options.beforeWrite,
    });
  }

  async get<T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, options: CallOptions = {}): Promise<T> {
    return this.#call(resource, { verb: 'get', method: 'GET', path: objectPath(resource, ref), ref, ...options });
  }

  /** One answer of a list, up to `limit` objects. Objects in it carry neither apiVersion nor kind. */
  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const { namespace, signal, labelSelector, fieldSelector, resourceVersion, resourceVersionMatch, limit } = options;
    const query = {
      labelSelector,
      fieldSelector,
      resourceVersion,
      resourceVersionMatch,
      limit,
      continue: options.continue,
    };
    const path = collectionPath(resource, namespace) + queryString(query);
    return this.#call(resource, { verb: 'list', method: 'GET', path, ref: refOfNamespace(namespace), signal });
  }

  /** Creates the object; apiVersion and kind are filled in. */
  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: CreateOptions = {}): Promise<T> {
    const { name, namespace } = object.metadata;
    if (resource.namespaced && namespace === undefined) {
      throw new TypeError(`${resource.kind} ${JSON.stringify(name)} is given without its namespace`);
    }
    return this.#call(resource, {
      verb: 'create',
      method: 'POST',
      path: collectionPath(resource, namespace) + queryString({ fieldValidation: options.fieldValidation }),
      ref: { name, namespace },
      contentType: 'application/json',
      body: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind },
      signal: options.signal,
    });
  }

  /** Replaces the object. A uid and a resourceVersion in its metadata are preconditions; else a conflict. */
  async update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const ref = { name: object.metadata.name ?? '', namespace: object.metadata.namespace };
    return this.#call(resource, {
      verb: 'update',
      method: 'PUT',
      path: objectPath(resource, ref, options.subresource),
      ref,
      contentType: 'application/json',
      body: { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind },
      signal: options.signal,
    });
  }

  /**
   * Changes parts of an object, or with `apply` creates it. A merge patch that holds metadata.uid or
   * metadata.resourceVersion is refused with a conflict where those are others.
   */
  async patch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const query = patch.type === 'apply' ? { fieldManager: patch.fieldManager, force: patch.force } : {};
    return this.#call(resource, {
      verb: patch.type === 'apply' ? 'apply' : 'patch',
      method: 'PATCH',
      path: objectPath(resource, ref, options.subresource) + queryString(query),
      ref,
      contentType: PATCH_CONTENT_TYPES[patch.type],
      body:
        patch.type === 'apply'
          ? { ...patch.body, apiVersion: apiVersionOf(resource), kind: resource.kind }
          : patch.body,
      signal: options.signal,
    });
  }

  /** Asks for the deletion; an object with finalizers, and a pod, may still be there when it resolves. */
  async delete(resource: AnyResource, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const { signal, ...body } = options;
    await this.#send(resource, {
      verb: 'delete',
      method: 'DELETE',
      path: objectPath(resource, ref),
      ref,
      ...(Object.keys(body).length === 0
        ? {}
        : { contentType: 'application/json', body: { apiVersion: 'v1', kind: 'DeleteOptions', ...body } }),
      signal,
    });
  }

  /**
   * Starts a watch; resolves when the server has accepted it. Not retried: the error tells when to come back. Watches
   * have connections of their own and are not counted as requests.
   */
  async watch(resource: AnyResource, options: WatchOptions): Promise<WatchStream> {
    const { signal, namespace, ...parameters } = options;
    const request = this.#request(resource, {
      verb: 'watch',
      method: 'GET',
      path: collectionPath(resource, namespace) + queryString({ watch: true, ...parameters }),
      ref: refOfNamespace(namespace),
      signal,
    });
    const body = await this.#transport.stream(request);
    return new WatchStream(body, signal, (cause) => connectionErrorOf(request.attempted, this.#connection, cause));
  }

  /** The API groups that the server serves, with their versions, those of aggregated servers that are down too. */
  async apiGroups({ signal }: CallOptions = {}): Promise<readonly ApiGroup[]> {
    const text = await this.#transport.send({
      method: 'GET',
      path: '/apis',
      resource: 'apis',
      attempted: 'ask which APIs are served',
      unservedHint: 'is it an API server?',
      signal,
    });
    const list: { readonly groups?: readonly ApiGroup[] } = JSON.parse(text);
    return list.groups ?? [];
  }

  /**
   * The server's OpenAPI v3 document of a group and version such as `apps/v1`, in which a CRD's schema is whole. Every ServiceAccount may
   * read it, unless somebody has unbound the ClusterRole system:discovery.
   */
  async openApi(groupVersion: string, { signal }: CallOptions = {}): Promise<unknown> {
    const text = await this.#transport.send({
      method: 'GET',
      path: `/openapi/v3/apis/${groupVersion}`,
      resource: 'openapi',
      attempted: `get the OpenAPI document of ${groupVersion}`,
      unservedHint: `the server serves no ${groupVersion}`,
      signal,
    });
    const document: unknown = JSON.parse(text);
    return document;
  }

  /**
   * The text that a subresource answers with: `['log']` of a pod, `['proxy', 'metrics']` of one. It is read whole, so ask for a bounded one.
   */
  text(
    resource: AnyResource,
    ref: ObjectRef,
    [subresource, ...rest]: readonly [string, ...string[]],
    options: CallOptions & { readonly parameters?: Readonly<Record<string, QueryValue>> } = {},
  ): Promise<string> {
    const path = [objectPath(resource, ref, subresource), ...rest.map(encodeURIComponent)].join('/');
    const { parameters = {}, signal } = options;
    return this.#send(resource, {
      verb: `read the ${subresource} of`,
      method: 'GET',
      path: path + queryString(parameters),
      ref,
      signal,
    });
  }

  /** What the API server says of itself at /version, as JSON. */
  serverVersion(options: CallOptions = {}): Promise<string> {
    return this.#transport.send({
      method: 'GET',
      path: '/version',
      resource: 'version',
      attempted: 'get the version of the API server',
      unservedHint: `${this.#connection.server} tells no version: is it an API server?`,
      signal: options.signal,
    });
  }

  /** Breaks off what is under way and closes all connections. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  async #call<T>(resource: AnyResource, call: Call): Promise<T> {
    const text = await this.#send(resource, call);
    try {
      const value: T = JSON.parse(text);
      return value;
    } catch (cause) {
      const attempted = describeAttempt(call.verb, resource, call.ref);
      throw new ConnectionError(
        `${attempted}: ${this.#connection.server} answered with something that is not JSON. Is it an API server?`,
        'NOT_JSON',
        { cause },
      );
    }
  }

  #send(resource: AnyResource, call: Call): Promise<string> {
    return this.#transport.send(this.#request(resource, call));
  }

  #request(resource: AnyResource, { verb, method, path, ref, contentType, body, signal }: Call): ApiRequest {
    return {
      method,
      path,
      resource: resource.plural,
      ...(resource.metadataOnly === true ? { accept: metadataOnly(verb) } : {}),
      attempted: describeAttempt(verb, resource, ref),
      unservedHint: `the server knows no ${resource.plural} of ${apiVersionOf(resource)}: is its CustomResourceDefinition installed?`,
      ...(contentType === undefined ? {} : { body: { contentType, text: JSON.stringify(body) } }),
      signal,
    };
  }
}

/** Source: k8s.io/client-go/metadata, which asks in the same way. */
function metadataOnly(verb: string): string {
  const form = verb === 'list' ? 'PartialObjectMetadataList' : 'PartialObjectMetadata';
  return `application/json;as=${form};g=meta.k8s.io;v=v1`;
}

const PATCH_CONTENT_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  // JSON is YAML; servers before 1.32 know this name only.
  apply: 'application/apply-patch+yaml',
} as const;

function refOfNamespace(namespace: string | undefined): Partial<ObjectRef> {
  return namespace === undefined ? {} : { namespace };
}
