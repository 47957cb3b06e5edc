import { parseArgs } from 'node:util';
import { pushTargetProblem } from '../../src/commands/image-mirror.ts';
import { IMAGE_NAMES, type ImageName } from './recipe.ts';

export interface ImagesOptions {
  /** In the order in which they are built. */
  readonly images: readonly ImageName[];
  /** The base that the Dockerfile names, in place of one made here. */
  readonly publicBase: boolean;
  /** Makes the bases again, for security updates. */
  readonly freshBase: boolean;
  /** `HOST[:PORT][/PREFIX]`. */
  readonly push: string | undefined;
  /** The registry may speak plain HTTP, or have a certificate that nobody checks. */
  readonly insecure: boolean;
  /** Where the sources can be had; a label. */
  readonly source: string | undefined;
  /** Only builds into the storage, and prints no table. */
  readonly noExport: boolean;
}

export type ImagesCommandLine =
  | { readonly kind: 'run'; readonly options: ImagesOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly problem: string };

export const HELP = `Builds the images of the operator and of the builder with buildah, and writes them to out/images/ as OCI layouts.

Usage: make images ARGS='[options]'

  --only operator|builder     build one of them
  --push HOST[/PREFIX]        push them there as well, as HOST/PREFIX/kmm-operator:VERSION
  --insecure                  that registry speaks plain HTTP, or has a certificate that nobody checks
  --public-base               build on the public bases that the Dockerfiles name, not on Debian packages
  --fresh-base                make the bases again, with the newest Debian packages
  --source URL                where the sources can be had, for the label
  --no-export                 leave them in buildah's storage
`;

/** @param argv the words behind `node hack/images.ts` */
export function readImagesCommandLine(argv: readonly string[]): ImagesCommandLine {
  let values: ReturnType<typeof parse>;
  try {
    values = parse(argv);
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) return { kind: 'help' };
  const only = IMAGE_NAMES.find((name) => name === values.only);
  if (values.only !== undefined && only === undefined)
    return refused(`--only: "${values.only}" is none of ${IMAGE_NAMES.join(', ')}`);
  const push = values.push?.replace(/\/+$/, '');
  const problem = push === undefined ? undefined : pushTargetProblem(push);
  if (problem !== undefined) return refused(`--push: ${problem}`);
  if (push !== undefined && values['no-export'] === true) return refused('--push and --no-export exclude each other');
  return {
    kind: 'run',
    options: {
      images: only === undefined ? IMAGE_NAMES : [only],
      publicBase: values['public-base'] === true,
      freshBase: values['fresh-base'] === true,
      push,
      insecure: values.insecure === true,
      source: values.source,
      noExport: values['no-export'] === true,
    },
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      only: { type: 'string' },
      push: { type: 'string' },
      insecure: { type: 'boolean' },
      'public-base': { type: 'boolean' },
      'fresh-base': { type: 'boolean' },
      source: { type: 'string' },
      'no-export': { type: 'boolean' },
    },
  }).values;
}

function refused(problem: string): ImagesCommandLine {
  return { kind: 'refused', problem };
}
