import { describe, expect, it } from 'vitest';
import { type OpenApiSchema, structuralSchema } from './structural.ts';

const schema = (schemas: Readonly<Record<string, OpenApiSchema>>) => structuralSchema({ components: { schemas } }, 'T');

const PREFIX = '#/components/schemas/';

describe('a type of the OpenAPI document made structural', () => {
  it('has its references inlined, and says what the field says of itself', () => {
    const result = schema({
      T: { type: 'object', properties: { a: { description: 'The a.', allOf: [{ $ref: `${PREFIX}A` }], default: {} } } },
      A: {
        description: 'Any A.',
        type: 'object',
        properties: { b: { type: 'string', description: 'B.' } },
        required: ['b'],
      },
    });
    expect(result).toEqual({
      type: 'object',
      properties: {
        a: {
          description: 'The a.',
          type: 'object',
          properties: { b: { type: 'string', description: 'B.' } },
          required: ['b'],
        },
      },
    });
  });

  it('keeps lists as maps, with a default only for a key that is not required', () => {
    const result = schema({
      T: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['port', 'protocol'],
        items: { allOf: [{ $ref: `${PREFIX}Port` }] },
      },
      Port: {
        type: 'object',
        required: ['port'],
        properties: {
          port: { type: 'integer', default: 0 },
          protocol: { type: 'string', default: 'TCP' },
          other: { type: 'string', default: 'x' },
        },
      },
    });
    expect(result).toEqual({
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      items: {
        type: 'object',
        required: ['port'],
        properties: {
          port: { type: 'integer' },
          protocol: { type: 'string', default: 'TCP' },
          other: { type: 'string' },
        },
      },
    });
  });

  it('has Quantity and IntOrString as the API server stores them', () => {
    const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
    const result = schema({
      T: { type: 'object', additionalProperties: { $ref: `${PREFIX}${quantity}` } },
      [quantity]: { description: 'A quantity.' },
    });
    expect(result.additionalProperties).toMatchObject({ 'x-kubernetes-int-or-string': true });
    const pattern = new RegExp(result.additionalProperties?.pattern ?? '^$');
    for (const good of ['1', '0.5', '100m', '1Gi', '1e3', '-1', '.5']) expect(good).toMatch(pattern);
    for (const bad of ['1 Gi', 'Gi', '1GiB', '1..2', '']) expect(bad).not.toMatch(pattern);
  });

  it('keeps whole sentences of a long description, the first one always', () => {
    const long = `First ${'x'.repeat(230)}. Second sentence. Third.`;
    expect(schema({ T: { description: long, type: 'string' } }).description).toBe(`First ${'x'.repeat(230)}.`);
    expect(schema({ T: { description: 'One.\n\nTwo,  with\tblanks.', type: 'string' } }).description).toBe(
      'One. Two, with blanks.',
    );
  });

  it('is refused when it contains itself, and when the document does not have it', () => {
    expect(() => schema({ T: { type: 'object', properties: { t: { $ref: `${PREFIX}T` } } } })).toThrow(
      'cannot inline T: it contains itself',
    );
    expect(() => schema({})).toThrow("the API server's OpenAPI document has no type T");
  });
});
