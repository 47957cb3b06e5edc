import { describe, expect, it } from 'vitest';
import { type CrdSchema, moduleCrd } from './crd.ts';

const crd = moduleCrd();
const [version] = crd.spec.versions;
const root = version?.schema.openAPIV3Schema ?? {};

/** Every schema of the CRD with its path. */
function* walk(schema: CrdSchema, path: string): Generator<readonly [string, CrdSchema]> {
  yield [path, schema];
  for (const [key, property] of Object.entries(schema.properties ?? {})) yield* walk(property, `${path}.${key}`);
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* walk(schema.additionalProperties, `${path}.*`);
}

const schemas = [...walk(root, 'module')];
const at = (path: string): CrdSchema | undefined => schemas.find(([candidate]) => candidate === path)?.[1];

describe('the CRD of Module', () => {
  it('describes every field', () => {
    const bare = schemas.flatMap(([path, { properties = {} }]) =>
      Object.entries(properties)
        .filter(([key, { description = '' }]) => description === '' && `${path}.${key}` !== 'module.metadata')
        .map(([key]) => `${path}.${key}`),
    );
    expect(bare).toEqual([]);
  });

  it('says of every list how it is merged', () => {
    const lists = schemas.filter(([, { type }]) => type === 'array');
    expect(lists.filter(([, schema]) => schema['x-kubernetes-list-type'] === undefined).map(([path]) => path)).toEqual(
      [],
    );
  });

  it('keeps the list-map keys of the embedded types', () => {
    for (const [path, keys] of [
      ['module.spec.moduleLoader.env', ['name']],
      ['module.spec.moduleLoader.ports', ['containerPort', 'protocol']],
      ['module.spec.devicePlugin.volumeMounts', ['mountPath']],
      ['module.spec.additionalVolumes', ['name']],
    ] as const) {
      expect(at(path)?.['x-kubernetes-list-map-keys'], path).toEqual(keys);
    }
  });

  it('keeps int-or-string where Kubernetes has it', () => {
    for (const path of [
      'module.spec.moduleLoader.livenessProbe.httpGet.port',
      'module.spec.moduleLoader.resources.limits.*',
    ]) {
      expect(at(path)?.['x-kubernetes-int-or-string'], path).toBe(true);
    }
  });

  it('wants no name and no image of the containers, which are overwritten', () => {
    expect(at('module.spec.moduleLoader')?.required).toBeUndefined();
    expect(at('module.spec.devicePlugin')?.required).toBeUndefined();
  });

  it('writes no default into what the user stored, but for the key of a list-map', () => {
    const defaults = schemas.filter(([, schema]) => schema['default'] !== undefined).map(([path]) => path);
    expect(defaults).toEqual([
      'module.spec.moduleLoader.ports[].protocol',
      'module.spec.devicePlugin.ports[].protocol',
    ]);
  });

  it('stores unknown fields only of the other form', () => {
    const open = schemas
      .filter(([, schema]) => schema['x-kubernetes-preserve-unknown-fields'] === true)
      .map(([path]) => path);
    expect(open.sort()).toEqual([
      'module.spec.devicePlugin.container',
      'module.spec.devicePlugin.initContainer',
      'module.spec.devicePlugin.volumes[]',
      'module.spec.dra',
      'module.spec.moduleLoader.container',
    ]);
  });

  it('stays small enough to read and to send', () => {
    expect(JSON.stringify(crd).length).toBeLessThan(200_000);
  });
});
