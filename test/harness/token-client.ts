/** Requests under a ServiceAccount's token and nothing else: what somebody can do who stole it. */
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import type { ControlPlane } from './control-plane.ts';

export interface Answer {
  readonly status: number;
  /** The server's sentence where it refused; empty otherwise. */
  readonly message: string;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export class TokenClient {
  readonly #server: string;
  readonly #token: string;
  readonly #agent: Agent;

  private constructor(server: string, token: string, agent: Agent) {
    this.#server = server;
    this.#token = token;
    this.#agent = agent;
  }

  static async of(controlPlane: ControlPlane, namespace: string, serviceAccount: string): Promise<TokenClient> {
    const token = await controlPlane.token({ namespace, name: serviceAccount });
    const ca = await readFile(controlPlane.pki.ca);
    return new TokenClient(controlPlane.server, token, new Agent({ connect: { ca } }));
  }

  /** A body of a PATCH is a merge patch. A watch is answered by its status alone. */
  async send(method: Method, path: string, body?: unknown): Promise<Answer> {
    const answer = await request(this.#server + path, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#token}`,
        'user-agent': 'stolen-token',
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (answer.statusCode < 300 && path.includes('watch=')) {
      answer.body.destroy();
      return { status: answer.statusCode, message: '' };
    }
    const text = await answer.body.text();
    return { status: answer.statusCode, message: answer.statusCode < 300 ? '' : messageIn(text) };
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function messageIn(text: string): string {
  try {
    const { message }: { readonly message?: string } = JSON.parse(text);
    return message ?? text;
  } catch {
    return text;
  }
}
