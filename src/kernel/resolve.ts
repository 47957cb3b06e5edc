import { imageReferenceProblem } from './image-reference.ts';
import { chooseMapping, type KernelMapping, mappingField } from './mapping.ts';
import { expandTemplate, type TemplateSubject, templateValues } from './template.ts';

/** What a Module's mappings give to one kernel on one architecture. */
export type Resolution =
  | { readonly kind: 'no-match' }
  /** One sentence without a full stop, which begins with the field. */
  | { readonly kind: 'error'; readonly message: string; readonly mappingIndex: number }
  | {
      readonly kind: 'image';
      readonly image: string;
      readonly mappingIndex: number;
      /** The mapping says how to build or to sign the image, so it may not be there yet. */
      readonly needsBuild: boolean;
    };

/** Finds the mapping that names the kernel and fills in its image. Never throws: what is wrong in a mapping is told in the result. */
export function resolveKernel({
  mappings,
  ...subject
}: TemplateSubject & { readonly mappings: readonly KernelMapping[] }): Resolution {
  const choice = chooseMapping(mappings, subject.kernel);
  if (choice.kind !== 'match') return choice;
  const { mapping, mappingIndex } = choice;
  const failed = (problem: string): Resolution => ({
    kind: 'error',
    message: `${mappingField(mappingIndex, 'containerImage')}: ${problem}`,
    mappingIndex,
  });
  if (mapping.containerImage === undefined) return failed('write the image of the module loader for these kernels');
  const expansion = expandTemplate(mapping.containerImage, templateValues(subject));
  if (!expansion.ok) return failed(expansion.problem);
  const problem = imageReferenceProblem(expansion.text);
  if (problem !== undefined) return failed(problem);
  return {
    kind: 'image',
    image: expansion.text,
    mappingIndex,
    needsBuild: mapping.build !== undefined || mapping.sign !== undefined,
  };
}
