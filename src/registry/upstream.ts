import { readFile } from 'node:fs/promises';
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

/** What stands behind: the registry itself, or for a node the front of the cluster. */
export interface Upstream {
  /** `host:port`. */
  readonly host: string;
  /** Begins a request; the caller writes its body and reads its answer. */
  open(options: Pick<RequestOptions, 'method' | 'path' | 'headers' | 'signal'>): Promise<ClientRequest>;
  close(): void;
}

/** Connections to the registry at once. One that is busy serves one request. */
const MOST_CONNECTIONS = 256;

/**
 * @param url `http://127.0.0.1:5000` or `https://name:port`
 * @param authorityFile for HTTPS: PEM, read again for each request, because a front that starts anew has a new authority
 */
export function upstreamAt(url: URL, authorityFile: string | undefined): Upstream {
  return url.protocol === 'https:' ? httpsUpstream(url, authorityFile) : httpUpstream(url);
}

function httpUpstream(url: URL): Upstream {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: MOST_CONNECTIONS });
  return {
    host: url.host,
    open: async (options) => httpRequest(url, { ...options, agent }),
    close: () => agent.destroy(),
  };
}

function httpsUpstream(url: URL, authorityFile: string | undefined): Upstream {
  let current: { readonly authority: string | undefined; readonly agent: HttpsAgent } | undefined;
  const agentFor = (authority: string | undefined): HttpsAgent => {
    if (current !== undefined && current.authority === authority) return current.agent;
    // What is under way on the old one comes to its end; idle connections go with their server.
    const agent = new HttpsAgent({
      keepAlive: true,
      maxSockets: MOST_CONNECTIONS,
      minVersion: 'TLSv1.2',
      ...(authority === undefined ? {} : { ca: authority }),
    });
    current = { authority, agent };
    return agent;
  };
  return {
    host: url.host,
    open: async (options) => {
      const authority = authorityFile === undefined ? undefined : await readFile(authorityFile, 'utf8');
      return httpsRequest(url, { ...options, agent: agentFor(authority) });
    },
    close: () => current?.agent.destroy(),
  };
}
