import { imageReferenceProblem, registryOfRepository } from '../kernel/image-reference.ts';
import { shellWord } from '../kernel/shell-word.ts';
import { isPublished, type LockedImage } from './image-lock.ts';

/**
 * Why images cannot be pushed to `target`, as a sentence without a full stop; undefined for `HOST[:PORT][/PREFIX]`. What passes has no
 * character that means something to a shell.
 */
export function pushTargetProblem(target: string): string | undefined {
  const repository = `${target}/image`;
  if (target.includes('@')) return `"${target}" has a digest, or credentials: write HOST[:PORT][/PREFIX]`;
  const problem = imageReferenceProblem(repository);
  if (problem !== undefined) return `"${target}" is not HOST[:PORT][/PREFIX]: ${problem}`;
  const [host] = target.split('/');
  return registryOfRepository(repository) === host
    ? undefined
    : `"${target}" begins with no registry: write a host with a dot or a port, or localhost`;
}

/** Where a copy lies: only the last part of the repository is kept, below the target. */
function copyOf({ repository, tag }: LockedImage, target: string): string {
  return `${target}/${repository.slice(repository.lastIndexOf('/') + 1)}:${tag}`;
}

/**
 * Commands for a shell that copy `images` below `target`, and as remarks what to do besides.
 *
 * @param target for which `pushTargetProblem` has none
 */
export function mirrorScript(images: readonly LockedImage[], target: string, version: string): string {
  const published = images.filter(isPublished);
  const ours = images.filter((image) => !isPublished(image));
  const lines = [
    // A pipeline that mirrors must not go on with half of the images.
    'set -eu',
    `# Copies the images of KMM ${version} to ${target}. Run it where both sides can be reached, after: skopeo login ${target.split('/')[0]}`,
    ...published.map(
      (image) => `skopeo copy --all ${sourceOf(image)} ${shellWord(`docker://${copyOf(image, target)}`)}`,
    ),
  ];
  if (ours.length > 0) {
    lines.push(
      `# In no public registry before their release: ${ours.map(({ repository, tag }) => `${repository}:${tag}`).join(', ')}. In a checkout:`,
      `#   make images ARGS=${shellWord(`--push ${target}`)}`,
    );
  }
  return [...lines, '# Then set', ...images.map((image) => `#   ${settingOf(image, copyOf(image, target))}`), ''].join(
    '\n',
  );
}

/** skopeo takes a tag or a digest, not both. */
function sourceOf({ repository, tag, digest }: LockedImage): string {
  return digest === undefined
    ? shellWord(`docker://${repository}:${tag}`)
    : `--preserve-digests ${shellWord(`docker://${repository}@${digest}`)}`;
}

function settingOf({ name }: LockedImage, copy: string): string {
  switch (name) {
    case 'operator':
      return `the image of the operator's Deployment to ${copy} (helm: image.repository and image.tag)`;
    case 'builder':
      return `the manager's flag --builder-image=${copy}, or its variable KMM_BUILDER_IMAGE (helm: build.builderImage)`;
    default:
      return `the image of the ${name}, where it is installed, to ${copy} (helm: ${name}.image)`;
  }
}
