import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { secretsAtTheirPlace } from './dockerfile.ts';
import { BuildFailure } from './failure.ts';
import { entriesOf } from './mounted-files.ts';
import type { StepContext } from './step.ts';

/** A Secret of the build and its keys. */
export interface BuildSecret {
  readonly name: string;
  readonly keys: readonly string[];
}

export interface SecretPlan {
  /** For `RUN --mount=type=secret,id=...`: id and the file it is, as [Secret, key]. */
  readonly ids: ReadonlyMap<string, readonly [string, string]>;
  /** For every RUN: path below /run/secrets and the file it is. */
  readonly paths: ReadonlyMap<string, readonly [string, string]>;
}

/**
 * Where a build finds its Secrets. A Secret with one key has the id NAME, one with several has an id NAME.KEY for each; and each key is the
 * file /run/secrets/NAME/KEY in every RUN. An id that the Dockerfile takes at its own place, /run/secrets/ID, is a file there instead.
 *
 * @param atTheirPlace ids that some RUN takes so
 */
export function planSecrets(secrets: readonly BuildSecret[], atTheirPlace: ReadonlySet<string>): SecretPlan {
  const ids = new Map<string, readonly [string, string]>();
  const paths = new Map<string, readonly [string, string]>();
  for (const { name, keys } of secrets) {
    for (const key of keys) {
      const id = keys.length === 1 ? name : `${name}.${key}`;
      ids.set(id, [name, key]);
      // A file cannot be mounted over a folder: buildah would mount it within, or fail.
      if (atTheirPlace.has(id)) paths.set(id, [name, key]);
      if (!(atTheirPlace.has(id) && id === name)) paths.set(join(name, key), [name, key]);
    }
  }
  return { ids, paths };
}

/**
 * Copies the Secrets to where buildah mounts them from, and gives its options. What is mounted is in no layer.
 *
 * @throws BuildFailure where one is not there
 */
export async function layOutSecrets(context: StepContext, dockerfile: string): Promise<string[]> {
  const { request, files, work } = context;
  const folder = join(work, 'private', 'secrets');
  await rm(folder, { recursive: true, force: true });
  if (request.secrets.length === 0) return [];
  const secrets: BuildSecret[] = [];
  for (const name of request.secrets) {
    const keys = await entriesOf(join(files.buildSecrets, name));
    if (keys.length === 0) {
      throw new BuildFailure(
        'build',
        'user',
        `The Secret ${name} that build.secrets names is not there or is empty: create it in the Module's namespace.`,
      );
    }
    secrets.push({ name, keys });
  }
  const plan = planSecrets(secrets, secretsAtTheirPlace(dockerfile));
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const [path, [name, key]] of plan.paths) {
    const to = join(folder, path);
    await mkdir(join(to, '..'), { recursive: true, mode: 0o755 });
    await copyFile(join(files.buildSecrets, name, key), to);
    // A RUN may be another user's. Nobody else gets here: the folder above is this user's alone.
    await chmod(to, 0o444);
  }
  return [
    ...[...plan.ids].map(([id, [name, key]]) => `--secret=id=${id},src=${join(files.buildSecrets, name, key)}`),
    `--volume=${folder}:/run/secrets:ro`,
  ];
}
