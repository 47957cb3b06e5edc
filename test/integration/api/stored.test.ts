/** What the real API server makes of a Module that it admits: nothing is lost, added or mixed up on the way into storage. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

import { MODULES, type Module } from '../../../src/api/module.ts';
import { useCluster } from '../../harness/cluster.ts';
import { aModule, installCrd } from '../../harness/modules.ts';
import { KMM_2_MODULES } from './kmm-2-modules.ts';

const cluster = await useCluster();
await installCrd(cluster);
const namespace = await cluster.freshNamespace('stored');

const { admin, controlPlane } = cluster;

/** Server-side apply by a field manager of its own, as several tools that share a Module do. */
function applyAs(manager: string, name: string, spec: object): Promise<string> {
  const { apiVersion, kind } = aModule(name).build();
  return controlPlane.kubectl(['apply', '--server-side', `--field-manager=${manager}`, '-n', namespace, '-f', '-'], {
    input: JSON.stringify({ apiVersion, kind, metadata: { name }, spec }),
  });
}

const SAMPLES = fileURLToPath(new URL('../../../config/samples', import.meta.url));

test.each(await readdir(SAMPLES))('the sample %s is admitted without a warning and stored whole', async (file) => {
  const text = await readFile(join(SAMPLES, file), 'utf8');
  const { code, stderr } = await controlPlane.tryKubectl(['apply', '-n', namespace, '-f', '-'], { input: text });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const sample: Module = parse(text);
  const stored = await admin.get(MODULES, { namespace, name: basename(file, '.yaml') });
  expect(stored.spec).toEqual(sample.spec);
});

test('the smallest Module is stored as it was written: nothing is defaulted into it', async () => {
  const module = aModule('smallest').inNamespace(namespace).build();
  expect((await admin.create(MODULES, module)).spec).toEqual(module.spec);
});

test('a container needs no name, and one that is given is kept', async () => {
  const module = aModule('names')
    .inNamespace(namespace)
    .withLoader({ args: ['-v'] })
    .withDevicePlugin({ image: 'i', name: 'mine' })
    .build();
  expect((await admin.create(MODULES, module)).spec).toEqual(module.spec);
});

test('numbers and strings stay what they were where both are allowed', async () => {
  const module = aModule('int-or-string')
    .inNamespace(namespace)
    .withMaxUnavailable(3)
    .withLoader({
      livenessProbe: { httpGet: { port: 'health' } },
      readinessProbe: { tcpSocket: { port: 8080 } },
      resources: { limits: { cpu: 2, memory: '64Mi' }, requests: { cpu: '100m' } },
    })
    .build();
  expect((await admin.create(MODULES, module)).spec).toEqual(module.spec);
  const edited = await admin.patch(
    MODULES,
    { namespace, name: 'int-or-string' },
    { spec: { upgradePolicy: { maxUnavailable: '25%' } } },
  );
  expect(edited.spec.upgradePolicy).toEqual({ maxUnavailable: '25%' });
});

describe('a Module that two managers apply', () => {
  const of = (who: string) => ({
    additionalVolumes: [{ name: who, emptyDir: {} }],
    moduleLoader: {
      env: [{ name: who.toUpperCase(), value: who }],
      ports: [{ containerPort: who.length }],
      volumeMounts: [{ name: who, mountPath: `/${who}` }],
    },
    devicePlugin: { image: 'i', volumeMounts: [{ name: who, mountPath: `/${who}` }] },
  });

  test('has the environment, ports, volumes and mounts of both, by their keys', async () => {
    const { selector, kernelMappings } = aModule('two-managers').build().spec;
    await applyAs('first', 'two-managers', { selector, kernelMappings, ...of('vendor') });
    await applyAs('second', 'two-managers', of('team'));
    const both = await admin.get(MODULES, { namespace, name: 'two-managers' });
    expect(both.spec.additionalVolumes?.map(({ name }) => name).sort()).toEqual(['team', 'vendor']);
    for (const container of [both.spec.moduleLoader, both.spec.devicePlugin]) {
      expect(container?.volumeMounts?.map(({ mountPath }) => mountPath).sort()).toEqual(['/team', '/vendor']);
    }
    expect(both.spec.moduleLoader).toMatchObject({
      env: [
        { name: 'VENDOR', value: 'vendor' },
        { name: 'TEAM', value: 'team' },
      ],
      ports: [
        { containerPort: 6, protocol: 'TCP' },
        { containerPort: 4, protocol: 'TCP' },
      ],
    });

    await applyAs('second', 'two-managers', { devicePlugin: { image: 'i' } });
    const { spec } = await admin.get(MODULES, { namespace, name: 'two-managers' });
    expect(spec.additionalVolumes).toEqual(of('vendor').additionalVolumes);
    expect(spec.moduleLoader?.['env']).toEqual(of('vendor').moduleLoader.env);
  });
});

describe('status', () => {
  const condition = {
    type: 'Ready',
    status: 'False' as const,
    reason: 'Loading',
    message: '2 of 3 nodes have the module loaded',
    lastTransitionTime: '2026-01-02T12:00:00Z',
  };

  test('is not written with the spec, and the spec not with status', async () => {
    const ref = { namespace, name: 'status' };
    const created = await admin.create(MODULES, {
      ...aModule('status').inNamespace(namespace).build(),
      status: { loaded: '9/9' },
    });
    expect(created.status).toBeUndefined();
    const patch = { spec: { selector: { changed: 'yes' } }, status: { loaded: '1/2' } };
    const viaStatus = await admin.patch(MODULES, ref, patch, { subresource: 'status' });
    expect(viaStatus.spec).toEqual(created.spec);
    expect(viaStatus.status).toEqual({ loaded: '1/2' });
    expect(viaStatus.metadata.generation).toBe(created.metadata.generation);
    const viaSpec = await admin.patch(MODULES, ref, { ...patch, status: { loaded: '2/2' } });
    expect(viaSpec.spec.selector).toMatchObject({ changed: 'yes' });
    expect(viaSpec.status).toEqual({ loaded: '1/2' });
  });

  test('fills the columns of kubectl get, which also answers to the category kmm', async () => {
    await admin.create(MODULES, aModule('columns').inNamespace(namespace).build());
    const status = { conditions: [condition], loaded: '2/3', kernelsNumber: 2 };
    await admin.patch(MODULES, { namespace, name: 'columns' }, { status }, { subresource: 'status' });
    const rows = async (resource: string, ...args: string[]): Promise<string[][]> =>
      (await controlPlane.kubectl(['get', resource, '-n', namespace, ...args]))
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/\s{2,}/));
    const [header, row] = await rows('modules', '--field-selector=metadata.name=columns');
    expect(header).toEqual(['NAME', 'READY', 'LOADED', 'KERNELS', 'AGE']);
    expect(row).toEqual(['columns', 'False', '2/3', '2', expect.stringMatching(/^\d+s$/)]);
    const [wideHeader, wideRow] = await rows('module', '--field-selector=metadata.name=columns', '-o', 'wide');
    expect(wideHeader?.at(-1)).toBe('REASON');
    expect(wideRow?.at(-1)).toBe('Loading');
    expect((await rows('kmm')).flat()).toContain('columns');
  });

  test('holds conditions by their type, so that one writer never doubles one', async () => {
    const twice = admin.patch(
      MODULES,
      { namespace, name: 'columns' },
      { status: { conditions: [condition, condition] } },
      { subresource: 'status' },
    );
    await expect(twice).rejects.toThrow(/status\.conditions\[1\]: Duplicate value/);
  });
});

describe('a Module of KMM 2.x', () => {
  test.each(KMM_2_MODULES)('$metadata.name is stored whole', async (module) => {
    const { code, stderr } = await controlPlane.tryKubectl(['create', '-n', namespace, '-f', '-'], {
      input: JSON.stringify(module),
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const stored = await admin.get(MODULES, { namespace, name: module.metadata.name });
    expect(stored.spec).toEqual(module.spec);
  });

  test('keeps the status that KMM 2.x wrote', async () => {
    const name = 'kmm-2-status';
    const [first] = KMM_2_MODULES;
    const counts = { nodesMatchingSelectorNumber: 3, desiredNumber: 3, availableNumber: 2 };
    const status = { moduleLoader: counts, devicePlugin: counts, dra: counts, imageRebuildTriggerGeneration: 7 };
    await admin.create(MODULES, { ...first, metadata: { name, namespace } });
    await admin.patch(MODULES, { namespace, name }, { status }, { subresource: 'status' });
    expect((await admin.get(MODULES, { namespace, name })).status).toEqual(status);
  });
});
