import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { countByVerbAndResource, matching, writes } from '../../harness/audit.ts';
import { clusterAround } from '../../harness/cluster.ts';
import { startControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { processesUnder } from '../../harness/processes.ts';

test('a control plane that is stopped leaves no process and no folder', async () => {
  const controlPlane = await startControlPlane({ name: 'stop' });
  expect(await processesUnder(controlPlane.directory)).toHaveLength(5);
  await controlPlane.stop();
  expect(await processesUnder(controlPlane.directory)).toEqual([]);
  await expect(stat(controlPlane.directory)).rejects.toThrow('ENOENT');
});

test('a control plane whose process is killed leaves no process and no folder', async () => {
  const script = `
    const { startControlPlane } = await import(${JSON.stringify(import.meta.resolve('../../harness/control-plane.ts'))});
    const controlPlane = await startControlPlane({ name: 'killed' });
    await controlPlane.restartApiServer();
    console.log(controlPlane.directory);
    setInterval(() => {}, 1e6);
  `;
  const owner = spawn('node', ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  owner.stdout.setEncoding('utf8');
  const [line] = await once(owner.stdout, 'data');
  const directory = String(line).trim();
  expect(await processesUnder(directory)).toHaveLength(5);
  owner.kill('SIGKILL');
  await eventually(
    async () => {
      expect(await processesUnder(directory)).toEqual([]);
      await expect(stat(directory)).rejects.toThrow('ENOENT');
    },
    { what: 'the watchdog to clean up' },
  );
});

test('an API server that is killed comes back with what it had, and history can be made to expire', async () => {
  const controlPlane = await startControlPlane({ name: 'restart' });
  try {
    const { freshNamespace } = await clusterAround(controlPlane);
    const namespace = await freshNamespace();
    await controlPlane.killApiServer();
    expect((await controlPlane.tryKubectl(['get', 'namespace', namespace])).code).toBe(1);
    await controlPlane.startApiServer();
    await controlPlane.kubectl(['get', 'namespace', namespace]);

    const watch = '/api/v1/namespaces?watch=true&timeoutSeconds=1&resourceVersion=';
    const { metadata } = JSON.parse(await controlPlane.kubectl(['get', '--raw', '/api/v1/namespaces']));
    await freshNamespace();
    expect(await controlPlane.kubectl(['get', '--raw', watch + metadata.resourceVersion])).not.toContain('Expired');
    await controlPlane.expireHistory();
    expect(await controlPlane.kubectl(['get', '--raw', watch + metadata.resourceVersion])).toContain('Expired');
  } finally {
    await controlPlane.stop();
  }
});

test('the audit log says which requests came after a mark, and a service account has its own rights only', async () => {
  const controlPlane = await startControlPlane({ name: 'audit' });
  try {
    const { freshNamespace } = await clusterAround(controlPlane);
    const namespace = await freshNamespace();
    await controlPlane.kubectl(['create', 'serviceaccount', 'reader', '-n', namespace]);
    await controlPlane.kubectl([
      'create',
      'rolebinding',
      'r',
      '-n',
      namespace,
      '--clusterrole=view',
      `--serviceaccount=${namespace}:reader`,
    ]);
    const env = { KUBECONFIG: await controlPlane.serviceAccountKubeconfig(namespace, 'reader') };
    // The API server hears of a role a moment after it was bound.
    await eventually((signal) => controlPlane.kubectl(['auth', 'can-i', 'list', 'pods'], { env, signal }), {
      what: 'the role to be known',
    });
    const mark = await controlPlane.auditMark();
    await controlPlane.kubectl(['get', 'pods'], { env });
    const refused = await controlPlane.tryKubectl(['create', 'configmap', 'c'], { env });
    expect(refused.stderr).toContain('forbidden');

    const user = `system:serviceaccount:${namespace}:reader`;
    const events = matching(await controlPlane.auditEvents(mark), { user });
    expect(writes(events)).toMatchObject([{ verb: 'create', resource: 'configmaps', namespace, code: 403 }]);
    expect(countByVerbAndResource(events).get('list pods')).toBe(1);
    expect(matching(await controlPlane.auditEvents(), { resource: 'serviceaccounts', verb: 'create' })).toContainEqual(
      expect.objectContaining({ user: 'kwok-admin', name: 'reader', subresource: 'token' }),
    );
  } finally {
    await controlPlane.stop();
  }
});
