/**
 * What the chart takes from config/components: the very files, each component as one. A template puts the release's names and images into
 * them, so that nothing of it is written twice.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHART } from './chart.ts';
import type { GeneratedFile } from './files.ts';

const COMPONENTS = ['admission-policy', 'admission-policy-namespaces', 'metrics-auth', 'registry'];

/** Reads the files as they are on disk: those that are generated must have been written before. */
export function chartComponentFiles(root: string): Promise<readonly GeneratedFile[]> {
  return Promise.all(
    COMPONENTS.map(async (component) => {
      const folder = join(root, 'config/components', component);
      const names = (await readdir(folder)).filter((name) => name !== 'kustomization.yaml').sort();
      const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      const content = texts.map((text) => `---\n${text.trim()}\n`).join('');
      return { path: `${CHART}/files/${component}.yaml`, content };
    }),
  );
}
