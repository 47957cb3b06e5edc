/** The overlay for kustomize that docs/usage/installation.md tells users to write. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Its text on the page. */
export async function documentedOverlay(): Promise<string> {
  const page = await readFile(join(ROOT, 'docs/usage/installation.md'), 'utf8');
  const text = /```yaml\n(# \S*kustomization\.yaml\n[^`]+)```/.exec(page)?.[1];
  if (text === undefined) throw new Error('docs/usage/installation.md has no kustomization.yaml');
  return text;
}

/** Writes it to a folder, as a user does, over config/default of this checkout; gives the folder. */
export async function writeDocumentedOverlay(folder: string): Promise<string> {
  const resources = /^resources: \[\S+\].*$/m;
  const text = await documentedOverlay();
  if (!resources.test(text)) throw new Error('the overlay of docs/usage/installation.md has no line of resources');
  await mkdir(folder, { recursive: true });
  const base = relative(folder, join(ROOT, 'config/default'));
  await writeFile(join(folder, 'kustomization.yaml'), text.replace(resources, `resources: [${base}]`));
  return folder;
}
