/** Our CRD installed over that of KMM 2.x, whose users have Modules stored: nothing of theirs may be lost or locked. */
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

import { moduleCrd } from '../../../src/api/crd.ts';
import { FINALIZER } from '../../../src/api/labels.ts';
import { MODULES, type Module } from '../../../src/api/module.ts';
import { clusterAround } from '../../harness/cluster.ts';
import { startControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';
import { installCrd } from '../../harness/modules.ts';
import { KMM_2_MODULES } from './kmm-2-modules.ts';

const controlPlane = await startControlPlane({ name: 'upgrade', audit: false });
afterAll(() => controlPlane.stop());
const { admin, freshNamespace } = await clusterAround(controlPlane);

/** As much of KMM 2.x's CRD as matters here: it stored every field of its Modules, and had none of our rules. */
function kmm2Crd(): object {
  const { metadata, spec, ...crd } = moduleCrd();
  const { categories: _notThen, ...names } = spec.names;
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything } } };
  const version = { name: MODULES.version, served: true, storage: true, subresources: { status: {} }, schema };
  return { ...crd, metadata: { name: metadata.name }, spec: { ...spec, names, versions: [version] } };
}

/** Admitted then, refused today. */
function lenient(namespace: string): Module {
  const [{ spec }] = KMM_2_MODULES;
  const tolerations = [{ operator: 'exists' }];
  return { metadata: { name: 'lenient', namespace }, spec: { ...spec, selector: { 'a b': 'c' }, tolerations } };
}

test('what users of KMM 2.x have stored survives our CRD and stays editable', async () => {
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(kmm2Crd()) });
  const namespace = await freshNamespace();
  const stored = [
    ...KMM_2_MODULES.map((module) => ({ ...module, metadata: { ...module.metadata, namespace } })),
    lenient(namespace),
  ];
  await eventually(() => admin.list(MODULES), { what: 'the old CRD to be served' });
  for (const module of stored) await admin.create(MODULES, module);

  await installCrd({ controlPlane });
  const crd = JSON.parse(await controlPlane.kubectl(['get', 'crd', 'modules.kmm.sigs.x-k8s.io', '-o', 'json']));
  expect(crd.spec.versions).toEqual(moduleCrd().spec.versions);

  // The new schema serves a moment after it is written: a Module that it refuses tells that it does.
  const refused = { ...lenient(namespace), metadata: { name: 'refused', namespace } };
  await eventually(
    async () => {
      await expect(admin.create(MODULES, refused)).rejects.toThrow('Unsupported value');
    },
    { what: 'the new schema to be served' },
  );
  for (const { metadata, spec } of stored) {
    const ref = { namespace, name: metadata.name ?? '' };
    expect((await admin.get(MODULES, ref)).spec).toEqual(spec);
    const status = { conditions: [], loaded: '0/0' };
    await admin.patch(MODULES, ref, { status }, { subresource: 'status' });
    const edited = await admin.patch(MODULES, ref, { metadata: { finalizers: [FINALIZER], labels: { a: 'b' } } });
    expect(edited.spec).toEqual(spec);
    await admin.patch(MODULES, ref, { metadata: { finalizers: null } });
    await admin.delete(MODULES, ref);
  }
});

test('the CRD can be taken out and put in again', async () => {
  const folder = fileURLToPath(new URL('../../../config/crd', import.meta.url));
  await controlPlane.kubectl(['delete', '-k', folder]);
  await controlPlane.kubectl(['apply', '--server-side', '-k', folder]);
  await eventually(() => admin.list(MODULES), { what: 'Modules to be served again' });
});
