/** Kustomizations as users write them: over what lies in config/ of this checkout. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import type { ControlPlane } from './control-plane.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What of a kustomization users write. Source: kustomize's reference, "kustomization.yaml". */
export interface Kustomization {
  readonly resources: readonly string[];
  readonly components?: readonly string[];
  readonly images?: readonly { readonly name: string; readonly newName: string }[];
  readonly patches?: readonly {
    readonly target: { readonly kind: string; readonly name: string };
    readonly patch: string;
  }[];
}

/**
 * Writes it to a folder, which is made where it is not there.
 *
 * @param kustomization its resources and components are named by their folders below config/, as `components/registry`: kustomize takes no
 *   absolute paths
 */
export async function writeKustomization(folder: string, kustomization: Kustomization): Promise<void> {
  const { resources, components = [], ...others } = kustomization;
  const inConfig = (path: string): string => relative(folder, join(ROOT, 'config', path));
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'kustomization.yaml'),
    JSON.stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      ...others,
      resources: resources.map(inConfig),
      components: components.map(inConfig),
    }),
  );
}

/** What kustomize makes of it: YAML. */
export async function kustomize(controlPlane: ControlPlane, kustomization: Kustomization): Promise<string> {
  const folder = await mkdtemp(join(controlPlane.directory, 'kustomize-'));
  await writeKustomization(folder, kustomization);
  return controlPlane.kubectl(['kustomize', folder]);
}

/** The overlay that docs/usage/installation.md tells users to write. */
export async function documentedOverlay(): Promise<Kustomization> {
  const page = await readFile(join(ROOT, 'docs/usage/installation.md'), 'utf8');
  const text = /```yaml\n(# \S*kustomization\.yaml\n[^`]+)```/.exec(page)?.[1];
  if (text === undefined) throw new Error('docs/usage/installation.md has no kustomization.yaml');
  return parse(text);
}
