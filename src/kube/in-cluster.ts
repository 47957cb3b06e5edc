import type { Connection } from './connection.ts';
import { hostOf } from './connection.ts';
import { bearer, Credentials } from './credentials.ts';
import { ConfigError } from './errors.ts';
import { checkedCertificates, readSetting } from './pem.ts';

/** Where the kubelet puts a pod's service account. Source: kubernetes.io/docs/tasks/run-application/access-api-from-pod */
export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * How long a token that was read is used before its file is read again. The kubelet renews a token when a fifth of its
 * life is left (12 minutes of an hour), so a minute is early enough; client-go has the same number.
 */
const REREAD_MS = 60_000;

export interface InClusterOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly directory?: string;
  readonly now?: () => number;
}

/**
 * The connection of a pod, as its service account. Token and CA are read again every minute, and at once after a 401.
 * @throws ConfigError when the environment or the files are not those of a pod.
 */
export async function inClusterConnection(options: InClusterOptions): Promise<Connection> {
  const { env, directory = SERVICE_ACCOUNT_DIRECTORY, now = Date.now } = options;
  const server = serverOf(env);
  const caFile = `${directory}/ca.crt`;
  const credentials = new Credentials(
    {
      keepsLast: true,
      fetch: async () => {
        const [token, ca] = await Promise.all([
          readSetting(`${directory}/token`, "the service account's token"),
          readSetting(caFile, "the service account's CA"),
        ]);
        if (token.trim() === '') throw new ConfigError(`the service account's token ${directory}/token is empty`);
        return {
          headers: bearer(token),
          tls: { ca: checkedCertificates(ca, `the service account's CA ${caFile}`) },
          freshUntilMs: now() + REREAD_MS,
        };
      },
    },
    now,
  );
  // Now, so that what is wrong is said at the start and not by the first request.
  await credentials.authorize();
  return {
    server,
    host: hostOf(server),
    namespace: (await readSetting(`${directory}/namespace`, "the pod's namespace")).trim(),
    description: `the pod's service account in ${directory}`,
    caSource: caFile,
    authorize: (signal) => credentials.authorize(signal),
    refresh: (rejected, signal) => credentials.refresh(rejected, signal),
  };
}

function serverOf(env: NodeJS.ProcessEnv): string {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (!URL.canParse(server)) {
    throw new ConfigError(`KUBERNETES_SERVICE_HOST=${host} and KUBERNETES_SERVICE_PORT=${port} make no address`);
  }
  return server;
}
