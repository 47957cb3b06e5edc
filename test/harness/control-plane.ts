import { spawn } from 'node:child_process';
import { closeSync, createReadStream, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { Agent, request } from 'undici';
import { BINARIES } from '../../hack/control-plane/binaries.ts';
import { findControlPlane } from '../../hack/control-plane/resolve.ts';
import { AdminClient, type Ref, type TokenOptions } from './admin.ts';
import { AUDIT_POLICY, type AuditEvent, readAuditLog } from './audit.ts';
import { etcdHistory } from './etcd-history.ts';
import { eventually } from './eventually.ts';
import { OPERATOR_NAMESPACE, PRODUCT_USERS } from './operator-identity.ts';
import { freePorts } from './ports.ts';
import { commandLine, guardDirectory, killUnder, signalProcess } from './processes.ts';
import { collectRequests } from './product-requests.ts';
import { type RunOptions, type RunResult, run, runOrThrow } from './run.ts';
import { isScanning, scanFolder, scanObjects } from './secret-scan.ts';
import { KUBELET_STOPPED_LABEL, REAL_KUBELET_LABEL, stagesYaml } from './stages.ts';
import { recordSecret } from './test-secrets.ts';

export interface ControlPlaneOptions {
  /** Part of the folder's name, so that a leftover process says whose it is. */
  readonly name?: string;
  /** Writes an audit log that auditEvents() reads; on unless told. */
  readonly audit?: boolean;
  /** More arguments of kube-apiserver, without the dashes: `max-requests-inflight=5`. */
  readonly apiServerArgs?: readonly string[];
  /** Takes the clients' rate limits off controller-manager, scheduler and kwok. */
  readonly disableQpsLimits?: boolean;
  /** How long a simulated node may keep silent before it is NotReady, as `10m`; Kubernetes says 50 s. */
  readonly nodeMonitorGracePeriod?: string;
  /** Nodes have kubelets: the API server has these addresses too, and proves itself to kubelets. */
  readonly kubelets?: { readonly addresses: readonly string[] };
  /** Whether kwok plays the kubelets of nodes; on unless told. */
  readonly simulation?: boolean;
  readonly signal?: AbortSignal;
}

export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kwok-controller';

const LED: readonly Component[] = ['kube-controller-manager', 'kube-scheduler'];

interface Endpoints {
  readonly server: string;
  readonly etcd: string;
}

interface Launch {
  readonly argv: readonly string[];
  readonly cwd: string;
}

/**
 * Starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok on loopback, in a folder of its own
 * under the system's temporary folder, and returns when the API server is ready (3 to 6 s).
 *
 * Whatever becomes of this process, SIGKILL included, nothing of the cluster outlives it, unless keep() was called.
 *
 * @throws Error with kwokctl's own words when the cluster does not come up twice (ports can be taken between two looks).
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  try {
    return await createOnce(options);
  } catch (error) {
    options.signal?.throwIfAborted();
    return createOnce(options, error);
  }
}

async function createOnce(options: ControlPlaneOptions, earlier?: unknown): Promise<ControlPlane> {
  const name = options.name ?? 'test';
  const binaries = await findControlPlane();
  const directory = await realpath(await mkdtemp(join(tmpdir(), `kmm-${name}-`)));
  const release = guardDirectory(directory);
  try {
    const bin = join(directory, 'bin');
    await mkdir(bin);
    // Programs run under the cluster's folder: that is how its processes are told from all others (processes.ts).
    for (const binary of BINARIES) await symlink(binaries[binary], join(bin, binary));
    const [etcd, peer, api, manager, scheduler, kwok] = await freePorts(6);
    await writeFile(join(directory, 'kwok.yaml'), `${configuration(directory, peer, options)}---\n${stagesYaml()}\n`);
    await writeFile(join(directory, 'audit-policy.yaml'), AUDIT_POLICY);
    const flags = {
      name: 'c',
      runtime: 'binary',
      wait: '60s',
      config: join(directory, 'kwok.yaml'),
      kubeconfig: join(directory, 'kubeconfig'),
      'etcd-binary': join(bin, 'etcd'),
      'kube-apiserver-binary': join(bin, 'kube-apiserver'),
      'kube-controller-manager-binary': join(bin, 'kube-controller-manager'),
      'kube-scheduler-binary': join(bin, 'kube-scheduler'),
      'kwok-controller-binary': join(bin, 'kwok'),
      'etcd-port': etcd,
      'kube-apiserver-port': api,
      'kube-controller-manager-port': manager,
      'kube-scheduler-port': scheduler,
      'controller-port': kwok,
      'disable-qps-limits': options.disableQpsLimits === true,
      ...(options.audit === false ? {} : { 'kube-audit-policy': join(directory, 'audit-policy.yaml') }),
      ...(options.simulation === false ? { disable: 'kwok-controller' } : {}),
    };
    const created = await run(
      join(bin, 'kwokctl'),
      ['create', 'cluster', ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
      { env: environment(directory), cwd: directory, signal: options.signal },
    );
    if (created.code !== 0) throw new Error(`kwokctl could not create the cluster: ${complaint(created.stderr)}`);
    const description = { server: `https://127.0.0.1:${api}`, etcd: `http://127.0.0.1:${etcd}` };
    await writeFile(join(directory, 'control-plane.json'), JSON.stringify(description));
    return new ControlPlane(directory, description, release);
  } catch (error) {
    await killUnder(directory);
    await rm(directory, { recursive: true, force: true });
    throw earlier === undefined
      ? error
      : new AggregateError([earlier, error], `the control plane did not start: ${String(error)}`);
  }
}

/**
 * The control plane that another process of this machine started in `directory`; that one still ends it.
 *
 * @throws Error when there is none in the folder.
 */
export async function attachControlPlane(directory: string): Promise<ControlPlane> {
  const endpoints: Endpoints = JSON.parse(await readFile(join(directory, 'control-plane.json'), 'utf8'));
  return new ControlPlane(directory, endpoints, () => undefined);
}

/** A running control plane: make one with startControlPlane. */
export class ControlPlane {
  readonly directory: string;
  /** Path of the administrator's kubeconfig (client certificate, group system:masters). */
  readonly kubeconfig: string;
  readonly server: string;
  readonly #etcd: string;
  readonly #release: () => void;
  readonly #launches = new Map<Component, Launch>();

  constructor(directory: string, { server, etcd }: Endpoints, release: () => void) {
    this.directory = directory;
    this.server = server;
    this.kubeconfig = join(directory, 'kubeconfig');
    this.#etcd = etcd;
    this.#release = release;
  }

  /** PEM files of the cluster's CA, and of the administrator's certificate and key. */
  get pki(): Pki {
    return pkiUnder(this.directory);
  }

  get #clusterDirectory(): string {
    return join(this.directory, 'kwok', 'clusters', 'c');
  }

  get auditLogFile(): string {
    return join(this.#clusterDirectory, 'logs', 'audit.log');
  }

  /** Ends every process of the cluster and removes its folder. */
  async stop(): Promise<void> {
    await this.#scan();
    await killUnder(this.directory);
    await collectRequests(this.auditLogFile, PRODUCT_USERS, OPERATOR_NAMESPACE);
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Looks for the tests' secrets. Kubeconfigs and keys hold credentials, and etcd's own files Secrets too: of those, all versions of all objects are read instead. */
  async #scan(): Promise<void> {
    if (!isScanning()) return;
    await scanObjects(this.directory, etcdHistory(this.#etcd)).catch(() => {
      // A test has killed etcd.
    });
    await scanFolder('cluster logs', this.directory, ['bin', 'etcd', 'pki', '*kubeconfig*']);
  }

  /** Lets the cluster outlive this process; (await attachControlPlane(directory)).stop() ends it then. */
  keep(): void {
    this.#release();
  }

  /** SIGKILL, as when the machine of the API server dies: connections break, nothing is said. */
  async killApiServer(): Promise<void> {
    for (const component of LED) await this.#remember(component);
    await this.kill('kube-apiserver');
  }

  /** Starts a killed API server again with the same arguments and port, and waits until it is ready. */
  async startApiServer(signal?: AbortSignal): Promise<void> {
    await this.start('kube-apiserver');
    await eventually(
      async (attempt) => {
        // On a busy machine it gives up on etcd after 20 s and ends; a kubelet would start it again.
        if (!(await this.#isRunning('kube-apiserver'))) await this.start('kube-apiserver');
        await this.#get('/readyz', attempt);
      },
      { what: `the API server at ${this.server} to be ready again`, timeoutMs: 90_000, signal },
    );
    // Those that lead by a Lease end when they could not renew it for ten seconds; a kubelet would start them again.
    for (const component of LED) if (!(await this.#isRunning(component))) await this.start(component);
  }

  async restartApiServer(signal?: AbortSignal): Promise<void> {
    await this.killApiServer();
    await this.startApiServer(signal);
  }

  /** SIGSTOP: connections stay open and say nothing more (no bytes, no FIN), until resumed. */
  async pause(component: Component): Promise<void> {
    signalProcess(await this.#pid(component), 'SIGSTOP');
  }

  async resume(component: Component): Promise<void> {
    signalProcess(await this.#pid(component), 'SIGCONT');
  }

  async kill(component: Component): Promise<void> {
    const pid = await this.#remember(component);
    signalProcess(pid, 'SIGKILL');
    await eventually(
      async () => {
        if ((await commandLine(pid)).length > 0) throw new Error(`pid ${pid} still runs`);
      },
      { what: `the end of ${component}` },
    );
  }

  /** Notes how a component that runs was started; gives its pid. */
  async #remember(component: Component): Promise<number> {
    const pid = await this.#pid(component);
    this.#launches.set(component, { argv: await commandLine(pid), cwd: this.#clusterDirectory });
    return pid;
  }

  /** Starts a component that kill() ended; does not wait for it to be ready. */
  async start(component: Component): Promise<void> {
    const launch = this.#launches.get(component);
    const [program, ...args] = launch?.argv ?? [];
    if (launch === undefined || program === undefined) throw new Error(`${component} was not killed by this harness`);
    const log = openSync(join(this.#clusterDirectory, 'logs', `${component}.log`), 'a');
    const child = spawn(program, args, { cwd: launch.cwd, detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
    await writeFile(this.#pidFile(component), String(child.pid));
  }

  /**
   * Compacts etcd up to its current revision and gives that revision. The API server still answers watches from its
   * own cache: only together with restartApiServer() does an older resourceVersion get 410 Gone (expireHistory()).
   */
  async compactEtcd(): Promise<string> {
    const range = await this.#etcdCall('/v3/kv/range', { key: Buffer.from('/').toString('base64'), limit: '1' });
    await this.#etcdCall('/v3/kv/compaction', { revision: range.header.revision, physical: true });
    return range.header.revision;
  }

  /** Makes every resourceVersion up to now too old: a watch or a page that continues from one gets 410. */
  async expireHistory(signal?: AbortSignal): Promise<void> {
    await this.killApiServer();
    await this.compactEtcd();
    await this.startApiServer(signal);
  }

  async #etcdCall(path: string, body: unknown): Promise<{ readonly header: { readonly revision: string } }> {
    const answer = await fetch(this.#etcd + path, { method: 'POST', body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`etcd refused ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  /** Our kubectl with the administrator's kubeconfig; gives its standard output and throws what it said on failure. */
  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { stdout } = await runOrThrow(join(this.directory, 'bin', 'kubectl'), args, this.#kubectlOptions(options));
    return stdout;
  }

  /** As kubectl(), but failure is a result: for what is to be refused. */
  tryKubectl(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(join(this.directory, 'bin', 'kubectl'), args, this.#kubectlOptions(options));
  }

  #kubectlOptions(options: RunOptions): RunOptions {
    // kubectl's discovery cache of one cluster is wrong for the next one on the same port.
    const env = { ...environment(this.directory), KUBECONFIG: this.kubeconfig, ...options.env };
    return { ...options, env };
  }

  /** As the administrator's {@link AdminClient.token}. */
  async token(serviceAccount: Required<Ref>, options: TokenOptions = {}): Promise<string> {
    const admin = await AdminClient.load(this.kubeconfig);
    try {
      return await admin.token(serviceAccount, options);
    } finally {
      await admin.close();
    }
  }

  /**
   * Writes a kubeconfig that holds nothing but a token of this ServiceAccount and gives its path: what runs with it has
   * the account's rights only. The account must exist.
   *
   * @param server another way to the API server, as through a proxy
   */
  async serviceAccountKubeconfig(
    namespace: string,
    name: string,
    { durationSeconds = 86_400, server = this.server }: { durationSeconds?: number; server?: string } = {},
  ): Promise<string> {
    const via = server === this.server ? '' : `-${new URL(server).port}`;
    const file = join(this.directory, `kubeconfig-${namespace}-${name}${via}`);
    const token = await this.token({ namespace, name }, { durationSeconds });
    recordSecret(`the token of ${namespace}/${name}`, token);
    const ca = await readFile(this.pki.ca, 'base64');
    await writeFile(
      file,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'c',
        clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': ca } }],
        users: [{ name: 'u', user: { token } }],
        contexts: [{ name: 'c', context: { cluster: 'c', user: 'u', namespace } }],
      }),
      { mode: 0o600 },
    );
    return file;
  }

  /**
   * A place in the audit log: what was answered before this call lies before it. The server writes a line only after
   * the answer has left, so a request of our own is sent and its line waited for.
   */
  async auditMark(): Promise<number> {
    const sentinel = `mark-${crypto.randomUUID()}`;
    const { size: start } = await stat(this.auditLogFile);
    await eventually((signal) => this.#get(`/version?${sentinel}`, signal), { what: 'the API server to answer' });
    return eventually(
      async () => {
        const log = await buffer(createReadStream(this.auditLogFile, { start }));
        const at = log.lastIndexOf(sentinel);
        const end = at < 0 ? -1 : log.indexOf('\n', at);
        if (end < 0) throw new Error(`${sentinel} is not in ${this.auditLogFile}`);
        return start + end + 1;
      },
      { what: 'a request of our own in the audit log' },
    );
  }

  /** The requests between a mark (default: the start) and now. */
  async auditEvents(since = 0): Promise<readonly AuditEvent[]> {
    await this.auditMark();
    const events: AuditEvent[] = [];
    for await (const event of readAuditLog(this.auditLogFile, since)) events.push(event);
    return events;
  }

  /**
   * What everybody may read, without kubectl: that is asked hundreds of times in a run, and takes a third of a second of a core to begin.
   *
   * @throws Error when the answer is no 200
   */
  async #get(path: string, signal: AbortSignal): Promise<void> {
    const agent = new Agent({ connect: { ca: await readFile(this.pki.ca) } });
    try {
      const { statusCode, body } = await request(this.server + path, { dispatcher: agent, signal });
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`);
    } finally {
      await agent.destroy();
    }
  }

  #pidFile(component: Component): string {
    return join(this.#clusterDirectory, 'pids', `${component}.pid`);
  }

  async #pid(component: Component): Promise<number> {
    const pid = Number((await readFile(this.#pidFile(component), 'utf8')).trim());
    if (!(await this.#isOurs(pid))) throw new Error(`${component} is not running (pid ${pid})`);
    return pid;
  }

  async #isRunning(component: Component): Promise<boolean> {
    return this.#isOurs(Number((await readFile(this.#pidFile(component), 'utf8')).trim()));
  }

  /** Pids are reused; the folder that a program runs from is not. */
  async #isOurs(pid: number): Promise<boolean> {
    const [program] = await commandLine(pid);
    return program?.startsWith(`${this.directory}/`) === true;
  }
}

function environment(directory: string): NodeJS.ProcessEnv {
  return {
    HOME: directory,
    PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? '/usr/bin:/bin'}`,
    KWOK_WORKDIR: join(directory, 'kwok'),
  };
}

/** Paths. */
interface Pki {
  readonly ca: string;
  readonly caKey: string;
  readonly adminCertificate: string;
  readonly adminKey: string;
}

function pkiUnder(directory: string): Pki {
  const pki = join(directory, 'kwok', 'clusters', 'c', 'pki');
  return {
    ca: join(pki, 'ca.crt'),
    caKey: join(pki, 'ca.key'),
    adminCertificate: join(pki, 'admin.crt'),
    adminKey: join(pki, 'admin.key'),
  };
}

type Arguments = Readonly<Partial<Record<Component, readonly string[]>>>;

function componentArguments(directory: string, options: ControlPlaneOptions): Arguments {
  const pki = pkiUnder(directory);
  return {
    // A test cluster that loses its disk is thrown away: waiting for fsync only makes it slow.
    etcd: ['unsafe-no-fsync=true'],
    // A real cluster rations the taint of nodes that are down, one in ten seconds; a test would wait for it.
    'kube-controller-manager': [
      'node-eviction-rate=100',
      'secondary-node-eviction-rate=100',
      ...(options.nodeMonitorGracePeriod === undefined
        ? []
        : [`node-monitor-grace-period=${options.nodeMonitorGracePeriod}`]),
    ],
    'kwok-controller': [
      'manage-all-nodes=false',
      `manage-nodes-with-label-selector=!${KUBELET_STOPPED_LABEL},!${REAL_KUBELET_LABEL}`,
    ],
    'kube-apiserver': [
      // On OpenShift it is always on; here it shows that the operator has the right to its owner references.
      'enable-admission-plugins=OwnerReferencesPermissionEnforcement',
      // The log is read as one file: no rotation before 4 GB.
      ...(options.audit === false ? [] : ['audit-log-maxsize=4096']),
      ...(options.kubelets === undefined
        ? []
        : [
            `kubelet-client-certificate=${pki.adminCertificate}`,
            `kubelet-client-key=${pki.adminKey}`,
            'kubelet-preferred-address-types=InternalIP',
          ]),
      ...(options.apiServerArgs ?? []),
    ],
  };
}

/** Arguments go by the file: kwokctl v0.8 mixes up the components of several --extra-args. */
function configuration(directory: string, peerPort: number | undefined, options: ControlPlaneOptions): string {
  const componentsPatches = Object.entries(componentArguments(directory, options)).map(([name, args]) => ({
    name,
    extraArgs: args.map((argument) => {
      const at = argument.indexOf('=');
      return { key: argument.slice(0, at), value: argument.slice(at + 1) };
    }),
  }));
  return JSON.stringify({
    apiVersion: 'config.kwok.x-k8s.io/v1alpha1',
    kind: 'KwokctlConfiguration',
    options: {
      bindAddress: '127.0.0.1',
      etcdPeerPort: peerPort,
      ...(options.kubelets === undefined ? {} : { kubeApiserverCertSANs: options.kubelets.addresses }),
    },
    componentsPatches,
  }).concat('\n');
}

/** What kwokctl and the components it started say went wrong; its stack traces tell a user nothing. */
function complaint(text: string): string {
  const lines = text.split('\n').filter((line) => /error|fail|cannot|invalid|unknown/i.test(line));
  return (lines.length > 0 ? lines : text.split('\n')).slice(0, 8).join('\n').slice(0, 2_000);
}
