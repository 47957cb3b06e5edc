/** A cluster that somebody else runs, and that KUBECONFIG leads to. The operator is installed there already, as users install it. */
import { spawn } from 'node:child_process';
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Progress } from '../../../hack/control-plane/progress.ts';
import { MODULES } from '../../../src/api/module.ts';
import { isReady } from '../../../src/kube/conditions.ts';
import { DAEMONSETS, NODES, PODS } from '../../../src/kube/core.ts';
import { AdminClient, AdminError } from '../../harness/admin.ts';
import { NAMESPACES } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { guardDirectory, killUnder } from '../../harness/processes.ts';
import { type RunOptions, runOrThrow } from '../../harness/run.ts';
import { push } from '../bed/images.ts';
import { installedOperatorLog } from '../bed/installed-operator.ts';
import type { RealNode } from '../real-node.ts';
import { makeSchedulable, PRIVILEGED, type TestedCluster } from '../tested-cluster.ts';
import { ACCESS_NAMESPACE, accessDaemonSet, ForeignNode, NODE_LABEL } from './access.ts';
import type { ForeignMaterial } from './material.ts';

const PATIENCE_MS = 600_000;

/** What another process of the run needs to go on with it. */
export interface ForeignPlace {
  readonly kubectl: string;
  readonly registry: string;
  /** Where `kubectl proxy` serves, which knows every way of signing in. */
  readonly server: string;
  readonly nodes: readonly { readonly name: string; readonly pod: string }[];
}

/** A cluster that has been made ready for scenarios. */
export interface OpenForeignCluster {
  readonly place: ForeignPlace;
  /** Takes away everything that was put there. */
  readonly close: () => Promise<void>;
}

/**
 * Pushes the images, and puts a pod on each node that asks its kernel.
 *
 * @throws Error where the operator is not installed, or another run is under way
 */
export async function openForeignCluster(
  { kubectl, registry, nodes, images }: ForeignMaterial,
  progress: Progress,
  signal: AbortSignal,
): Promise<OpenForeignCluster> {
  const proxy = await startProxy(kubectl);
  const admin = AdminClient.at(proxy.server);
  const disconnect = async (): Promise<void> => {
    await admin.close();
    await proxy.end();
  };
  try {
    await assertInstalled(admin);
    progress.start(`Pushing images to ${registry}`);
    for (const image of images) await push(image, { registry }, signal);
    progress.start(`Starting a pod on ${nodes.join(' and ')}`);
    await claim(admin);
  } catch (error) {
    progress.abandon();
    await disconnect();
    throw error;
  }
  const close = async (): Promise<void> => {
    await admin.delete(NAMESPACES, { name: ACCESS_NAMESPACE });
    for (const name of nodes) await label(admin, name, null);
    await untilNoPods(admin);
    await disconnect();
  };
  try {
    for (const name of nodes) await label(admin, name, 'yes');
    await admin.create(DAEMONSETS, accessDaemonSet(registry));
    const pods = await untilPods(admin, nodes);
    progress.done();
    return { place: { kubectl, registry, server: proxy.server, nodes: pods }, close };
  } catch (error) {
    progress.abandon();
    await close();
    throw error;
  }
}

export class ForeignCluster implements TestedCluster {
  readonly admin: AdminClient;
  readonly nodes: readonly RealNode[];
  readonly selector = { [NODE_LABEL]: 'yes' };
  readonly registry: string;
  readonly #kubectl: string;

  constructor({ kubectl, registry, server, nodes }: ForeignPlace) {
    this.admin = AdminClient.at(server);
    this.registry = registry;
    this.#kubectl = kubectl;
    this.nodes = nodes.map((node) => new ForeignNode(kubectl, node));
  }

  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { stdout } = await runOrThrow(this.#kubectl, args, options);
    return stdout;
  }

  operatorLog(): Promise<string> {
    return installedOperatorLog(this);
  }

  restore(): Promise<void> {
    return makeSchedulable(this);
  }

  close(): Promise<void> {
    return this.admin.close();
  }
}

async function assertInstalled(admin: AdminClient): Promise<void> {
  try {
    await admin.list(MODULES);
  } catch (cause) {
    if (!(cause instanceof AdminError && cause.status === 404)) throw cause;
    throw new Error('the cluster serves no Modules: install the operator there first (docs/installation)', { cause });
  }
}

/** The namespace is the lock of a run, too. */
async function claim(admin: AdminClient): Promise<void> {
  try {
    await admin.create(NAMESPACES, { metadata: { name: ACCESS_NAMESPACE, labels: PRIVILEGED } });
  } catch (cause) {
    if (!(cause instanceof AdminError && cause.status === 409)) throw cause;
    const way = `where none is under way, \`kubectl delete namespace ${ACCESS_NAMESPACE}\``;
    throw new Error(`the cluster has a namespace ${ACCESS_NAMESPACE} of another run: ${way}`, { cause });
  }
}

async function label(admin: AdminClient, name: string, value: 'yes' | null): Promise<void> {
  await admin.patch(NODES, { name }, { metadata: { labels: { [NODE_LABEL]: value } } });
}

function untilPods(admin: AdminClient, nodes: readonly string[]): Promise<ForeignPlace['nodes']> {
  return eventually(
    async () => {
      const pods = await admin.list(PODS, { namespace: ACCESS_NAMESPACE });
      return nodes.map((name) => {
        const pod = pods.find(({ spec }) => spec?.nodeName === name);
        if (pod?.metadata.name === undefined || !isReady(pod)) {
          throw new Error(`that on ${name} is not ready: ${JSON.stringify(pod?.status?.containerStatuses)}`);
        }
        return { name, pod: pod.metadata.name };
      });
    },
    { what: `a pod that can ask the kernel on ${nodes.join(' and ')}`, timeoutMs: PATIENCE_MS, intervalMs: 500 },
  );
}

function untilNoPods(admin: AdminClient): Promise<void> {
  return eventually(
    async () => {
      const left = await admin.list(PODS, { namespace: ACCESS_NAMESPACE });
      if (left.length > 0) throw new Error(`${left.length} are left`);
    },
    { what: 'the end of the pods that asked the kernels', timeoutMs: PATIENCE_MS, intervalMs: 500 },
  );
}

/** Runs from a folder of its own, so that nothing of it outlives this process. */
async function startProxy(kubectl: string): Promise<{ readonly server: string; readonly end: () => Promise<void> }> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kmm-foreign-')));
  const release = guardDirectory(folder);
  const program = join(folder, 'kubectl');
  await symlink(kubectl, program);
  const end = async (): Promise<void> => {
    release();
    await killUnder(folder);
    await rm(folder, { recursive: true, force: true });
  };
  const child = spawn(program, ['proxy', '--port=0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      const listen = (text: string): void => {
        said += text;
        const found = /Starting to serve on (\S+)/.exec(said)?.[1];
        if (found !== undefined) resolve(found);
      };
      child.stdout.setEncoding('utf8').on('data', listen);
      child.stderr.setEncoding('utf8').on('data', listen);
      child.once('error', reject);
      child.once('close', (code) => reject(new Error(`kubectl proxy ended with ${code}: ${said.trim()}`)));
    });
    return { server: `http://${address}`, end };
  } catch (error) {
    await end();
    throw error;
  }
}
