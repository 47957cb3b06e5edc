/**
 * The registry of the cluster in the chart: the very files of config/components/registry, as one. The template puts the release's namespace
 * and images into them, so that nothing of it is written twice.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHART } from './chart.ts';
import type { GeneratedFile } from './files.ts';

const COMPONENT = 'config/components/registry';

/** Reads the files as they are on disk: those that are generated must have been written before. */
export async function chartRegistryFile(root: string): Promise<GeneratedFile> {
  const names = (await readdir(join(root, COMPONENT))).filter((name) => name !== 'kustomization.yaml').sort();
  const texts = await Promise.all(names.map((name) => readFile(join(root, COMPONENT, name), 'utf8')));
  return { path: `${CHART}/files/registry.yaml`, content: texts.map((text) => `---\n${text.trim()}\n`).join('') };
}
