import type { Lease } from '../../src/kube/core.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { LeaseClient } from '../../src/runtime/leader-election.ts';

export type LeaseVerb = 'get' | 'create' | 'update';

/** Carries a request to the server and its answer back: `carryOut` is what happens at the server. */
export type LeaseNetwork = (verb: LeaseVerb, carryOut: () => Lease, signal?: AbortSignal) => Promise<Lease>;

/** As much of an API server as leader election sees, for tests: one Lease, guarded by its resourceVersion. */
export class LeaseServer {
  lease: Lease | undefined;
  /** Writes that were carried out. */
  writes = 0;
  #version = 0;

  client(network: LeaseNetwork = async (_verb, carryOut) => carryOut()): LeaseClient {
    // Through JSON, as over the wire: nobody shares an object with the server.
    const send = async (verb: LeaseVerb, carryOut: () => Lease, signal?: AbortSignal) =>
      JSON.parse(JSON.stringify(await network(verb, carryOut, signal)));
    return {
      get: (_resource, _ref, options) => send('get', () => this.#get(), options?.signal),
      create: (_resource, body, options) => {
        const sent: Lease = JSON.parse(JSON.stringify(body));
        return send('create', () => this.#create(sent), options?.signal);
      },
      update: (_resource, body, options) => {
        const sent: Lease = JSON.parse(JSON.stringify(body));
        return send('update', () => this.#update(sent), options?.signal);
      },
    };
  }

  #get(): Lease {
    if (this.lease === undefined) throw refusal(404, 'NotFound');
    return this.lease;
  }

  #create(body: Lease): Lease {
    if (this.lease !== undefined) throw refusal(409, 'AlreadyExists');
    return this.#store(body);
  }

  #update(body: Lease): Lease {
    if (body.metadata.resourceVersion !== this.#get().metadata.resourceVersion) throw refusal(409, 'Conflict');
    return this.#store(body);
  }

  #store(body: Lease): Lease {
    this.writes++;
    this.lease = { ...body, metadata: { ...body.metadata, resourceVersion: String(++this.#version) } };
    return this.lease;
  }
}

function refusal(status: number, reason: string): ApiError {
  return new ApiError({ attempted: 'ask for the lease', status, reason, sentence: reason });
}
