import type { CredentialSource } from './credentials.ts';
import { ConfigError } from './errors.ts';

/** How long what the library gave is used before it is asked again; it renews an ID token that has expired by itself. */
const ASK_AGAIN_MS = 60_000;

/**
 * A user with an `auth-provider` (OpenID Connect, and what old files of GKE and AKS have). The library that knows these
 * costs 90 MB and half a second, so it is imported here and only when such a user is met.
 *
 * @param what how the user stands in an error's sentence
 */
export function authProviderSource(
  authProvider: Readonly<Record<string, unknown>>,
  server: string,
  what: string,
): CredentialSource {
  let provider: Promise<Provider> | undefined;
  return {
    keepsLast: false,
    fetch: async () => {
      provider ??= load(authProvider, server);
      try {
        const headers = await (await provider).headers();
        if (headers['authorization'] === undefined) throw new Error('it gave no token');
        return { headers, tls: {}, freshUntilMs: Date.now() + ASK_AGAIN_MS };
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new ConfigError(`${what}: the auth-provider ${String(authProvider['name'])} failed: ${reason}`, {
          cause,
        });
      }
    },
  };
}

interface Provider {
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
}

async function load(authProvider: Readonly<Record<string, unknown>>, server: string): Promise<Provider> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'cluster', server, skipTLSVerify: server.startsWith('http:') },
    { name: 'user', authProvider },
  );
  return {
    headers: async () => {
      const options: { headers: Record<string, string> } = { headers: {} };
      await config.applyToHTTPSOptions(options);
      const headers: Record<string, string> = {};
      if (options.headers['Authorization'] !== undefined) headers['authorization'] = options.headers['Authorization'];
      return headers;
    },
  };
}
