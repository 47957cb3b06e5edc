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

interface ResolveOptions {
  readonly mappings: readonly KernelMapping[];
  /** Template of the image that is made where a mapping names none; absent: there is no registry for such images. */
  readonly defaultImage?: string | undefined;
}

const NO_IMAGE = 'write the image of the module loader for these kernels';
const NO_REGISTRY =
  'write where the image is to be pushed, or have the cluster serve a registry (config/components/registry, --registry-pull-host)';

/** Finds the mapping that names the kernel and fills in its image. Never throws: what is wrong in a mapping is told in the result. */
export function resolveKernel({ mappings, defaultImage, ...subject }: TemplateSubject & ResolveOptions): Resolution {
  const choice = chooseMapping(mappings, subject.kernel);
  if (choice.kind !== 'match') return choice;
  const { mapping, mappingIndex } = choice;
  const failed = (problem: string): Resolution => ({
    kind: 'error',
    message: `${mappingField(mappingIndex, 'containerImage')}: ${problem}`,
    mappingIndex,
  });
  const needsBuild = mapping.build !== undefined || mapping.sign !== undefined;
  const template = mapping.containerImage ?? (needsBuild ? defaultImage : undefined);
  if (template === undefined) return failed(needsBuild ? NO_REGISTRY : NO_IMAGE);
  const expansion = expandTemplate(template, templateValues(subject));
  if (!expansion.ok) return failed(expansion.problem);
  const problem = imageReferenceProblem(expansion.text);
  if (problem !== undefined) return failed(problem);
  return {
    kind: 'image',
    image: expansion.text,
    mappingIndex,
    needsBuild,
  };
}
