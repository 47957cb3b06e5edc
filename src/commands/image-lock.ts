import lock from './image-lock.gen.json' with { type: 'json' };

/** An image that the product can start, out of images.lock. */
export interface LockedImage {
  readonly name: string;
  readonly repository: string;
  readonly tag: string;
  /** Absent until it is released. */
  readonly digest?: string;
  /** What starts it. */
  readonly use: string;
}

export const LOCKED_IMAGES: readonly LockedImage[] = lock.images;

/** The digest counts for a runtime, the tag is for people. */
export function referenceOf({ repository, tag, digest }: LockedImage): string {
  return `${repository}:${tag}${digest === undefined ? '' : `@${digest}`}`;
}

/** Whether it lies in a registry that all can reach: those of ours have none before their release. */
export function isPublished({ repository }: LockedImage): boolean {
  return repository.includes('/');
}

/** @throws Error where images.lock has none of this name: a mistake of ours */
export function lockedImage(name: string): LockedImage {
  const image = LOCKED_IMAGES.find((each) => each.name === name);
  if (image === undefined) throw new Error(`images.lock has no image ${name}`);
  return image;
}
