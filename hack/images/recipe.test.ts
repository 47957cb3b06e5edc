import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { builderPackages, parsePackages } from './packages.ts';
import {
  annotations,
  baseRecipe,
  baseTag,
  IMAGE_NAMES,
  mmdebstrapArguments,
  type Origin,
  publicBase,
} from './recipe.ts';

const ORIGIN: Origin = {
  version: '1.2.3',
  revision: 'abc',
  createdAt: 1_795_538_885,
  licenses: 'Apache-2.0',
  source: undefined,
  baseName: undefined,
};

describe('a base', () => {
  it('is another as soon as a package is, and the same while nothing changes', () => {
    const tag = (...packages: readonly string[]): string => baseTag('builder', baseRecipe('builder', packages));
    expect(tag('git')).toBe(tag('git'));
    expect(tag('git')).not.toBe(tag('git', 'kmod'));
    expect(tag('git')).toMatch(/^localhost\/kmm-base-builder:[0-9a-f]{16}$/);
  });

  it('has every package of the list that the Dockerfile installs', () => {
    const words = mmdebstrapArguments(baseRecipe('builder', builderPackages()), 'base.tar');
    expect(words).toContain(`--include=${builderPackages().join(',')}`);
    expect(builderPackages()).toEqual(expect.arrayContaining(['buildah', 'skopeo', 'git', 'kmod', 'uidmap']));
  });

  it('of the operator is unpacked and not installed, so that it has no shell', () => {
    expect(mmdebstrapArguments(baseRecipe('operator', ['git']), 'base.tar')).toContain('--variant=extract');
  });
});

describe('the list of packages', () => {
  it('has remarks and a name a line', () => {
    expect(parsePackages('# why\ngit\nlibstdc++6\n')).toEqual(['git', 'libstdc++6']);
  });

  it.each(['git;reboot', 'git kmod', '-y', '$(id)'])('has no %s', (line) => {
    expect(() => parsePackages(`git\n${line}\n`)).toThrow('is not the name of a Debian package');
  });
});

describe('annotations', () => {
  it('say what is known and leave out what is not', () => {
    const known = annotations('builder', ORIGIN);
    expect(Object.fromEntries(known)).toMatchObject({
      'org.opencontainers.image.title': 'Kernel Module Management, builder',
      'org.opencontainers.image.created': '2026-11-24T16:48:05Z',
      'org.opencontainers.image.revision': 'abc',
    });
    expect([...known.keys()].filter((name) => /source|base/.test(name))).toEqual([]);
  });

  it('name a public base and where the sources are', () => {
    const known = annotations('operator', { ...ORIGIN, source: 'https://example.com/kmm', baseName: 'debian:12' });
    expect(known.get('org.opencontainers.image.base.name')).toBe('debian:12');
    expect(known.get('org.opencontainers.image.source')).toBe('https://example.com/kmm');
  });
});

describe('the Dockerfiles', () => {
  it.each(IMAGE_NAMES)('of the %s takes its base as a build argument, with a public one as default', (image) => {
    const text = readFileSync(`images/${image}/Dockerfile`, 'utf8');
    expect(publicBase(text)).toMatch(/^[a-z.]+\/[a-z/0-9-]+/);
    expect(text.match(/^FROM .*$/gm)).toEqual(['FROM ${BASE}']);
  });
});
