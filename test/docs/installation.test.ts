/** What the pages tell to type for an installation by kustomize, against the files that it is made of. */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseManagerConfig } from '../../src/commands/config.ts';
import { documentedOverlay } from '../harness/kustomization.ts';
import type { Deployment } from '../harness/rendered.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const readPage = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');

/** The text below a heading of the second level. */
function section(page: string, heading: string): string {
  const [, below = ''] = page.split(`\n## ${heading}\n`);
  return below.split('\n## ')[0] ?? '';
}

describe('an installation by kustomize', () => {
  // No registry has the image that config/default names. Over an overlay it takes back image, flags and the namespace's level, and it deletes
  // less than the overlay made.
  it('is of an overlay, on every page: never of config/default by itself', async () => {
    const commands: string[] = [];
    for await (const path of glob(['*.md', 'docs/**/*.md'], { cwd: ROOT })) {
      const found = (await readPage(path)).matchAll(/kubectl (?:apply|delete)[^`\n]* -k config\/default/g);
      commands.push(...[...found].map(([command]) => `${path}: ${command}`));
    }
    expect(commands).toEqual([]);
  });

  it('is the same command at first and at an upgrade', async () => {
    const page = await readPage('docs/usage/installation.md');
    const applied = (heading: string) => /kubectl apply [^#\n]*-k \S+/.exec(section(page, heading))?.[0];
    expect(applied('kustomize')).toMatch(/^kubectl apply --server-side -k /);
    expect(applied('Upgrade')).toBe(applied('kustomize'));
  });

  it('has an overlay that gives the operator an image of a registry, and the builder one', async () => {
    const { resources, images, patches } = await documentedOverlay();
    expect(resources).toEqual([expect.stringMatching(/\/config\/default\b/)]);
    const deployment: Deployment = parse(await readPage('config/manager/deployment.yaml'));
    const { containers } = deployment.spec.template.spec;
    expect(images?.map(({ name }) => name)).toEqual(containers.map(({ image }) => image.split(':')[0]));
    expect(patches?.map(({ target }) => target)).toEqual([{ kind: 'Deployment', name: deployment.metadata.name }]);
    const [operation] = parse(patches?.[0]?.patch ?? '');
    expect(operation).toMatchObject({ op: 'add', path: '/spec/template/spec/containers/0/args/-' });
    const flags = [...(containers[0]?.args.slice(1) ?? []), operation.value];
    const parsed = parseManagerConfig(flags, {}, () => 'kmm-system');
    expect(parsed).toMatchObject({
      ok: true,
      config: { builderImage: expect.stringContaining('registry.example.com/') },
    });
  });
});
