import { type OpenApiDocument, type StructuralSchema, structuralSchema } from './structural.ts';

/** The built-in types that a Module embeds. */
const EMBEDDED = ['Container', 'LocalObjectReference', 'ResourceRequirements', 'Toleration', 'Volume'] as const;

export type EmbeddedSchemas = Readonly<Record<(typeof EMBEDDED)[number], StructuralSchema>>;

/**
 * Gives the embedded schemas from the OpenAPI v3 document of a server's core/v1 group (`/openapi/v3/api/v1`).
 *
 * @throws Error when the document lacks one of the types
 */
export function embeddedSchemas(document: OpenApiDocument): EmbeddedSchemas {
  const of = (name: (typeof EMBEDDED)[number]): StructuralSchema =>
    structuralSchema(document, `io.k8s.api.core.v1.${name}`);
  return {
    Container: of('Container'),
    LocalObjectReference: of('LocalObjectReference'),
    ResourceRequirements: of('ResourceRequirements'),
    Toleration: of('Toleration'),
    Volume: of('Volume'),
  };
}
