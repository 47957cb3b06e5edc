import { describe, expect, it } from 'vitest';
import { fieldTree } from '../../hack/generate/field-tree.ts';
import { type CrdSchema, moduleCrd } from './crd.ts';
import { missingFields, servedModuleSchema } from './served-schema.ts';

const text = { type: 'string' };
const object = (properties: Readonly<Record<string, CrdSchema>>): CrdSchema => ({ type: 'object', properties });
const schema = object({
  spec: object({
    name: text,
    list: { type: 'array', items: object({ a: text, b: object({ c: text }) }) },
    map: { type: 'object', additionalProperties: text },
  }),
});

describe('the fields that a served schema lacks', () => {
  it('are none when it is our own, or newer', () => {
    expect(missingFields(fieldTree(schema), schema)).toEqual([]);
    const newer = object({ ...schema.properties, status: object({ more: text }) });
    expect(missingFields(fieldTree(schema), newer)).toEqual([]);
    const crd = moduleCrd().spec.versions[0]?.schema.openAPIV3Schema ?? {};
    expect(missingFields(fieldTree(crd), crd)).toEqual([]);
  });

  it.each<[string, CrdSchema, readonly string[]]>([
    ['a whole tree', object({}), ['spec']],
    [
      'one in a list',
      object({ spec: object({ name: text, map: text, list: { items: object({ a: text }) } }) }),
      ['spec.list.b'],
    ],
    [
      'several, at any depth',
      object({ spec: object({ map: text, list: { items: object({ a: text, b: object({}) }) } }) }),
      ['spec.name', 'spec.list.b.c'],
    ],
  ])('are named: %s', (_what, served, expected) => {
    expect(missingFields(fieldTree(schema), served)).toEqual(expected);
  });

  it('are none where unknown fields are kept', () => {
    const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    expect(missingFields(fieldTree(schema), object({ spec: open }))).toEqual([]);
  });
});

describe('the schema of Module in an OpenAPI document', () => {
  const kind = (version: string, name: string) => ({ group: 'kmm.sigs.x-k8s.io', version, kind: name });
  const of = (...kinds: readonly object[]) => ({ 'x-kubernetes-group-version-kind': kinds });

  it('is found by its kind', () => {
    const module = { ...of(kind('v1beta1', 'Module')), ...schema };
    const schemas = { a: of(kind('v1beta1', 'ModuleList')), b: { type: 'object' }, c: module };
    expect(servedModuleSchema({ components: { schemas } })).toBe(module);
  });

  it('is not there in a document that is of something else, or of nothing', () => {
    for (const document of [undefined, 'text', {}, { components: { schemas: { a: of(kind('v1', 'Module')) } } }]) {
      expect(servedModuleSchema(document)).toBeUndefined();
    }
  });
});
