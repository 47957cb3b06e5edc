import { BuildFailure } from './failure.ts';
import { filesOfGlob, GlobError } from './globs.ts';
import { MODULE_NAME } from './module-file.ts';
import type { StepContext } from './step.ts';

/** Every module below the folders where images have them. */
const DEFAULT_GLOBS = ['/opt/**/*', '/lib/modules/**/*'];
/** Where the modules of an image are listed from, for a sentence. */
const EVERYWHERE = '/**/*';
/** More than a distribution's kernel has modules. */
export const MOST_MODULES = 20_000;
const MOST_NAMES = 8;

/**
 * The modules of the mounted image that the request's globs name, sorted, each once, as paths of the image without links.
 *
 * @throws BuildFailure of the user's for a glob that names no module: it would leave one unsigned that somebody meant
 */
export async function modulesToSign(
  context: StepContext,
  root: string,
  step: 'sign' | 'verify',
): Promise<readonly string[]> {
  const given = context.request.sign?.filesToSign;
  const found = new Set<string>();
  for (const glob of given ?? DEFAULT_GLOBS) {
    const modules = await modulesOfGlob(context, root, { glob, hidden: given === undefined, step });
    if (given !== undefined && modules.length === 0)
      throw await nothingFound(context, root, step, `The glob ${glob} of sign.filesToSign`);
    for (const module of modules) found.add(module);
  }
  if (found.size === 0)
    throw await nothingFound(
      context,
      root,
      step,
      'What is signed unless sign.filesToSign says otherwise (/opt and /lib/modules)',
    );
  if (found.size > MOST_MODULES) {
    const message = `sign.filesToSign names ${found.size} modules, and at most ${MOST_MODULES} are signed: name fewer.`;
    throw new BuildFailure(step, 'user', message);
  }
  return [...found].sort();
}

/** Every file with a module's name, wherever it is in the image. */
export function allModules(context: StepContext, root: string, step: 'sign' | 'verify'): Promise<readonly string[]> {
  return modulesOfGlob(context, root, { glob: EVERYWHERE, hidden: true, step });
}

interface Search {
  readonly glob: string;
  readonly hidden: boolean;
  readonly step: 'sign' | 'verify';
}

async function modulesOfGlob(
  context: StepContext,
  root: string,
  { glob, hidden, step }: Search,
): Promise<readonly string[]> {
  try {
    return await filesOfGlob(root, glob, { signal: context.signal, hidden, named: MODULE_NAME });
  } catch (error) {
    if (!(error instanceof GlobError)) throw error;
    throw new BuildFailure(step, 'user', `${error.message} Correct sign.filesToSign.`, { cause: error });
  }
}

async function nothingFound(
  context: StepContext,
  root: string,
  step: 'sign' | 'verify',
  what: string,
): Promise<BuildFailure> {
  const modules = await allModules(context, root, step);
  const there =
    modules.length === 0
      ? 'The image has no kernel module (*.ko, *.ko.xz, *.ko.zst, *.ko.gz) at all.'
      : `The image has these: ${listNames(modules)}. Correct the glob or the Dockerfile.`;
  return new BuildFailure(step, 'user', `${what} matches no kernel module. ${there}`);
}

/** At most eight of them. */
function listNames(names: readonly string[]): string {
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return `${names.slice(0, MOST_NAMES).join(', ')}${more}`;
}
