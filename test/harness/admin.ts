/**
 * The harness's own client: it acts as kubelets, administrators and users do, apart from the client under test.
 */
import { readFile } from 'node:fs/promises';

import { Agent, request } from 'undici';
import { parse } from 'yaml';

import type { KubeList, KubeObject } from '../../src/kube/objects.ts';
import { apiVersionOf, type Resource } from '../../src/kube/resources.ts';

/** The API server's refusal. */
export class AdminError extends Error {
  readonly status: number;

  constructor(what: string, status: number, text: string) {
    super(`${what}: ${status} ${text}`);
    this.status = status;
  }
}

/** Whether the API server said that what was asked for is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof AdminError && error.status === 404;
}

export interface Ref {
  readonly name: string;
  readonly namespace?: string;
}

export interface TokenOptions {
  /** Whom it proves the account to; the API server unless given. */
  readonly audience?: string;
  /** At least ten minutes; an hour unless given. */
  readonly durationSeconds?: number;
}

interface Kubeconfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority': string };
  }[];
  readonly users: readonly {
    readonly user: { readonly 'client-certificate': string; readonly 'client-key': string };
  }[];
}

export class AdminClient {
  readonly #server: string;
  readonly #agent: Agent;

  private constructor(server: string, agent: Agent) {
    this.#server = server;
    this.#agent = agent;
  }

  /** @param kubeconfig path of the administrator's kubeconfig as startControlPlane writes it */
  static async load(kubeconfig: string): Promise<AdminClient> {
    const config: Kubeconfig = parse(await readFile(kubeconfig, 'utf8'));
    const [entry] = config.clusters;
    const [user] = config.users;
    if (entry === undefined || user === undefined) throw new Error(`${kubeconfig} has no cluster or no user`);
    const [ca, cert, key] = await Promise.all(
      [entry.cluster['certificate-authority'], user.user['client-certificate'], user.user['client-key']].map((file) =>
        readFile(file),
      ),
    );
    return new AdminClient(entry.cluster.server, new Agent({ connect: { ca, cert, key }, connections: 32 }));
  }

  /** @param server URL of what signs in for us, as `kubectl proxy` does */
  static at(server: string): AdminClient {
    return new AdminClient(server, new Agent({ connections: 32 }));
  }

  get<T extends KubeObject>(resource: Resource<T>, ref: Ref): Promise<T> {
    return this.#call('GET', pathOf(resource, ref.namespace, ref.name));
  }

  async list<T extends KubeObject>(
    resource: Resource<T>,
    options: { readonly namespace?: string; readonly labelSelector?: string; readonly fieldSelector?: string } = {},
  ): Promise<readonly T[]> {
    const query = new URLSearchParams();
    if (options.labelSelector !== undefined) query.set('labelSelector', options.labelSelector);
    if (options.fieldSelector !== undefined) query.set('fieldSelector', options.fieldSelector);
    const list = await this.#call<KubeList<T>>('GET', `${pathOf(resource, options.namespace)}?${query.toString()}`);
    return list.items;
  }

  create<T extends KubeObject>(resource: Resource<T>, object: T): Promise<T> {
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object };
    return this.#call('POST', pathOf(resource, object.metadata.namespace), body, 'application/json');
  }

  /** A merge patch, in which lists are replaced whole; `strategic` merges the lists of built-in kinds by their keys. */
  patch<T extends KubeObject>(
    resource: Resource<T>,
    ref: Ref,
    body: unknown,
    options: { readonly type?: 'merge' | 'strategic'; readonly subresource?: 'status' } = {},
  ): Promise<T> {
    const path = pathOf(resource, ref.namespace, ref.name);
    const subresource = options.subresource === undefined ? '' : `/${options.subresource}`;
    const type = options.type === 'strategic' ? 'strategic-merge-patch' : 'merge-patch';
    return this.#call('PATCH', path + subresource, body, `application/${type}+json`);
  }

  /** Deletes; an object that is gone already is no error. */
  async delete<T extends KubeObject>(
    resource: Resource<T>,
    ref: Ref,
    options: { readonly gracePeriodSeconds?: number } = {},
  ): Promise<void> {
    try {
      await this.#call('DELETE', pathOf(resource, ref.namespace, ref.name), options, 'application/json');
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  /** A token of a ServiceAccount, as the kubelet asks for one that it projects into a pod. */
  async token(serviceAccount: Required<Ref>, options: TokenOptions = {}): Promise<string> {
    const { namespace, name } = serviceAccount;
    const { audience, durationSeconds: expirationSeconds } = options;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const spec = { expirationSeconds, ...(audience === undefined ? {} : { audiences: [audience] }) };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const { status } = await this.#call<{ readonly status: { readonly token: string } }>(
      'POST',
      path,
      body,
      'application/json',
    );
    return status.token;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #call<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown, type?: string): Promise<T> {
    const answer = await request(this.#server + path, {
      method,
      dispatcher: this.#agent,
      headers: { 'user-agent': 'kmm-harness', ...(type === undefined ? {} : { 'content-type': type }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new AdminError(`${method} ${path}`, answer.statusCode, text);
    return JSON.parse(text);
  }
}

function pathOf(resource: Resource<KubeObject>, namespace: string | undefined, name?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${namespace}` : '';
  return `${root}${scope}/${resource.plural}${name === undefined ? '' : `/${name}`}`;
}
