/** What the bed is made of is made once for each text of its recipe, and kept in `${XDG_CACHE_HOME:-~/.cache}/kmm/e2e`. */
import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../../../hack/control-plane/lock.ts';
import type { Progress } from '../../../hack/control-plane/progress.ts';
import { isThere, machineCache, removeOld } from '../../../hack/machine-cache.ts';

/** What makes one thing of the bed; `recipe` names it whole: whatever changes the result stands in it. */
export interface Recipe {
  /** Begins its name in the cache, as `root`. */
  readonly name: string;
  readonly recipe: readonly (string | Buffer)[];
  /** What people read while it is made, with about how long it takes. */
  readonly what: string;
  /** Writes the file, or fills the folder, at this path, which does not exist. */
  make(path: string, signal: AbortSignal): Promise<void>;
}

export interface Making {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/**
 * Path of the thing, made now if it is not there. Another making of it is waited for, not repeated; an interrupted one leaves nothing that
 * counts. Things of the same name that were made a week ago or earlier are removed when a new one is made.
 */
export async function made(recipe: Recipe, { progress, signal }: Making): Promise<string> {
  const cache = machineCache('e2e');
  const path = join(cache, `${recipe.name}-${hashOf(recipe.recipe)}`);
  if (await isThere(path)) return path;
  await mkdir(cache, { recursive: true });
  return withLock(
    path,
    async () => {
      if (await isThere(path)) return path;
      progress.start(recipe.what);
      const partial = join(cache, `.partial-${recipe.name}-${process.pid}`);
      try {
        await recipe.make(partial, signal);
        await rename(partial, path);
      } catch (error) {
        progress.abandon();
        throw error;
      } finally {
        await rm(partial, { recursive: true, force: true });
      }
      progress.done();
      // Root images are half a gigabyte each, and kernels come every few weeks.
      const own = new RegExp(`^${recipe.name}-[0-9a-f]{12}$`);
      await removeOld(cache, (name) => own.test(name));
      return path;
    },
    { onWait: (pid) => progress.start(`Another run (pid ${pid}) makes it; waiting: ${recipe.what}`), signal },
  );
}

function hashOf(recipe: Recipe['recipe']): string {
  const hash = createHash('sha256');
  for (const part of recipe) hash.update(`${part.length}\n`).update(part);
  return hash.digest('hex').slice(0, 12);
}
