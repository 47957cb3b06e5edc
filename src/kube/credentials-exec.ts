import { spawn } from 'node:child_process';
import { bearer, type Credential, type CredentialSource } from './credentials.ts';
import { ConfigError } from './errors.ts';
import { isRecord } from './json-record.ts';
import type { ExecPlugin, KubeconfigCluster } from './kubeconfig.ts';

export interface ExecSourceOptions {
  readonly plugin: ExecPlugin;
  readonly cluster: KubeconfigCluster;
  /** How the user stands in an error's sentence. */
  readonly what: string;
  readonly env: NodeJS.ProcessEnv;
  /** Default 60 s. */
  readonly timeoutMs?: number;
}

/** A credential that is about to expire is asked for again so much earlier: the clocks of two hosts differ. */
const EXPIRY_MARGIN_MS = 10_000;
/** Characters. */
const MOST_OUTPUT = 1024 * 1024;

/**
 * Runs a credential plugin (`aws eks get-token` and its like) and takes what it prints, until that expires or is rejected.
 * Source: kubernetes.io/docs/reference/access-authn-authz/authentication, "client-go credential plugins".
 */
export function execCredentialSource(options: ExecSourceOptions): CredentialSource {
  return {
    keepsLast: false,
    fetch: async () => credentialOf(await runPlugin(options), options),
  };
}

async function runPlugin({ plugin, cluster, what, env, timeoutMs = 60_000 }: ExecSourceOptions): Promise<string> {
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.provideClusterInfo ? { cluster: clusterInfo(cluster) } : {}) },
  };
  const name = `${what}: the credential plugin ${plugin.command}`;
  return new Promise((resolve, reject) => {
    const child = spawn(plugin.command, plugin.args, {
      env: { ...env, ...plugin.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, so that what the plugin starts can be ended with it.
      detached: true,
    });
    let stdout = '';
    let stderr = '';
    const fail = (why: string, cause?: Error): void => {
      clearTimeout(timer);
      killGroup(child.pid);
      child.stdout.destroy();
      child.stderr.destroy();
      reject(new ConfigError(`${name} ${why}`, { cause }));
    };
    const timer = setTimeout(() => fail(`was not done after ${timeoutMs / 1_000} s`), timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      if (stdout.length > MOST_OUTPUT) fail('printed more than a credential');
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-1_000);
    });
    child.once('error', (cause) => {
      const hint = plugin.installHint === undefined ? '' : `. ${plugin.installHint}`;
      fail(`cannot be run (${codeOf(cause)})${hint}`, cause);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(stdout);
      else fail(`ended with ${signal ?? `code ${code}`}: ${stderr.trim() || 'it said nothing'}`);
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** The parts of the output that count; whatever it says besides, secrets among it, is never in an error. */
function credentialOf(output: string, { what, plugin }: ExecSourceOptions): Credential {
  const name = `${what}: the credential plugin ${plugin.command}`;
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    throw new ConfigError(`${name} printed something that is not JSON`);
  }
  const status = isRecord(value) && isRecord(value['status']) ? value['status'] : {};
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status;
  const hasToken = typeof token === 'string' && token !== '';
  const hasCertificate = typeof cert === 'string' && typeof key === 'string';
  if (!hasToken && !hasCertificate) throw new ConfigError(`${name} gave neither a token nor a client certificate`);
  const expiresAtMs = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN;
  return {
    headers: hasToken ? bearer(token) : {},
    tls: hasCertificate ? { cert, key } : {},
    ...(Number.isNaN(expiresAtMs) ? {} : { freshUntilMs: expiresAtMs - EXPIRY_MARGIN_MS }),
  };
}

function clusterInfo(cluster: KubeconfigCluster): Readonly<Record<string, unknown>> {
  return {
    server: cluster.server,
    ...(cluster.caData === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(cluster.caData).toString('base64') }),
    ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
    ...(cluster.insecure ? { 'insecure-skip-tls-verify': true } : {}),
    ...(cluster.proxyUrl === undefined ? {} : { 'proxy-url': cluster.proxyUrl }),
  };
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.message;
}
