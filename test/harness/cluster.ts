/**
 * The control plane that a vitest run shares. vitest starts it once (globalSetup, only when an integration test is
 * about to run) and every test file works in namespaces and on nodes of its own.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, inject } from 'vitest';
import type { TestProject } from 'vitest/node';

import { defineResource } from '../../src/kube/resources.ts';
import { AdminClient } from './admin.ts';
import { attachControlPlane, type ControlPlane, startControlPlane } from './control-plane.ts';
import { Nodes } from './nodes.ts';
import { Pods } from './pods.ts';
import { startCollecting } from './product-requests.ts';
import { complaints, readRecords, startScan } from './secret-scan.ts';

declare module 'vitest' {
  interface ProvidedContext {
    controlPlaneDirectory: string;
  }
}

export const NAMESPACES = defineResource({
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
});

/**
 * vitest's globalSetup. After all tests it fails the run when a secret of the tests was found where none belongs (secret-scan.ts).
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const endCollecting = await startCollecting();
  const scanFolder = await startScan();
  const controlPlane = await startControlPlane({ name: 'integration' });
  project.provide('controlPlaneDirectory', controlPlane.directory);
  return async () => {
    await controlPlane.stop();
    await endCollecting();
    const found = complaints(await readRecords(scanFolder), { whole: false });
    if (found.length > 0) throw new Error(`Secrets of the tests were found: ${found.join('; ')}`);
  };
}

export interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly admin: AdminClient;
  readonly nodes: Nodes;
  readonly pods: Pods;
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Creates a namespace `<prefix>-<random>` and gives its name; it is deleted after the file's tests. */
  readonly freshNamespace: (prefix?: string) => Promise<string>;
}

/**
 * The shared cluster, for one test file (call it at the top level or in beforeAll). Nodes and namespaces made through
 * it are removed after the file's tests. Do not kill parts of it: a test that does starts its own (startControlPlane).
 */
export async function useCluster(): Promise<Cluster> {
  const controlPlane = await attachControlPlane(inject('controlPlaneDirectory'));
  return clusterOf(controlPlane, afterAll);
}

/** A Cluster around a control plane of one's own; what it creates goes with the control plane. */
export async function clusterAround(controlPlane: ControlPlane): Promise<Cluster> {
  return clusterOf(controlPlane, () => undefined);
}

async function clusterOf(controlPlane: ControlPlane, onEnd: (end: () => Promise<void>) => void): Promise<Cluster> {
  const admin = await AdminClient.load(controlPlane.kubeconfig);
  const nodes = new Nodes(admin);
  const namespaces: string[] = [];
  onEnd(async () => {
    await nodes.deleteAll();
    for (const name of namespaces) await admin.delete(NAMESPACES, { name });
    await admin.close();
  });
  return {
    controlPlane,
    admin,
    nodes,
    pods: new Pods(admin),
    kubeconfig: controlPlane.kubeconfig,
    async freshNamespace(prefix = 'test') {
      const name = `${prefix}-${randomBytes(3).toString('hex')}`;
      await admin.create(NAMESPACES, { metadata: { name } });
      namespaces.push(name);
      return name;
    },
  };
}
