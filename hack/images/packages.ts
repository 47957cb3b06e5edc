import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LIST = fileURLToPath(new URL('../../images/builder/packages', import.meta.url));

/** The Debian packages of the builder image: what the Dockerfile installs, the base of `make images` brings and tests of builds need. */
export function builderPackages(): readonly string[] {
  return parsePackages(readFileSync(LIST, 'utf8'));
}

/**
 * One name a line; lines that begin with # are remarks.
 *
 * @throws Error for a line that is no package: the names end up in command lines
 */
export function parsePackages(text: string): readonly string[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const wrong = lines.find((line) => !/^[a-z0-9][a-z0-9+.-]+$/.test(line));
  if (wrong !== undefined) throw new Error(`images/builder/packages: "${wrong}" is not the name of a Debian package`);
  return lines;
}
