import { shorten } from './shorten.ts';

/** Source of this grammar: github.com/distribution/reference, regexp.go and reference.go, which the container runtimes use. */
export const LONGEST_TAG = 128;
const LONGEST_REPOSITORY = 255;
const LONGEST_QUOTE = 160;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const HOST_LABEL = '(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])';
const REGISTRY = new RegExp(`^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?$`);
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;

/**
 * Why a container runtime would refuse `reference`, and what to write instead, as a sentence without a full stop; undefined for
 * `[registry/]repository[:tag][@digest]`.
 */
export function imageReferenceProblem(reference: string): string | undefined {
  const shown = quoted(reference);
  if (reference === '') return 'the image reference is empty: write [registry/]repository:tag';
  if (/\s/u.test(reference)) return `an image reference has no white space, and ${shown} has`;
  if (/^[a-z]+:\/\//i.test(reference))
    return `${shown} begins with a scheme: write it without, as registry/repository:tag`;
  const { name, tag, digest } = splitImageReference(reference);
  if (tag !== undefined && tag.length > LONGEST_TAG) {
    return `a tag has at most ${LONGEST_TAG} characters, and that of ${shown} has ${tag.length}`;
  }
  if (tag !== undefined && !TAG.test(tag)) {
    return `${quoted(tag)} is not a tag: it holds letters, digits, _ . and -, and begins with none of the last two`;
  }
  if (digest !== undefined && !DIGEST.test(digest))
    return `${quoted(digest)} is not a digest: write sha256: and 64 hex digits`;
  return repositoryProblem(name, shown);
}

/** Of `[registry/]repository[:tag][@digest]`. `name` is the repository with its registry, if it has one. */
export interface ImageReferenceParts {
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Takes a reference apart without judging it ({@link imageReferenceProblem} does that). */
export function splitImageReference(reference: string): ImageReferenceParts {
  const at = reference.indexOf('@');
  const digest = at < 0 ? undefined : reference.slice(at + 1);
  const rest = at < 0 ? reference : reference.slice(0, at);
  const colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
  return colon < 0 ? { name: rest, digest } : { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

/** The host (and port) that a runtime asks for a repository: Docker Hub's where the name has none. */
export function registryOfRepository(name: string): string {
  return beginsWithRegistry(name) ? name.slice(0, name.indexOf('/')) : 'docker.io';
}

function beginsWithRegistry(name: string): boolean {
  const [first = '', ...rest] = name.split('/');
  return rest.length > 0 && (/[.:A-Z]/.test(first) || first === 'localhost');
}

function repositoryProblem(name: string, shown: string): string | undefined {
  if (name.length > LONGEST_REPOSITORY) {
    return `a repository has at most ${LONGEST_REPOSITORY} characters, and that of ${shown} has ${name.length}`;
  }
  const components = name.split('/');
  const [first = ''] = components;
  const hasRegistry = beginsWithRegistry(name);
  if (hasRegistry && !REGISTRY.test(first)) return `${quoted(first)} in ${shown} is not the name of a registry`;
  const path = hasRegistry ? components.slice(1) : components;
  const bad = path.find((component) => !PATH_COMPONENT.test(component));
  if (bad === undefined) return undefined;
  if (bad === '') return `a part of the repository in ${shown} is empty`;
  if (PATH_COMPONENT.test(bad.toLowerCase())) {
    return `a repository is written in lower case, and ${quoted(bad)} in ${shown} is not`;
  }
  return `${quoted(bad)} in ${shown} is not part of a repository: it holds lower-case letters and digits, with single . _ or - between`;
}

/** Whole references would fill the condition that this stands in. */
function quoted(text: string): string {
  return `"${shorten(text, LONGEST_QUOTE)}"`;
}
