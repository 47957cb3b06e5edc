import type { KubeClient } from './client.ts';
import type { KubeObject } from './objects.ts';
import type { Resource } from './resources.ts';

const PAGE = 500;

export interface Selection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly isLast: boolean;
}

/** The objects of a kind, so many at a time that no answer is too large. @throws ApiError, ConnectionError */
export async function* listPages<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<Page<T>> {
  let from: string | undefined;
  do {
    const page = await client.list(resource, { ...selection, limit: PAGE, continue: from, signal });
    from = page.metadata.continue || undefined;
    yield { items: page.items, isLast: from === undefined };
  } while (from !== undefined);
}
